"""Installs Python packages in the bench: with uv, which takes seconds, or with pip where there is no uv.

A file in devtools/resolved/ lists the resolved version of each package, with hashes, for one version of Frappe. If the
file fits, it is used; otherwise the packages are resolved again, but not in CI. `./dev lock` writes these files.
"""

import ast
import os
import re
import subprocess
from pathlib import Path

from devtools import drivers, frappe_source, pythons, shell
from devtools.paths import PROJECT, Bench
from devtools.report import Failure, say, step, tail

UV = PROJECT / "devtools" / "uv.txt"
HASHED = ("--require-hashes", "--no-deps")
# gunicorn 20 imports pkg_resources, which setuptools 81 dropped
BUILD_TOOLS = ("pip", "setuptools<81", "wheel")
RESOLVED = PROJECT / "devtools" / "resolved"
BUILD = RESOLVED / "build.txt"
PINNED_BY_FRAPPE = "gunicorn"  # to a commit on GitHub; where GitHub can't be reached, a release is installed
GUNICORN = RESOLVED / "gunicorn.txt"  # that release
# A company's mirror or a proxy's certificate may be named in pip.conf, which uv does not read
UV_NAMES = {
	"index-url": "UV_DEFAULT_INDEX",
	"extra-index-url": "UV_INDEX",
	"find-links": "UV_FIND_LINKS",
	"constraint": "UV_CONSTRAINT",
	"cert": "SSL_CERT_FILE",
}


def ensure_uv(bench: Bench) -> None:
	"""Puts uv into the bench's environment. If that fails, prints that pip will do the work instead."""
	_ensure_uv(bench.python, bench.log("pip"))


def _ensure_uv(python: Path, log: Path) -> None:
	if python.with_name("uv").is_file():
		return
	try:
		with step("Installing uv"):
			shell.run([python, "-m", "pip", "install", "-q", *HASHED, "-r", UV], log)
	except Failure as failure:
		say(f"           No uv: pip installs the packages, which takes minutes. ({failure})")


def install_file(python: Path, requirements: Path, log: Path) -> None:
	"""Installs just the packages that a file names into this Python's environment. Each needs a hash that is right."""
	_ensure_uv(python, log)
	uv = python.with_name("uv")
	options: shell.Arguments = ["-q", *HASHED, "-r", requirements]
	if uv.is_file():
		settings = _uv_settings(python)
		settings.pop(
			"UV_CONSTRAINT", None
		)  # uv demands hashes of constraints, too, and every version is named already
		shell.run([uv, "pip", "install", "--python", python, *options], log, env=settings)
	else:
		shell.run([python, "-m", "pip", "install", "--no-input", *options], log)


def install_apps(bench: Bench, driver: str) -> None:
	"""Installs Frappe, memora and what they require. With another driver, mysqlclient is left out."""
	if not _uv(bench).is_file():
		_pip(bench, *BUILD_TOOLS)
		_pip(bench, "-e", bench.frappe, "-e", f"{PROJECT}[dev]")
		return
	without = [] if driver == drivers.MYSQLCLIENT else _without_mysqlclient(bench)
	lock = resolved(bench)
	if not lock.is_file():
		say(f"           {lock.name} is not in devtools/resolved: resolving the packages again")
		_uv_install(bench, *without)
		return
	try:
		_uv_install(bench, *_by_hash(bench, lock), *without)
		_refuse_strays(bench, lock)
	except Failure as failure:
		if os.environ.get("CI") or "Hash mismatch" in tail(bench.log("pip")):
			raise  # somebody has changed a release, at its source or on its way here
		say(f"           {lock.name} does not fit: resolving the packages again ({failure})")
		_uv_install(bench, *without)


def _by_hash(bench: Bench, lock: Path) -> list[str | Path]:
	"""Returns options by which uv takes the versions of the files, and compares what it takes with their hashes."""
	options: list[str | Path] = ["--constraint", lock, "--build-constraints", BUILD]
	return [*options, "--constraint", GUNICORN] if _is_replaced(bench) else options


def _is_replaced(bench: Bench) -> bool:
	"""Says whether this Frappe has lost its pin to a commit; see frappe_source."""
	return f'"{PINNED_BY_FRAPPE}"' in (bench.frappe / "pyproject.toml").read_text()


