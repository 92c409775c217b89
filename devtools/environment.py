"""The virtual environment with Frappe and memora in it."""

import hashlib
import os
import shutil
from pathlib import Path

from devtools import frappe_source, installer, packages, shell
from devtools.locks import exclusive
from devtools.paths import PROJECT, Bench
from devtools.report import step
from devtools.side_by_side import side_by_side


def ensure_venv(bench: Bench) -> None:
	"""The stamp is written last: an interrupted environment has none and is made again."""
	stamp = bench.env / ".memora-venv"
	if stamp.is_file():
		return
	with step("Making the virtual environment"):
		shutil.rmtree(bench.env, ignore_errors=True)
		shell.run([packages.usable_python(), "-m", "venv", bench.env], bench.log("pip"))
		stamp.touch()


def ensure_requirements(bench: Bench) -> None:
	"""Frappe and memora with their requirements, again when either pyproject.toml changed."""
	stamp = bench.env / ".memora-requirements"
	fingerprint = _fingerprint(bench)
	if stamp.is_file() and stamp.read_text() == fingerprint:
		return
	with step("Installing Frappe, memora and what they require"):
		installer.install_apps(bench)
		stamp.write_text(fingerprint)


def _fingerprint(bench: Bench) -> str:
	digest = hashlib.sha256()
	digest.update(os.fsencode(PROJECT))  # another checkout may take the bench over
	for app in (bench.frappe, PROJECT):
		digest.update((app / "pyproject.toml").read_bytes())
	return digest.hexdigest()


def link_app(bench: Bench) -> None:
	"""apps/memora is this checkout, relative so that the directory may be moved as a whole."""
	link = bench.apps / "memora"
	target = Path(os.path.relpath(PROJECT, bench.apps.resolve()))
	if link.is_symlink() and link.readlink() == target:
		return
	link.unlink(missing_ok=True)
	link.symlink_to(target)


def ensure_sources(bench: Bench) -> None:
	"""The virtual environment, uv in it, and the sources of both apps; installs neither."""
	ensure_venv(bench)  # its pip fetches uv, and Frappe from PyPI
	side_by_side(lambda: installer.ensure_uv(bench), lambda: frappe_source.ensure(bench))
	link_app(bench)


def ensure_beside(bench: Bench, name: str, requirements: Path) -> Path:
	"""Makes an environment of its own, with just the packages of a file, and returns the folder of its programs."""
	environment = (bench.root / name).resolve()  # benches inside a bench have a link there
	log = bench.log(name)
	stamp = environment / ".memora-requirements"
	with exclusive(environment.with_suffix(".lock"), f"another ./dev that installs {name}"):
		if not stamp.is_file() or stamp.read_text() != requirements.read_text():
			with step(f"Installing {name}"):
				shell.run([packages.usable_python(), "-m", "venv", "--clear", environment], log)
				installer.install_file(environment / "bin" / "python", requirements, log)
			stamp.write_text(requirements.read_text())
	return environment / "bin"


def ensure_rq_dashboard(bench: Bench) -> Path:
	"""Its program, in an environment of its own: it needs packages that Frappe has in other versions or not at all."""
	return ensure_beside(bench, "rq-dashboard", PROJECT / "devtools" / "rq-dashboard.txt") / "rq-dashboard"
