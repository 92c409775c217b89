"""Changes that cosmic-ray does not know: statements that are left out, exceptions that nobody catches (cosmic-ray fails
at names with a dot), and careless changes in SQL and in Lua.

A change is (start, end, new): the characters from start to end become new.
"""

import ast
import re
from collections.abc import Iterator

Edit = tuple[int, int, str]

IS_SQL = re.compile(
	r"\b(SELECT|WHERE|UPDATE|DELETE FROM|INSERT INTO|ON DUPLICATE KEY|FROM `tab|VALUES\()|^\W*(AND|OR) "
)
IS_LUA = re.compile(r"redis\.p?call\(|\bARGV\[")

# In a text of SQL each match of the pattern is replaced, one at a time
SQL = [
	(r"(?<![<>=!])<=(?!>)", "<"),
	(r"(?<![<>=])>=", ">"),
	(r"<(?![=>])", "<="),
	(r"(?<![<=])>(?!=)", ">="),
	(r"<>", "="),
	(r" FOR UPDATE SKIP LOCKED", " FOR UPDATE"),
	(r" FOR UPDATE(?: SKIP LOCKED)?", ""),
	(r" LOCK IN SHARE MODE", ""),
	(r"\bIS NULL\b", "IS NOT NULL"),
	(r"\bIS NOT NULL\b", "IS NULL"),
	(r"\bNOT IN\b", "IN"),
	(r"\bNOT EXISTS\b", "EXISTS"),
	(r"\bGREATEST\(", "LEAST("),
	(r"\bLEAST\(", "GREATEST("),
	(r"\bMIN\(", "MAX("),
	(r"\bMAX\(", "MIN("),
	(r"\bDISTINCT ", ""),
	(r"\bINSERT IGNORE\b", "INSERT"),
	(r"\bLEFT JOIN\b", "JOIN"),
	(r" DESC\b", ""),
	(r"(?<=ORDER BY )[\w.]+(?! DESC)\b", r"\g<0> DESC"),
	(r" LIMIT (?!1\b)(%s|%\(\w+\)s|\{\w+\}|\d+)", ""),  # of what has one row, the first is read anyway
	(r" OR ", " AND "),
	(r" \+ ", " - "),
	(r" - ", " + "),
]
LUA = [
	(r"(?m)^(\s*)redis\.p?call\(.*\)$", r"\1"),
	(r"(?<=then )redis\.p?call\([^\n]*\)(?= end)", ""),
	(r"(?<=do )redis\.p?call\([^\n]*\)(?= end)", ""),
	(r"(?m)^(\s*)if .* then return .* end$", r"\1"),
	(r", '[NX]X'", ""),
	(r", 'EX', ARGV\[\d\]", ""),
	(r"==", "~="),
	(r"~=", "=="),
	(r"<=", "<"),
	(r">=", ">"),
	(r"<(?!=)", "<="),
	(r"(?<!=)>(?!=)", ">="),
	(r" and ", " or "),
	(r" or ", " and "),
	(r"\bnot ", ""),
	(r"return 1\b", "return 0"),
	(r"return 0\b", "return 1"),
]
# Where a condition of SQL begins, and where it ends at the latest
CONDITION = re.compile(r"\b(?:WHERE|AND|ON|HAVING) (?!DUPLICATE\b)")
BETWEEN = re.compile(r"\bBETWEEN \S+ $")
END = re.compile(
	r"\s(?:AND|OR|ORDER BY|GROUP BY|LIMIT|FOR UPDATE|LOCK IN|UNION|ON DUPLICATE|WHERE|HAVING|LEFT|JOIN)\b|\"|;"
)
CAUGHT_BY_NOBODY = "GeneratorExit"
ASSIGNMENTS = re.compile(r"\b(?:SET|ON DUPLICATE KEY UPDATE)\s")


