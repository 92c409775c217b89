"""What production adds to common_site_config.json. What is there stays as it is, and nobody is shown a password."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from frappe import _

from memora.exceptions import SetupRefused
from memora.services.cache import addresses, connections
from memora.services.folding.queueing import QUEUE

WORKER = {"timeout": 300}  # seconds: as long as a fold may take
FRAPPES = ("redis_cache", "redis_queue")
OPTIONS = ("socket_connect_timeout", "socket_timeout")
SHOWN = ("workers", connections.URL, *FRAPPES)  # of what else there is, people see the name alone


def merge(text: str, port: int | None) -> str:
	"""Returns the file's new content: a worker of its own for the answers, the schedules' Redis, and timeouts.

	`port` is that of the schedules' Redis, or None if somebody else runs it. The order and the indentation stay. Raises
	SetupRefused if the file is no JSON object.
	"""
	before = _read(text)
	conf = json.loads(text)
	_add_worker(conf)
	if port:
		_point_at(conf, port)
	for name in FRAPPES:
		if isinstance(conf.get(name), str):
			conf[name] = with_timeouts(conf[name], connect_seconds=0.5)
	if conf == before:
		return text
	if list(before) == sorted(before):  # as bench writes it
		conf = dict(sorted(conf.items()))
	return _written_like(text, conf)


def _read(text: str) -> dict[str, Any]:
	try:
		conf = json.loads(text)
	except ValueError as error:
		raise SetupRefused(_("common_site_config.json is no JSON: {0}").format(error)) from error
	if not isinstance(conf, dict) or not isinstance(conf.get("workers", {}), dict):
		raise SetupRefused(_("common_site_config.json, and workers in it, must be JSON objects."))
	return conf


def _add_worker(conf: dict[str, Any]) -> None:
	worker = conf.setdefault("workers", {}).setdefault(QUEUE, {})
	for name, value in WORKER.items():
		worker.setdefault(name, value)


def _point_at(conf: dict[str, Any], port: int) -> None:
	"""Names the schedules' Redis, unless the URL has that port already."""
	url = conf.get(connections.URL)
	if not url or (urlsplit(url).port or 6379) != port:
		conf[connections.URL] = with_timeouts(f"redis://127.0.0.1:{port}", connect_seconds=0.25)


def with_timeouts(url: str, connect_seconds: float, reply_seconds: float = 0.5) -> str:
	"""Returns the URL of a Redis with both timeouts. One that is there already stays as it is."""
	there = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
	wanted = dict(zip(OPTIONS, (connect_seconds, reply_seconds), strict=True))
	lacking = "&".join(f"{name}={value}" for name, value in wanted.items() if name not in there)
	if not lacking or not url.startswith(("redis://", "rediss://")):
		return url
	return f"{url}{'' if url.endswith(('?', '&')) else '&' if '?' in url else '?'}{lacking}"


def _written_like(text: str, conf: dict[str, Any]) -> str:
	"""Returns a file with the indentation, the letters and the end of the file before."""
	indent = re.search(r"\n([ \t]+)", text)
	end = text[len(text.rstrip()) :]
	return json.dumps(conf, indent=indent[1] if indent else 1, ensure_ascii=text.isascii()) + end


# What people see


def without_secrets(text: str) -> str:
	"""Returns the file as it may be shown: of settings that production does not touch the name alone, and no password."""
	conf = {name: _shown(value) if name in SHOWN else "…" for name, value in _read(text).items()}
	return _written_like(text or "{}", conf).replace("\\u2026", "…")


def _shown(value: Any) -> Any:
	if not isinstance(value, str):
		return value
	options = dict(parse_qsl(urlsplit(value).query, keep_blank_values=True))
	query = "&".join(f"{name}={option if name in OPTIONS else '…'}" for name, option in options.items())
	return f"{addresses.shown(value)}{'?' if query else ''}{query}"
