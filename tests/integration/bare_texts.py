"""Finds texts that people read and nobody can translate: bare literals where a text is told."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from memora import exceptions

TOLD_BY = {"throw", "msgprint", "_refuse", "_refuse_field", "tell_managers", "column"}
TOLD_AS = {"subject", "message", "title", "label"}
OURS = {name for name, value in vars(exceptions).items() if isinstance(value, type)}
SCRIPT = re.compile(
	r"""(?:\b(?:throw|msgprint|show_alert|confirm|prompt|set_intro|set_description|add_custom_button"""
	r"""|add_inner_button|add_actions_menu_item|add_section|show_progress|fact|problem|ask)\(\s*"""
	r"""|\b(?:label|title|message|description|placeholder|primary_action_label|freeze_message):\s*)"""
	r"""(["'`])(?P<text>[^"'`]*)"""
)
MARKUP = re.compile(r"\{[{%#].*?[}%#]\}|<(script|style)\b.*?</\1>|<[^>]*(?:>|$)", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")


def in_python(code: str) -> Iterator[str]:
	for node in ast.walk(ast.parse(code)):
		if isinstance(node, ast.Call):
			yield from (ast.unparse(text) for text in _told(node) if _is_bare(text))


def _told(call: ast.Call) -> Iterator[ast.expr]:
	name = getattr(call.func, "attr", getattr(call.func, "id", None))
	if name in TOLD_BY | OURS:
		yield from call.args
		yield from (keyword.value for keyword in call.keywords if keyword.arg in TOLD_AS)


def _is_bare(node: ast.expr) -> bool:
	"""Says whether the code holds words that do not pass `_`. Of its calls, only a text's own methods count."""
	match node:
		case ast.Constant(value=str(text)):
			return bool(re.search(r"\w \w", text))
		case ast.JoinedStr(values=parts):
			return any(isinstance(part, ast.Constant) and WORD.search(part.value) for part in parts)
		case ast.BinOp(left=left, right=right) | ast.IfExp(body=left, orelse=right):
			return _is_bare(left) or _is_bare(right)
		case ast.Call(func=ast.Attribute(value=text)):
			return _is_bare(text)
	return False


def in_script(code: str) -> Iterator[str]:
	"""Markup in a template is none, nor what is filled in."""
	for match in SCRIPT.finditer(code):
		text = MARKUP.sub("", re.sub(r"\$\{[^}]*\}", "", match["text"]))
		if WORD.search(text):
			yield match[0]


def in_page(code: str) -> Iterator[str]:
	return (words.strip() for words in MARKUP.sub("\n", code).splitlines() if WORD.search(words))


FINDERS = {".py": in_python, ".js": in_script, ".html": in_page}


def in_folder(folder: Path) -> Iterator[tuple[str, str]]:
	"""(file, text)."""
	for suffix, find in FINDERS.items():
		for path in sorted(folder.rglob(f"*{suffix}")):
			yield from ((path.relative_to(folder).as_posix(), text) for text in find(path.read_text()))