def changes(source: str) -> Iterator[tuple[str, Edit]]:
	"""Yields (kind, edit) for a module's text."""
	tree, starts = ast.parse(source), _line_starts(source)

	def range_of(node: ast.AST) -> tuple[int, int]:
		return _offset(source, starts, node.lineno, node.col_offset), _offset(  # type: ignore[attr-defined]
			source,
			starts,
			node.end_lineno,  # type: ignore[attr-defined]
			node.end_col_offset,  # type: ignore[attr-defined]
		)

	inner = {
		id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
	}
	for node in ast.walk(tree):
		if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _is_log(node.value):
			yield "DropStatement", (*range_of(node), "pass")
		elif isinstance(node, ast.With) and not any(item.optional_vars for item in node.items):
			start, end = range_of(node)[0], range_of(node.items[-1].context_expr)[1]
			if source[end] == ":":
				yield "DropWith", (start, end, "if True")
		elif isinstance(node, ast.ExceptHandler) and node.type:
			caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
			yield from (("ExceptionReplacer", (*range_of(one), CAUGHT_BY_NOBODY)) for one in caught)
		elif isinstance(node, ast.JoinedStr) or (_is_text(node) and id(node) not in inner):
			start, end = range_of(node)
			yield from (
				(kind, (start + a, start + b, new)) for kind, (a, b, new) in _in_text(source[start:end])
			)


def _is_text(node: ast.AST) -> bool:
	return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_log(call: ast.Call) -> bool:
	return "logger" in ast.unparse(call.func) or ast.unparse(call.func) in ("log", "say")


def _line_starts(source: str) -> list[int]:
	return [0, *(match.end() for match in re.finditer("\n", source))]


def _offset(source: str, starts: list[int], line: int, column: int) -> int:
	"""Returns the character at a line and a column, which ast counts in bytes."""
	start = starts[line - 1]
	text = source[start : starts[line] if line < len(starts) else len(source)]
	return start + len(text.encode()[:column].decode())


def _in_text(text: str) -> Iterator[tuple[str, Edit]]:
	if text.lstrip("fr").startswith('"""') and not IS_SQL.search(text) and not IS_LUA.search(text):
		return
	if IS_LUA.search(text):
		yield from (("Lua", edit) for edit in _replaced(text, LUA))
	elif IS_SQL.search(text) and not re.match(
		r'[rf]*"""[A-Z][a-z]', text
	):  # a docstring may name a statement
		yield from (("Sql", edit) for edit in _replaced(text, SQL))
		yield from (("SqlCondition", edit) for edit in _conditions(text))
		yield from (("SqlSet", edit) for edit in _assignments(text))


def _replaced(text: str, rules: list[tuple[str, str]]) -> Iterator[Edit]:
	for pattern, new in rules:
		for match in re.finditer(pattern, text):
			yield match.start(), match.end(), match.expand(new)


def _conditions(text: str) -> Iterator[Edit]:
	"""Each condition becomes TRUE."""
	for match in CONDITION.finditer(text):
		if not BETWEEN.search(text[: match.start()]):
			end = _end(text, match.end(), END)
			if text[match.end() : end].strip() not in ("", "TRUE"):
				yield match.end(), end, "TRUE"


def _assignments(text: str) -> Iterator[Edit]:
	"""Each assignment of several is left out."""
	for match in ASSIGNMENTS.finditer(text):
		start, end = match.end(), _end(text, match.end(), re.compile(r"\sWHERE\b|\""))
		pieces = _split(text, start, end)
		for first, last in pieces if len(pieces) > 1 else []:
			yield (first, last + 1, "") if text[last : last + 1] == "," else (first - 1, last, "")


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
	"""Returns the pieces between commas that no bracket encloses."""
	pieces, depth, first = [], 0, start
	for at in range(start, end):
		depth += (text[at] in "({[") - (text[at] in ")}]")
		if text[at] == "," and not depth:
			pieces.append((first, at))
			first = at + 1
	return [*pieces, (first, end)]


def _end(text: str, start: int, stop: re.Pattern[str]) -> int:
	"""Returns where what begins at start ends: at a closing bracket, or at `stop` outside of brackets."""
	depth = 0
	for at in range(start, len(text)):
		depth += (text[at] in "({[") - (text[at] in ")}]")
		if depth < 0 or (not depth and stop.match(text, at) and not BETWEEN.search(text[start : at + 1])):
			return at
	return len(text)