def _refuse_strays(bench: Bench, lock: Path) -> None:
	"""Raises Failure if a package was installed that no file has a hash of. Both apps and uv are no such packages."""
	locked = {name_of(line) for file in (lock, GUNICORN) for line in file.read_text().splitlines()}
	listing: shell.Arguments = [_uv(bench), "pip", "freeze", "--python", bench.python, "--exclude-editable"]
	lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
	if strays := {name_of(line) for line in lines} - locked - {"uv"}:
		raise Failure(f"{lock.name} has no hash of {', '.join(sorted(strays))}")


def name_of(requirement: str) -> str:
	"""Returns the name of a package as PyPI compares names; nothing for a line that begins with none."""
	return re.sub(r"[-_.]+", "-", re.findall(r"^[\w.-]*", requirement)[0]).lower()


def _without_mysqlclient(bench: Bench) -> list[str | Path]:
	"""Returns options by which uv does not install the driver that has to be compiled, though Frappe requires it."""
	overrides = bench.root / "without-mysqlclient.txt"
	overrides.write_text(f"{drivers.MYSQLCLIENT} ; sys_platform == 'none'\n")
	return ["--override", overrides]


def _uv(bench: Bench) -> Path:
	return bench.env / "bin" / "uv"


def _pip(bench: Bench, *args: str | Path) -> None:
	shell.run([bench.python, "-m", "pip", "install", "--no-input", *args], bench.log("pip"))


def _uv_install(bench: Bench, *options: str | Path) -> None:
	apps: shell.Arguments = ["--editable", bench.frappe, "--editable", f"{PROJECT}[dev]"]
	where: shell.Arguments = ["--python", bench.python]
	args: shell.Arguments = [_uv(bench), "pip", "install", *where, *BUILD_TOOLS, *apps, *options]
	shell.run(args, bench.log("pip"), env=_uv_settings(bench.python))


def _uv_settings(python: Path) -> dict[str, str]:
	"""Returns pip's settings under uv's names. Leaves out a setting that the environment already gives to uv."""
	listing: shell.Arguments = [python, "-m", "pip", "config", "list"]
	lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
	settings = {}
	for name, _, value in (line.partition("=") for line in lines):
		if name_of_uv := UV_NAMES.get(name.rpartition(".")[2]):
			settings[name_of_uv] = ast.literal_eval(value)
	if "UV_INDEX" in settings:
		settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip, too, takes the best version of all indexes
	return {name: value for name, value in settings.items() if name not in os.environ}


def resolved(bench: Bench) -> Path:
	"""Returns the path of the resolved versions for the bench's Frappe, one file for a major version. It may not exist."""
	version = frappe_source.version(bench)
	return RESOLVED / f"frappe-{version if version.endswith('-dev') else version.partition('.')[0]}.txt"


def write_resolved(bench: Bench) -> Path:
	"""Resolves the packages again from PyPI, for all Pythons that Frappe supports. Writes versions and hashes to a file."""
	if not _uv(bench).is_file():
		raise Failure("No uv could be installed, and pip can't resolve for several Pythons at once")
	path = resolved(bench)
	path.parent.mkdir(exist_ok=True)
	part = bench.root / path.name
	options = ["--extra", "dev", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
	oldest = pythons.oldest(frappe_source.major_version(bench))
	options += ["--upgrade", "--python-version", oldest, "--no-emit-package", "frappe"]
	if f"{PINNED_BY_FRAPPE} @" in (bench.frappe / "pyproject.toml").read_text() or _is_replaced(bench):
		options += ["--no-emit-package", PINNED_BY_FRAPPE]
	compiling: shell.Arguments = [_uv(bench), "pip", "compile", PROJECT / "pyproject.toml", "-", *options]
	args: shell.Arguments = [*compiling, "--output-file", part]
	beside = bench.root / "beside-memora.in"
	# Frappe without its extra named dev: --extra would mean this one, too
	beside.write_text("\n".join((*BUILD_TOOLS, f"frappe @ {bench.frappe.resolve().as_uri()}")))
	with step(f"Resolving the packages of {path.stem}"), beside.open("rb") as stdin:
		shell.run(args, bench.log("pip"), stdin=stdin)
	head = f"# Written by ./dev lock: what Frappe and memora require, for Python {oldest} and later.\n"
	path.write_text(head + part.read_text())
	return path
