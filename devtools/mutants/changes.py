"""The changes that may be made to a file: those of cosmic-ray, and those of texts."""

import ast
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools import environment, shell
from devtools.mutants import texts
from devtools.paths import PROJECT, Bench

COSMIC_RAY = PROJECT / "devtools" / "cosmic-ray.txt"
PROGRAM = PROJECT / "devtools" / "mutants" / "cosmic.py"
FOR_ITSELF = ("texts.py", "cosmic.py", "changes.py")  # when these change, the changes are made anew

LEAST_ONE = re.compile(r"\bmax\(.*, 1\)")


@dataclass(frozen=True)
class Change:
	"""Characters `start` to `end` of a file become `new`. `before` and `after` are the lines around, for people."""

	path: str
	line: int
	kind: str
	start: int
	end: int
	new: str
	before: str
	after: str
	key: str  # the same as long as the file is the same

	def applied(self, source: str) -> str:
		return source[: self.start] + self.new + source[self.end :]


def changes_of(bench: Bench, paths: list[str]) -> list[Change]:
	"""Returns the changes of files of the project, by file and line. Keeps what it has found out."""
	kept = bench.root / "mutants" / "changes"
	kept.mkdir(parents=True, exist_ok=True)
	unknown = [path for path in paths if not _kept(kept, path).is_file()]
	if unknown:
		found = _by_cosmic_ray(bench, unknown)
		for path in unknown:
			rows = [asdict(change) for change in _changes(path, found.get(path, []))]
			_kept(kept, path).write_text(json.dumps(rows))
	return [Change(**row) for path in paths for row in json.loads(_kept(kept, path).read_text())]


def _kept(folder: Path, path: str) -> Path:
	digest = hashlib.sha1(path.encode())
	for file in (PROJECT / path, *(PROGRAM.parent / name for name in FOR_ITSELF)):
		digest.update(file.read_bytes())
	return folder / f"{digest.hexdigest()}.json"


def _by_cosmic_ray(bench: Bench, paths: list[str]) -> dict[str, list[tuple[str, texts.Edit]]]:
	programs = environment.ensure_beside(bench, "cosmic-ray", COSMIC_RAY)
	command: shell.Arguments = [programs / "python", "-I", PROGRAM, *paths]
	done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
	found: dict[str, list[tuple[str, texts.Edit]]] = {}
	for row in map(json.loads, done.stdout.splitlines()):
		source = (PROJECT / row["path"]).read_bytes()
		start, end = (len(source[: row[side]].decode()) for side in ("start", "end"))
		found.setdefault(row["path"], []).append((row["kind"], (start, end, row["new"])))
	return found


def _changes(path: str, by_cosmic_ray: list[tuple[str, texts.Edit]]) -> Iterator[Change]:
	source, seen = (PROJECT / path).read_text(), set()
	quiet = _annotations_and_settings(source)
	for kind, edit in sorted([*by_cosmic_ray, *texts.changes(source)], key=lambda found: found[1][:2]):
		change = _change(path, source, kind, edit)
		is_quiet = any(first <= change.line <= last and kind in kinds for first, last, kinds in quiet)
		if edit not in seen and not is_quiet and not _is_vain(change) and _compiles(change.applied(source)):
			seen.add(edit)
			yield change


def _is_vain(change: Change) -> bool:
	"""Says whether another change does the same, or what changes is a check that a right program never fails.

	The last of several rows for the first one: mostly there is one row, and the second for the first asks the same. Another least
	divisor than 1, as in `max(rows, 1)`.
	"""
	if change.kind == "NumberReplacer":
		is_last_for_first = (
			change.after.count("[-1]") > change.before.count("[-1]") and "[0]" in change.before
		)
		return is_last_for_first or (
			len(LEAST_ONE.findall(change.after)) < len(LEAST_ONE.findall(change.before))
		)
	return "not not " in change.after or (
		change.kind == "ReplaceTrueWithFalse" and ("strict=" in change.before or "frozen=" in change.before)
	)


def _change(path: str, source: str, kind: str, edit: texts.Edit) -> Change:
	start, end, new = edit
	changed = source[:start] + new + source[end:]
	line = source.count("\n", 0, start)
	before, after = source.split("\n"), changed.split("\n")
	while line < len(before) - 1 and line < len(after) - 1 and before[line] == after[line]:
		line += 1
	last, last_after = len(before), len(after)
	while last > line + 1 and last_after > line + 1 and before[last - 1] == after[last_after - 1]:
		last, last_after = last - 1, last_after - 1
	key = hashlib.sha1(f"{path} {source} {edit}".encode()).hexdigest()
	was, is_ = (" ".join(" ".join(lines).split()) for lines in (before[line:last], after[line:last_after]))
	return Change(path, line + 1, kind, start, end, new, was, is_, key)


def _annotations_and_settings(source: str) -> list[tuple[int, int, set[str]]]:
	"""Returns (first line, last line, kinds) of what no test can notice, or need not notice.

	Types are checked by mypy. A module's figures, such as 60 seconds, are settings: 61 would do as well.
	"""
	tree = ast.parse(source)
	settings = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
	types = [getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns")]
	return [
		*(_lines(node, {"NumberReplacer"}) for node in settings),
		*(
			_lines(node, {"ReplaceBinaryOperator_BitOr_BitAnd"})
			for node in types
			if isinstance(node, ast.expr)
		),
	]


def _lines(node: ast.stmt | ast.expr, kinds: set[str]) -> tuple[int, int, set[str]]:
	return node.lineno, node.end_lineno or node.lineno, kinds


def _compiles(source: str) -> bool:
	try:
		ast.parse(source)
	except SyntaxError:
		return False
	return True
