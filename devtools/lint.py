"""`./dev lint`: runs every check that needs no site. Its tools have separate environments, so it needs no bench.

The versions of the tools are pinned: in lint.txt for PyPI, in npm/javascript/package-lock.json for npm.
"""

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools import environment, node, packages
from devtools.locks import exclusive
from devtools.paths import PROJECT, Bench
from devtools.report import Failure, say

REQUIREMENTS = PROJECT / "devtools" / "lint.txt"
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
SECONDS_TO_ASK = 30  # for vulnerabilities: a network that does not answer must not hold up the other checks
NOT_ASKED = 75  # EX_TEMPFAIL of sysexits.h: vulnerabilities.py exits so when nobody answered


class Found(Exception):
	"""A check failed. The message shows what the check found."""


class Skipped(Exception):
	"""A check can't be made here. The message says why."""


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
		raise Failure(f"There is no check {', '.join(unknown)}. The checks are {', '.join(CHECKS)}")
	_ensure_tools(bench)
	outcomes = [_outcome(bench, name, options.fix) for name in options.checks or CHECKS]
	counts = ", ".join(f"{outcomes.count(o)} {o}" for o in ("passed", "skipped", "failed") if o in outcomes)
	say(f"{time.monotonic() - begin:7.1f} s  {len(outcomes)} checks: {counts}")
	return 1 if "failed" in outcomes else 0


def _outcome(bench: Bench, name: str, fix: bool) -> str:
	"""Runs a check. Prints what it has found, and a line with the outcome. Returns passed, skipped or failed."""
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
	"""Runs a program in the project's folder. Raises Found with its output unless the program exits with 0."""
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
		raise Skipped("there is no bench yet; ./dev setup makes one")
	_expect_success([bench.python, "-m", "pip", "check"])


def _vulnerabilities(bench: Bench, fix: bool) -> None:
	"""Looks up the versions in the bench. Without a bench, looks up those in lint.txt, which may be older."""
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
	"formatting": Check("ruff's formatting of Python", _formatting),
	"types": Check("mypy's check of types", _types),
	"javascript": Check("Biome's checks and formatting of the code for browsers", _javascript),
	"workflows": Check("keys and security of the workflows for GitHub", _workflows),
	"packages": Check("pip check in the bench's environment", _packages),
	"vulnerabilities": Check("known vulnerabilities in what memora requires", _vulnerabilities),
}


# The tools


def _tool(bench: Bench, name: str) -> Path:
	return bench.root / "lint" / "bin" / name


def _biome(bench: Bench) -> Path:
	"""Returns Biome's own program. The program that npm links would start Node first."""
	modules = bench.root / "javascript" / "node_modules" / "@biomejs"
	return next(path for path in modules.glob("cli-*/biome"))


def _ensure_tools(bench: Bench) -> None:
	bench.make_directories()
	packages.ensure_venv_module(bench)
	environment.ensure_beside(bench, "lint", REQUIREMENTS)
	with exclusive(bench.run / "javascript.lock"):
		node.install_locked(
			"javascript", bench.root / "javascript", bench, _tool(bench, "python"), bench.log("lint")
		)
