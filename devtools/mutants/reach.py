"""Which tests run a line, by what the plugin in tracing has noted; and the run that notes it."""

import hashlib
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from devtools import shell
from devtools.mutants.changes import Change
from devtools.mutants.copy import Copy
from devtools.mutants.places import place_of, statement_around
from devtools.report import Failure, step

# Tests in other files start servers or browsers of their own, or don't run the code in this process
TESTS = ("tests/unit", "tests/integration")
BESIDE = re.compile(
	r"test_(house|docs|vulnerabilities|quickstart|rq_dashboard|monitoring|api_guide|physical_backup|nginx)\.py$"
)
RAN = (0, 1, 5)  # of pytest: all passed, some failed, there are none
NAME = re.compile(r"\w+")


class Reach:
	"""The tests by the functions that they run."""

	def __init__(self, copy: Copy) -> None:
		self.copy = copy
		self.file = copy.folder / "lines.jsonl"
		self.seconds: dict[str, float] = {}
		self.by_function: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)

	def note_new_tests(self) -> None:
		"""Runs the test files that have changed since they were noted, and notes what their tests run."""
		known = self._known_files()
		files = {str(p.relative_to(self.copy.root)): p for p in self._test_files()}
		new = [name for name, path in files.items() if known.get(name) != _digest(path)]
		if not new:
			return
		with step(f"Noting which lines the tests of {len(new)} files run"):
			for name in new:
				self._note(name, _digest(files[name]))

	def _test_files(self) -> list[Path]:
		found = [path for folder in TESTS for path in sorted((self.copy.root / folder).glob("test_*.py"))]
		return [path for path in found if not BESIDE.search(path.name)]

	def _known_files(self) -> dict[str, str]:
		return {row["file"]: row["digest"] for row in self._rows() if "exit_code" in row}

	def _rows(self) -> list[dict[str, Any]]:
		if not self.file.is_file():
			return []
		return [json.loads(line) for line in self.file.read_text().splitlines()]

	def _note(self, name: str, digest: str) -> None:
		"""Notes a file's tests, and then that the file is noted. What fails without any change is left out."""
		lines = self.copy.folder / "lines-of-one-file.jsonl"
		lines.unlink(missing_ok=True)
		command: shell.Arguments = [
			self.copy.bench.python,
			"-m",
			"pytest",
			"-q",
			"-p",
			"devtools.mutants.tracing",
			name,
		]
		environment = {**self.copy.environment(), "MEMORA_MUTANTS_LINES": str(lines)}
		with (self.copy.folder / "noting.log").open("ab") as log:
			done = subprocess.run(
				command, cwd=self.copy.root, env=environment, stdout=log, stderr=log, check=False
			)
		if done.returncode not in RAN or (done.returncode == 1 and not lines.is_file()):
			raise Failure(f"The tests of {name} could not be run", self.copy.folder / "noting.log")
		with self.file.open("a") as file:
			file.write(json.dumps({"file": name, "digest": digest, "exit_code": done.returncode}) + "\n")
			file.write(lines.read_text() if lines.is_file() else "")

	def load(self) -> None:
		"""Reads what is noted: of a file that was noted again, only the last."""
		latest: dict[str, list[dict[str, Any]]] = {}
		for row in self._rows():
			if "digest" in row:
				latest[row["file"]] = []
			else:
				latest.setdefault(row["file"], []).append(row)
		for row in (row for rows in latest.values() for row in rows):
			self.seconds[row["id"]] = row["seconds"]
			for path, functions in row["lines"].items():
				for function, mask in functions.items():
					self.by_function[path, function][row["id"]] = int(mask, 16)
		if not self.seconds:
			raise Failure("No test is noted", self.copy.folder / "noting.log")

	def forget(self, test: str) -> None:
		"""Has a test not run again."""
		for masks in self.by_function.values():
			masks.pop(test, None)

	def tests_of(self, change: Change) -> list[str]:
		"""Returns the tests that run the changed line, the quickest first; [] if none does."""
		return sorted(self._tests_of_line(change.path, change.line), key=lambda test: self.seconds[test])

	def _tests_of_line(self, path: str, line: int) -> set[str]:
		file = self.copy.root / path
		statement = statement_around(file, line)
		place = place_of(file, line)
		if not place.function:
			return self._users_of(path, statement.name) or self._tests_of_file(path)
		if not (masks := self.by_function.get((path, place.function), {})):
			return self._tests_of_file(path)  # none runs it in its own process
		first = statement.first - (line - place.offset)
		wanted = sum(1 << n for n in range(max(first, 0), statement.last - statement.first + first + 1))
		return {test for test, mask in masks.items() if mask & wanted} or set(masks)

	def _tests_of_file(self, path: str) -> set[str]:
		return {
			test for (file, _function), masks in self.by_function.items() if file == path for test in masks
		}

	def _users_of(self, path: str, name: str) -> set[str]:
		"""Returns the tests that run a line with a module's name on it, or with a name that is made from it."""
		names, tests = {name} - {""}, set()
		while names:
			lines = [found for one in names for found in self._words.get(one, ())]
			names = set()
			for file, line in lines:
				if place_of(file, line).function:
					tests |= self._tests_of_line(str(file.relative_to(self.copy.root)), line)
				elif (other := statement_around(file, line).name) and other not in self._seen:
					names.add(other)
					self._seen.add(other)
		self._seen.clear()
		return tests

	@cached_property
	def _seen(self) -> set[str]:
		return set()

	@cached_property
	def _words(self) -> dict[str, list[tuple[Path, int]]]:
		"""Returns the lines of the services with each word in capitals."""
		found: dict[str, list[tuple[Path, int]]] = defaultdict(list)
		for file in sorted((self.copy.root / "memora").rglob("*.py")):
			for number, line in enumerate(file.read_text().splitlines(), start=1):
				for word in set(NAME.findall(line)):
					if word.isupper():
						found[word].append((file, number))
		return found


def in_time(tests: Iterable[str], seconds: dict[str, float], most_seconds: float) -> list[str]:
	"""Returns the first tests that take so many seconds together, at least one."""
	chosen: list[str] = []
	total = 0.0
	for test in tests:
		total += seconds[test]
		if chosen and total > most_seconds:
			break
		chosen.append(test)
	return chosen


def _digest(path: Path) -> str:
	return hashlib.sha1(path.read_bytes()).hexdigest()
