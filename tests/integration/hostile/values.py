"""What hostile clients send: a value for an argument, a body as a whole, a way to a function."""

import json
from typing import Any

MARKUP = "a<img src=x onerror=alert(1)>"


def nested(depth: int, kind: str = "[]") -> Any:
	value: Any = kind
	for _ in range(depth):
		value = [value] if kind == "[]" else {"a": value}
	return value


# Each stands for a kind. All of them can be written as JSON.
VALUES: dict[str, Any] = {
	"null": None,
	"true": True,
	"negative": -1,
	"huge": 10**30,
	"largest fraction": 1.7e308,
	"empty": "",
	"word": "abc",
	"digits": "9" * 5000,
	"digits of another alphabet": "\u0661\u0662",
	"empty list": [],
	"lists": [[[], [None]], {}],
	"many": [1] * 5000,
	"empty object": {},
	"deep lists": nested(400),
	"deep objects": nested(400, "{}"),
	"long": "x" * 60_000,
	"longer than a body": "x" * 100_000,
	"long of three bytes": "\u20ac" * 10_000,
	"nul": "a\0b",
	"half a character": "a\ud800",
	"right to left": "\u202e\u2066cba\u200f",
	"markup": MARKUP,
	"formula": '=HYPERLINK("http://evil.example","a")',
	"sql": "' OR 1=1; DROP TABLE `tabUser` -- ",
	"like": "%",
	"redis": "srs:*\r\nFLUSHALL\r\n",
	"format": "%s %(a)s {0} {0.__class__} {{ 7*7 }}",
	"path": "../../../../etc/passwd",
	"encoded path": "%2e%2e%2fsite_config.json%00",
	"dotted path": "frappe.utils.execute_in_shell",
	"filters": {"name": ["like", "%"]},
}
# What no library writes. ARGUMENT is replaced by the name of an argument.
BODIES: dict[str, bytes] = {
	"NaN": b'{"ARGUMENT": NaN}',
	"Infinity": b'{"ARGUMENT": [Infinity, -Infinity, 1e999]}',
	"digits": b'{"ARGUMENT": ' + b"1" * 5000 + b"}",
	"twice": b'{"ARGUMENT": 1, "ARGUMENT": {"a": []}}',
	"cut off": b'{"ARGUMENT": [{"question_id": "a',
	"deep": b'{"ARGUMENT": ' + b"[" * 30_000,
	"a list": b'["ARGUMENT"]',
	"a text": b'"ARGUMENT"',
	"no unicode": b'{"ARGUMENT": "\xff\xfe\xed\xa0\x80"}',
	"utf-16": '{"ARGUMENT": "a"}'.encode("utf-16"),
	"raw control characters": b'{"ARGUMENT": "a\x00\x01\x1f"}',
	"names of Python": json.dumps(
		{"ARGUMENT": 1, "fn": 1, "self": 1, "args": [1], "kwargs": {"a": 1}, "cls": 1, "flags": 1, "data": 1}
	).encode(),
}


def all_arguments(arguments: tuple[str, ...], value: Any) -> dict[str, Any]:
	return dict.fromkeys(arguments or ("argument",), value)
