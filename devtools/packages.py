"""Debian packages: only what is missing, and without letting apt start system services."""

import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devtools import shell
from devtools.paths import Bench
from devtools.report import Failure, say, step

# Debian's way to forbid starting services while packages are installed
POLICY = Path("/usr/sbin/policy-rc.d")
FIRST_PROGRAMS = {
	"git": "git",  # fetches Frappe; its GitPython refuses to be imported without it
}
PROGRAMS = {
	"mariadbd": "mariadb-server",
	"mariadb-install-db": "mariadb-server",
	"mariadb": "mariadb-client",
	"redis-server": "redis-server",
	"prometheus": "prometheus",  # of the tests, with promtool
	"curl": "curl",  # of the tests
}
BROWSERS = (
	"chromium",
	"chromium-browser",
	"google-chrome",
)  # the tests of the learner's page drive one of them


def ensure_first(bench: Bench) -> None:
	"""What the bench's Python environment is made with."""
	_ensure(bench, _missing(FIRST_PROGRAMS) | _venv_module())


def ensure(bench: Bench) -> None:
	"""The servers, and what the tests run."""
	_ensure(bench, _missing(PROGRAMS))


def _missing(programs: Mapping[str, str]) -> set[str]:
	return {package for program, package in programs.items() if not shell.find(program)}


def browser() -> str | None:
	"""Where a Chromium is."""
	return next(filter(None, map(shell.find, BROWSERS)), None)


def ensure_browser(bench: Bench) -> None:
	"""Debian's. Ubuntu offers a snap alone, which not every machine can install: that stops nothing else."""
	if browser():
		return
	try:
		_ensure(bench, {"chromium"})
	except Failure as failure:
		say(f"           No Chromium, so the tests of the learner's page can't run. {failure}")


def ensure_venv_module(bench: Bench) -> None:
	_ensure(bench, _venv_module())


def _venv_module() -> set[str]:
	"""Debian's python3 comes without what `python3 -m venv` needs."""
	return set() if importlib.util.find_spec("ensurepip") else {"python3-venv"}


def _ensure(bench: Bench, packages: set[str]) -> None:
	missing = sorted(packages)
	if not missing:
		return
	if not shell.find("apt-get"):
		raise Failure(f"Please install {' '.join(missing)}: there is no apt-get here")
	with step(f"Installing {' '.join(missing)}"):
		_install(missing, bench.log("apt"))


def _install(packages: list[str], log: Path) -> None:
	prefix = _as_root(packages)
	install = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q"]
	install += ["--no-install-recommends", *packages]
	with _services_kept_down(prefix):
		try:
			shell.run([*prefix, "apt-get", "update", "-q"], log)
		except Failure:
			pass  # one broken third-party list must not stop what the others offer
		shell.run(install, log)


def _as_root(packages: list[str]) -> list[str]:
	if os.getuid() == 0:
		return []
	if shell.find("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
		return ["sudo", "-n"]
	command = f"sudo apt-get update && sudo apt-get install -y {shlex.join(packages)}"
	raise Failure(f"Packages are missing and this user may not install them. Please run:\n\n  {command}\n")


@contextmanager
def _services_kept_down(prefix: list[str]) -> Iterator[None]:
	"""Without this, apt would start a MariaDB on 3306 and a Redis on 6379, which are not ours to start."""
	if POLICY.exists():
		yield
		return
	script = f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"
	subprocess.run([*prefix, "sh", "-c", script], check=True)
	try:
		yield
	finally:
		subprocess.run([*prefix, "rm", "-f", str(POLICY)], check=True)


def usable_python() -> str:
	"""The interpreter for the bench: Frappe v15 wants 3.10 to 3.12."""
	if (3, 10) <= sys.version_info[:2] <= (3, 12):
		return sys.executable
	for name in ("python3.11", "python3.12", "python3.10"):
		if found := shell.find(name):
			return found
	raise Failure("Frappe v15 needs Python 3.10, 3.11 or 3.12, and none of them is installed")
