"""Where in a file a line is: in which function, and at which of its lines. A function that has moved keeps its places."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

Functions = tuple[type[ast.FunctionDef], type[ast.AsyncFunctionDef]]
FUNCTIONS: Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


class Place(NamedTuple):
	"""A line of a function. `function` is "" for a line that runs when the module is imported; `offset` counts from `def`."""

	function: str
	offset: int


class Span(NamedTuple):
	"""The lines of a function's body, or of a statement, from the first to the last."""

	name: str
	first: int
	last: int


@cache
def functions_of(path: Path) -> list[Span]:
	"""Returns the functions of a file with their lines; inner ones come after those around them."""
	found: list[Span] = []

	def visit(node: ast.AST, prefix: str) -> None:
		for child in ast.iter_child_nodes(node):
			name = prefix
			if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
				name = f"{prefix}.{child.name}" if prefix else child.name
			if isinstance(child, FUNCTIONS):
				found.append(Span(name, child.lineno, child.end_lineno or child.lineno))
			visit(child, name)

	visit(_tree(path), "")
	return found


@cache
def place_of(path: Path, line: int) -> Place:
	around = [span for span in functions_of(path) if span.first <= line <= span.last]
	return Place(around[-1].name, line - around[-1].first) if around else Place("", line)


def statement_around(path: Path, line: int) -> Span:
	"""Returns the innermost statement that a line belongs to; of a statement with a body, the lines above its body.

	Its name is the one that the statement assigns to, as in `NAME = …`; else "".
	"""
	found = Span("", line, line)
	for node in ast.walk(_tree(path)):  # what is around comes before what is within
		if isinstance(node, ast.stmt) and node.lineno <= line <= _last_of_head(node):
			found = Span(_assigned(node), node.lineno, _last_of_head(node))
	return found


@cache
def _tree(path: Path) -> ast.Module:
	return ast.parse(path.read_bytes())


def _last_of_head(node: ast.stmt) -> int:
	body = getattr(node, "body", None)
	return body[0].lineno - 1 if body else node.end_lineno or node.lineno


def _assigned(node: ast.stmt) -> str:
	"""Returns the name that a statement assigns to, as in `NAME = …`; else ""."""
	targets = node.targets if isinstance(node, ast.Assign) else []
	return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""
