"""Makes the virtual environment with Frappe and memora, and separate environments for other programs."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from devtools import drivers, frappe_source, installer, packages, pythons, shell
from devtools.locks import exclusive
from devtools.paths import PROJECT, Bench
from devtools.report import say, step
from devtools.side_by_side import side_by_side


def ensure_venv(bench: Bench) -> None:
	"""Makes the virtual environment. The stamp is written last, so an environment without a stamp is made again."""
	stamp = bench.env / ".memora-venv"
	if stamp.is_file():
		return
	frappe = frappe_source.major_version(bench)
	python = pythons.choose(frappe)
	say(f"           Python: {python}, because Frappe {frappe} runs on it")
	packages.ensure_for_python(bench, python)
	with step("Making the virtual environment"):
		shutil.rmtree(bench.env, ignore_errors=True)
		shell.run([python.path, "-m", "venv", bench.env], bench.log("pip"))
		stamp.touch()


def ensure_requirements(bench: Bench) -> None:
	"""Installs Frappe, memora and what they require. Installs again when the pyproject.toml of either has changed."""
	stamp = bench.env / ".memora-requirements"
	driver = drivers.chosen(bench)
	fingerprint = _fingerprint(bench, driver)
	if stamp.is_file() and stamp.read_text() == fingerprint:
		return
	if drivers.has_choice(bench):
		say(f"           Driver for MariaDB: {driver}, because {drivers.why(bench)}")
	if driver == drivers.MYSQLCLIENT:
		packages.ensure_compiler(bench, pythons.choose(frappe_source.major_version(bench)))
	with step("Installing Frappe, memora and what they require"):
		installer.install_apps(bench, driver)
		drivers.write_installed(bench, driver)
		stamp.write_text(fingerprint)


def _fingerprint(bench: Bench, driver: str) -> str:
	digest = hashlib.sha256(driver.encode())
	digest.update(os.fsencode(PROJECT))  # another checkout may take the bench over
	for app in (bench.frappe, PROJECT):
		digest.update((app / "pyproject.toml").read_bytes())
	return digest.hexdigest()


def link_app(bench: Bench) -> None:
	"""Links apps/memora to this checkout. The link is relative, so that checkout and bench can be moved together."""
	link = bench.apps / "memora"
	target = Path(os.path.relpath(PROJECT, bench.apps.resolve()))
	if link.is_symlink() and link.readlink() == target:
		return
	link.unlink(missing_ok=True)
	link.symlink_to(target)


def ensure_sources(bench: Bench) -> None:
	"""Makes the virtual environment, puts uv into it, and fetches the sources of both apps. Installs neither app."""
	source = frappe_source.choose(bench)
	if not source.needs_pip:
		frappe_source.ensure(bench, source)  # first, because its version says which Python it runs on
	ensure_venv(bench)
	side_by_side(lambda: installer.ensure_uv(bench), lambda: frappe_source.ensure(bench, source))
	link_app(bench)


def ensure_beside(bench: Bench, name: str, requirements: Path) -> Path:
	"""Makes a separate environment with just the packages that a file names. Returns the folder of its programs."""
	environment = (bench.root / name).resolve()  # in a bench inside a bench, this is a link
	log = bench.log(name)
	stamp = environment / ".memora-requirements"
	with exclusive(environment.with_suffix(".lock"), f"another ./dev that installs {name}"):
		if not stamp.is_file() or stamp.read_text() != requirements.read_text():
			with step(f"Installing {name}"):
				shell.run([sys.executable, "-m", "venv", "--clear", environment], log)
				installer.install_file(environment / "bin" / "python", requirements, log)
			stamp.write_text(requirements.read_text())
	return environment / "bin"


def ensure_rq_dashboard(bench: Bench) -> Path:
	"""Returns the program rq-dashboard, with an RQ of the same major version as Frappe's.

	Its environment is separate: some of its packages conflict with Frappe's.
	"""
	(rq,) = bench.env.glob("lib/python*/site-packages/rq-*.dist-info")
	major = rq.name.removeprefix("rq-").partition(".")[0]
	packages = PROJECT / "devtools" / f"rq-dashboard-rq{major}.txt"
	return ensure_beside(bench, "rq-dashboard", packages) / "rq-dashboard"
