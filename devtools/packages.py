"""Installs Debian packages: only missing ones, and without letting apt start system services."""

import importlib.util
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devtools import shell
from devtools.paths import Bench
from devtools.pythons import Python
from devtools.report import Failure, say, step

# While this script exists and fails, Debian starts no services when it installs packages
POLICY = Path("/usr/sbin/policy-rc.d")
FIRST_PROGRAMS = {
	"git": "git",  # fetches Frappe; Frappe's GitPython can't be imported without it
}
PROGRAMS = {
	"mariadbd": "mariadb-server",
	"mariadb-install-db": "mariadb-server",
	"mariadb": "mariadb-client",
	"redis-server": "redis-server",
	"prometheus": "prometheus",  # for the tests, with promtool
	"curl": "curl",  # for the tests
	"nginx": "nginx",  # for the tests
}
COMPILER = {
	"gcc": "gcc",
	"pkg-config": "pkg-config",
	"mariadb_config": "libmariadb-dev",
}
# Of a Python: the module that makes environments, and the header for modules in C
ASK_PARTS = """\
import importlib.util, os, sysconfig
print("venv" if importlib.util.find_spec("ensurepip") else "")
print("dev" if os.path.isfile(sysconfig.get_path("include") + "/Python.h") else "")"""
# The tests of the learner's page drive the first browser that is found
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def ensure_first(bench: Bench) -> None:
	"""Installs git and the venv module, which the bench's Python environment needs first."""
	_ensure(bench, _missing(FIRST_PROGRAMS) | _venv_module())


def ensure(bench: Bench) -> None:
	"""Installs the servers, and the programs that the tests run."""
	_ensure(bench, _missing(PROGRAMS))


def _missing(programs: Mapping[str, str]) -> set[str]:
	return {package for program, package in programs.items() if not shell.find(program)}


def browser() -> str | None:
	"""Returns the path of a Chromium, or None."""
	return next(filter(None, map(shell.find, BROWSERS)), None)


def ensure_browser(bench: Bench) -> None:
	"""Installs Debian's Chromium. Prints why if it can't, and goes on: some machines can't install Ubuntu's snap."""
	if browser():
		return
	try:
		_ensure(bench, {"chromium"})
	except Failure as failure:
		say(f"           Chromium could not be installed, so tests that drive a browser can't run. {failure}")


def ensure_venv_module(bench: Bench) -> None:
	_ensure(bench, _venv_module())


def ensure_for_python(bench: Bench, python: Python) -> None:
	"""Installs the venv module of the bench's Python, which Debian has in a package of its own."""
	_ensure(bench, _parts_missing(python, {"venv"}))


def ensure_compiler(bench: Bench, python: Python) -> None:
	"""Installs what the driver mysqlclient is compiled with."""
	_ensure(bench, _missing(COMPILER) | _parts_missing(python, {"dev"}))


def _parts_missing(python: Python, parts: set[str]) -> set[str]:
	command: shell.Arguments = [python.path, "-c", ASK_PARTS]
	there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
	return {f"python{python.minor}-{part}" for part in parts - set(there)}


def _venv_module() -> set[str]:
	"""Returns the package that `python3 -m venv` needs, if it is missing. Debian's python3 comes without it."""
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
			pass  # one broken third-party list must not keep packages of the other lists away
		shell.run(install, log)


def _as_root(packages: list[str]) -> list[str]:
	if os.getuid() == 0:
		return []
	if shell.find("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
		return ["sudo", "-n"]
	command = f"sudo apt-get update && sudo apt-get install -y {shlex.join(packages)}"
	raise Failure(f"Packages are missing, and this user may not install them. Please run:\n\n  {command}\n")


@contextmanager
def _services_kept_down(prefix: list[str]) -> Iterator[None]:
	"""Keeps apt from starting services during the block. A MariaDB on 3306 or a Redis on 6379 are not ours to start."""
	if POLICY.exists():
		yield
		return
	script = f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}"
	subprocess.run([*prefix, "sh", "-c", script], check=True)
	try:
		yield
	finally:
		subprocess.run([*prefix, "rm", "-f", str(POLICY)], check=True)
