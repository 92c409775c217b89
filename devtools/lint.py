"""`./dev lint`: every check that needs no site. Its tools stand in environments of their own, so no bench is needed.

Versions are pinned: those from PyPI in lint.txt, those from npm in javascript/package-lock.json.
"""

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools import environment, node, packages, shell
from devtools.locks import exclusive
from devtools.paths import PROJECT, Bench
from devtools.report import Failure, say, step

REQUIREMENTS = PROJECT / "devtools" / "lint.txt"
JAVASCRIPT = PROJECT / "devtools" / "javascript"
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
SECONDS_TO_ASK = 30  # for vulnerabilities: a network that does not answer must not hold up the rest
NOT_ASKED = 75  # EX_TEMPFAIL of sysexits.h, by which vulnerabilities.py says that nobody answered


class Found(Exception):
	"""What a check has found, for people to read."""


class Skipped(Exception):
	"""Why a check can't be made here."""


@dataclass(frozen=True)
class Check:
	summary: str
	run: Callable[[Bench, bool], None]  # the flag is --fix; raises Found or Skipped


def run(bench: Bench, args: list[str]) -> int:
	begin = time.monotonic()
	parser = argparse.ArgumentParser(prog="./dev lint", add_help=False)
	parser.add_argument("checks", nargs="*", metavar="CHECK")
	parser.add_argument("--fix", action="store_true")
	options = parser.parse_args(args)
	if unknown := [name for name in options.checks if name not in CHECKS]:
		raise Failure(f"There is no check {', '.join(unknown)}, only {', '.join(CHECKS)}")
	_ensure_tools(bench)
	outcomes = [_outcome(bench, name, options.fix) for name in options.checks or CHECKS]
	counts = ", ".join(f"{outcomes.count(o)} {o}" for o in ("passed", "skipped", "failed") if o in outcomes)
	say(f"{time.monotonic() - begin:7.1f} s  {len(outcomes)} checks: {counts}")
	return 1 if "failed" in outcomes else 0


def _outcome(bench: Bench, name: str, fix: bool) -> str:
	"""Runs a check and prints its line, below what it has found."""
	begin, outcome, remark = time.monotonic(), "passed", ""
	try:
		CHECKS[name].run(bench, fix)
	except Skipped as skipped:
		outcome, remark = "skipped", f": {skipped}"
	except Found as found:
		outcome = "failed"
		say(f"\n{found}\n")
	say(f"{time.monotonic() - begin:7.1f} s  {name:15} {outcome}{remark}")
	return outcome


def _expect_success(args: Sequence[str | Path]) -> None:
	"""Runs a program in the project's folder; raises Found with what it printed unless it exits with 0."""
	done = subprocess.run(
		args,
		cwd=PROJECT,
		stdin=subprocess.DEVNULL,
		stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT,
		text=True,
	)
	if done.returncode:
		raise Found(done.stdout.strip())


# The checks


def _python(bench: Bench, fix: bool) -> None:
	_expect_success([_tool(bench, "ruff"), "check", "--quiet", *(["--fix"] if fix else [])])


def _formatting(bench: Bench, fix: bool) -> None:
	_expect_success([_tool(bench, "ruff"), "format", "--quiet", *([] if fix else ["--diff"])])


def _types(bench: Bench, fix: bool) -> None:
	_expect_success([_tool(bench, "mypy")])


def _javascript(bench: Bench, fix: bool) -> None:
	biome = _biome(bench)
	_expect_success([biome, "check", "--error-on-warnings", *(["--write"] if fix else [])])


def _workflows(bench: Bench, fix: bool) -> None:
	schema = ["--builtin-schema", "vendor.github-workflows"]
	_expect_success([_tool(bench, "check-jsonschema"), "--quiet", *schema, *WORKFLOWS])
	_expect_success([_tool(bench, "zizmor"), "--quiet", "--offline", *WORKFLOWS])


def _packages(bench: Bench, fix: bool) -> None:
	if not bench.python.is_file():
		raise Skipped("there is no bench yet, ./dev setup makes one")
	_expect_success([bench.python, "-m", "pip", "check"])


def _vulnerabilities(bench: Bench, fix: bool) -> None:
	"""Of the versions in the bench, where there is one: lint.txt grows old."""
	python = bench.python if bench.python.is_file() else _tool(bench, "python")
	args = [python, PROJECT / "devtools" / "vulnerabilities.py", PROJECT / "pyproject.toml"]
	try:
		done = subprocess.run(args, capture_output=True, text=True, timeout=SECONDS_TO_ASK)
	except subprocess.TimeoutExpired:
		raise Skipped(f"no answer within {SECONDS_TO_ASK} s") from None
	if done.returncode == NOT_ASKED:
		raise Skipped(done.stdout.strip())
	if done.returncode:
		raise Found(f"{done.stdout}{done.stderr}".strip())


CHECKS = {
	"python": Check("ruff's checks", _python),
	"formatting": Check("Python stands as ruff formats it", _formatting),
	"types": Check("mypy's: is what functions say of themselves true?", _types),
	"javascript": Check("Biome's checks and formatting of what browsers load", _javascript),
	"workflows": Check("GitHub's workflows: their keys, and their security", _workflows),
	"packages": Check("pip check of the bench's environment", _packages),
	"vulnerabilities": Check("known ones of what memora itself requires", _vulnerabilities),
}


# The tools


def _tool(bench: Bench, name: str) -> Path:
	return bench.root / "lint" / "bin" / name


def _biome(bench: Bench) -> Path:
	"""The program itself: npm's way to it starts a Node first."""
	modules = bench.root / "javascript" / "node_modules" / "@biomejs"
	return next(path for path in modules.glob("cli-*/biome"))


def _ensure_tools(bench: Bench) -> None:
	bench.make_directories()
	packages.ensure_venv_module(bench)
	environment.ensure_beside(bench, "lint", REQUIREMENTS)
	with exclusive(bench.run / "javascript.lock"):
		_ensure_from_npm(bench)


def _ensure_from_npm(bench: Bench) -> None:
	folder, lock = bench.root / "javascript", JAVASCRIPT / "package-lock.json"
	stamp = folder / ".memora-lock"
	if stamp.is_file() and stamp.read_text() == lock.read_text():
		return
	folder.mkdir(exist_ok=True)
	for path in (JAVASCRIPT / "package.json", lock):
		(folder / path.name).write_text(path.read_text())
	npm = node.ensure_npm(bench, _tool(bench, "python"))
	with step("Installing the linter of JavaScript"):
		options = ["--ignore-scripts", "--no-audit", "--no-fund"]
		shell.run([*npm, "ci", *options, "--prefix", folder], bench.log("lint"))
	stamp.write_text(lock.read_text())
