"""Builds the desk's JavaScript and CSS. This needs a Frappe that brings the sources of its desk."""

import hashlib
import json
import os
from pathlib import Path

from devtools import node, shell
from devtools.paths import PROJECT, Bench
from devtools.report import say, step


def ensure(bench: Bench) -> None:
	_link(bench)
	stamp = bench.sites / "assets" / ".memora-assets"
	fingerprint = _fingerprint(bench)
	if stamp.is_file() and stamp.read_text() == fingerprint:
		return
	if why := _why_not(bench):
		say(f"           The desk's assets are not built: {why}. Everything but the desk works.")
	else:
		_build(bench)
	stamp.write_text(fingerprint)


def built(bench: Bench) -> bool:
	"""Says whether the desk's assets are built, so that a browser can show the desk."""
	return "desk.bundle.js" in json.loads((bench.sites / "assets" / "assets.json").read_text())


def _link(bench: Bench) -> None:
	"""Links sites/assets/<app> to the app's public folder, as `bench build` does.

	The link leads through apps/, so that it stays right when another checkout takes the bench over.
	"""
	assets = bench.sites / "assets"
	assets.mkdir(exist_ok=True)
	for app in ("frappe", "memora"):
		link, public = assets / app, Path(f"../../apps/{app}/{app}/public")
		if (assets / public).is_dir() and not (link.is_symlink() and link.readlink() == public):
			link.unlink(missing_ok=True)
			link.symlink_to(public)
	manifest = assets / "assets.json"
	if not manifest.exists():
		manifest.write_text("{}")  # a page whose bundle is missing still renders


def _why_not(bench: Bench) -> str:
	return "" if (bench.frappe / "package.json").is_file() else "this Frappe has no package.json"


def _build(bench: Bench) -> None:
	log = bench.log("assets")
	node.install_locked("yarn", bench.root / "node", bench, bench.python, log)
	program = node.program(bench)
	# yarn and esbuild start Node by its name
	path = {"PATH": os.pathsep.join((str(program.parent), shell.SEARCH_PATH))}
	yarn = bench.root / "node" / "node_modules" / "yarn" / "bin" / "yarn.js"
	with step("Installing the desk's Node packages"):
		install: shell.Arguments = [program, yarn, "install", "--ignore-scripts", "--non-interactive"]
		shell.run(install, log, cwd=bench.frappe, env=path)
	modules = bench.frappe / "frappe" / "public" / "node_modules"
	if not modules.is_symlink():
		modules.symlink_to("../../node_modules")
	with step("Building the desk's assets"):
		apps = ["frappe", "memora"] if _bundles() else ["frappe"]
		build: shell.Arguments = [program, "esbuild", "--production", "--apps", ",".join(apps)]
		shell.run(build, log, cwd=bench.frappe, env=path)


def _bundles() -> list[Path]:
	return sorted((PROJECT / "memora" / "public").rglob("*.bundle.*"))


def _fingerprint(bench: Bench) -> str:
	"""Returns a digest that changes when what memora's bundles may bring in changes."""
	digest = hashlib.sha256(_why_not(bench).encode())
	for path in sorted((PROJECT / "memora" / "public").glob("[cj]s*/*.*s*")):
		digest.update(path.read_bytes())
	return digest.hexdigest()
