"""`./dev mutants`: which changes are made, in which order, what is kept of them, and the report."""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devtools.mutants import copy
from devtools.mutants.changes import Change, changes_of
from devtools.mutants.copy import Copy
from devtools.mutants.reach import Reach, in_time
from devtools.paths import PROJECT, Bench
from devtools.report import Failure, say, step

SERVICES = PROJECT / "memora" / "services"
MOST_SECONDS = 120  # of tests for one change
LONGEST = 20.0, 8.0  # a test hangs after so many seconds, and so many times what it took
NOTICED = ("failed", "hangs", "broken")


def run(bench: Bench, args: list[str]) -> int:
	options = _options(args)
	changes = _chosen(changes_of(bench, _paths(options.modules)), options.sample, options.seed)
	if options.list:
		for change in changes:
			print(_shown(change))
		say(f"{len(changes)} changes")
		return 0
	with copy.made(bench) as of_project:
		verdicts = _Run(of_project, options).verdicts(changes)
	return _report(changes, verdicts, options.at_least)


def _options(args: list[str]) -> argparse.Namespace:
	parser = argparse.ArgumentParser(prog="./dev mutants", add_help=False)
	parser.add_argument("modules", nargs="+", metavar="MODULE")
	parser.add_argument("--sample", type=int)
	parser.add_argument("--seed", type=int, default=1)
	parser.add_argument("--list", action="store_true")
	parser.add_argument("--again", action="store_true")
	parser.add_argument("--at-least", type=float, default=0, metavar="PERCENT")
	parser.add_argument("--seconds", type=float, default=MOST_SECONDS)
	return parser.parse_args(args)


def _paths(modules: list[str]) -> list[str]:
	"""Returns the files of modules: paths or dotted names, below memora/services or below the project."""
	found = [file for module in modules for file in _files(module)]
	return sorted({str(file.relative_to(PROJECT)) for file in found if file.read_text().strip()})


def _files(module: str) -> list[Path]:
	plain = module.rstrip("/")
	names = [plain, plain.replace(".", "/"), plain.replace(".", "/") + ".py"]
	for path in (root / name for root in (SERVICES, PROJECT) for name in names):
		if path.is_file() and path.suffix == ".py":
			return [path]
		if path.is_dir():
			return sorted(path.rglob("*.py"))
	raise Failure(f"There is no module {module} in memora/services, nor in the project")


def _chosen(changes: list[Change], sample: int | None, seed: int) -> list[Change]:
	if sample is None or sample >= len(changes):
		return changes
	return sorted(random.Random(seed).sample(changes, sample), key=lambda change: (change.path, change.start))


def _shown(change: Change) -> str:
	return f"{change.path}:{change.line}: {change.before}  ->  {change.after or '(nothing)'}"


class _Run:
	"""Tries changes one after the other, and keeps each verdict, so that an interrupted run goes on."""

	def __init__(self, of_project: Copy, options: argparse.Namespace) -> None:
		self.copy, self.options = of_project, options
		self.kept = of_project.folder / "verdicts.jsonl"
		self.reach = Reach(of_project)
		self.noticers: Counter[tuple[str, str]] = Counter()  # by file and test

	def verdicts(self, changes: list[Change]) -> dict[str, dict[str, Any]]:
		"""Returns {key of a change: {"outcome", "test"}}."""
		known = {key: row for key, row in self._known().items() if self._stays(row)}
		rest = [change for change in changes if change.key not in known]
		if rest:
			self.reach.note_new_tests()
			self.reach.load()
			with _warm(self.copy) as self.warm:
				self._load()
				for number, change in enumerate(rest, start=1):
					known[change.key] = self._try(change)
					self._keep(change, known[change.key], f"{number} of {len(rest)}")
		return known

	def _known(self) -> dict[str, dict[str, Any]]:
		rows = map(json.loads, self.kept.read_text().splitlines()) if self.kept.is_file() else ()
		return {row["key"]: row for row in rows}

	def _stays(self, row: dict[str, Any]) -> bool:
		return row["outcome"] in NOTICED or not self.options.again

	def _keep(self, change: Change, verdict: dict[str, Any], number: str) -> None:
		with self.kept.open("a") as file:
			file.write(json.dumps({"key": change.key, "change": _shown(change), **verdict}) + "\n")
		word = "noticed  " if verdict["outcome"] in NOTICED else "UNNOTICED"
		say(f"{verdict['seconds']:7.1f} s  {number:>10}  {word}  {_shown(change)[:150]}")

	def _try(self, change: Change) -> dict[str, Any]:
		begin = time.monotonic()
		tests = self._tests(change)
		verdict = self._confirmed(change, tests) if tests else {"outcome": "not run", "test": ""}
		if verdict["outcome"] in ("failed", "hangs"):
			self.noticers[change.path, verdict["test"]] += 1
		return {**verdict, "tests": len(tests), "seconds": round(time.monotonic() - begin, 1)}

	def _tests(self, change: Change) -> list[str]:
		"""Returns the tests to run: first those that have noticed changes of this file before."""
		tests = self.reach.tests_of(change)
		tests.sort(key=lambda test: -self.noticers[change.path, test])
		return in_time(tests, self.reach.seconds, self.options.seconds)

	def _confirmed(self, change: Change, tests: list[str]) -> dict[str, Any]:
		"""Runs the tests with the change. One that fails without it, too, does not count and is not run again."""
		while tests:
			source = (self.copy.root / change.path).read_text()
			with self.copy.changed(change.path, change.applied(source)):
				verdict = self._ask(tests)
			test = verdict["test"] or tests[0]  # without one, nothing could be collected
			if verdict["outcome"] == "passed" or self._passes(test):
				return verdict
			self.copy.restore_sites()  # what a change before has left there may be the reason: then all is run again
			if not self._passes(test):
				say(f"           fails without a change, too: {test}")
				self.reach.forget(test)
				tests = [other for other in tests if other != test]
		return {"outcome": "not run", "test": ""}

	def _passes(self, test: str) -> bool:
		return self._ask([test])["outcome"] == "passed"

	def _ask(self, tests: list[str], **more: Any) -> dict[str, Any]:
		least, times = LONGEST
		seconds = {test: max(least, times * self.reach.seconds.get(test, least)) for test in tests}
		log = str(self.copy.folder / "tests.log")
		return self._order({"tests": tests, "seconds": seconds, "log": log, **more})

	def _order(self, order: dict[str, Any]) -> dict[str, Any]:
		assert self.warm.stdin and self.warm.stdout
		self.warm.stdin.write(json.dumps(order) + "\n")
		self.warm.stdin.flush()
		line = self.warm.stdout.readline()
		if not line:
			raise Failure("The process that runs the tests has ended", self.copy.folder / "warm.log")
		return json.loads(line)

	def _load(self) -> None:
		"""Has the warm process load what a run of one test loads, so that its forks need not."""
		listed = self.copy.folder / "modules.json"
		quickest = min(
			(test for test in self.reach.seconds if "/integration/" in test),
			key=lambda t: self.reach.seconds[t],
		)
		with step("Loading what the tests need"):
			listed.unlink(missing_ok=True)
			self._ask([quickest], note_modules=str(listed))
			if listed.is_file():  # a machine that is busy may have taken it for one that hangs
				self._order({"load": json.loads(listed.read_text())})


@contextmanager
def _warm(of_project: Copy) -> Iterator["subprocess.Popen[str]"]:
	command = copy.program(of_project.bench, "devtools.mutants.warm")
	with (of_project.folder / "warm.log").open("w") as log:
		process = subprocess.Popen(
			command,
			cwd=of_project.root,
			env=of_project.environment(),
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			stderr=log,
			text=True,
		)
		try:
			yield process
		finally:
			process.terminate()
			process.wait()


def _report(changes: list[Change], verdicts: dict[str, dict[str, Any]], at_least: float) -> int:
	by_file: dict[str, list[bool]] = {}
	for change in changes:
		by_file.setdefault(change.path, []).append(verdicts[change.key]["outcome"] in NOTICED)
	print("\nNoticed, by file:")
	for path, noticed in by_file.items():
		print(f"  {sum(noticed):4} of {len(noticed):4}  {path}")
	missed = [change for change in changes if verdicts[change.key]["outcome"] not in NOTICED]
	print("\nNot noticed:" if missed else "\nAll were noticed.")
	for change in missed:
		print(f"  {_shown(change)}  ({verdicts[change.key]['tests']} tests)")
	share = 100 * (len(changes) - len(missed)) / max(len(changes), 1)
	print(f"\n{len(changes) - len(missed)} of {len(changes)} changes were noticed: {share:.1f} %")
	sys.stdout.flush()
	return 0 if share >= at_least else 1
