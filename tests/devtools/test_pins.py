"""What ./dev installs from PyPI and npm has a version and a hash, so that nobody can change it on its way here."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from devtools import installer, node
from devtools.paths import PROJECT, Bench
from devtools.report import Failure

DEVTOOLS = PROJECT / "devtools"
REQUIREMENTS = sorted({*DEVTOOLS.glob("*.txt"), *DEVTOOLS.glob("resolved/*.txt")})
LOCKS = sorted(node.LOCKED.glob("*/package-lock.json"))


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_each_package_of_pypi_has_a_version_and_a_hash(file):
	lines = re.sub(r"\\\n", "", file.read_text()).splitlines()
	packages = [line for line in lines if line.strip() and not line.startswith("#")]
	assert packages
	assert [
		line for line in packages if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
	] == []


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.parent.name)
def test_each_package_of_npm_has_a_version_and_a_hash(file):
	packages = {name: one for name, one in json.loads(file.read_text())["packages"].items() if name}
	assert packages
	assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
	wanted = json.loads(file.with_name("package.json").read_text())
	versions = {**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}
	assert [name for name, version in versions.items() if not re.fullmatch(r"[\d.]+", version)] == []


@pytest.fixture
def with_packages(tmp_path, monkeypatch):
	"""Returns a bench whose environment has these packages, and a file of hashes."""
	(tmp_path / "apps" / "frappe").mkdir(parents=True)
	(tmp_path / "apps" / "frappe" / "pyproject.toml").write_text('dependencies = ["gunicorn"]')
	lock = tmp_path / "frappe-1.txt"
	lock.write_text("ruamel-yaml==1 \\\n    --hash=sha256:0\n")

	def make(*freeze: str) -> tuple[Bench, Path]:
		done = subprocess.CompletedProcess([], 0, stdout="\n".join(freeze))
		monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: done)
		return Bench(tmp_path), lock

	return make


def test_a_package_without_a_hash_is_refused(with_packages):
	installer._refuse_strays(*with_packages("Ruamel.yaml==1", "gunicorn==27.0.1", "uv==1"))
	with pytest.raises(Failure, match="no hash of stray"):
		installer._refuse_strays(*with_packages("ruamel.yaml==1", "stray==2"))


def test_a_file_that_does_not_fit_is_an_error_in_ci_alone(with_packages, monkeypatch, tmp_path):
	bench, lock = with_packages("stray==2")
	calls = []
	monkeypatch.setattr(installer, "_uv", lambda bench: lock)
	monkeypatch.setattr(installer, "resolved", lambda bench: lock)
	monkeypatch.setattr(installer, "_uv_install", lambda bench, *options: calls.append(options))
	monkeypatch.setattr(installer, "tail", lambda log: "")
	monkeypatch.setenv("CI", "true")
	with pytest.raises(Failure, match="stray"):
		installer.install_apps(bench, "mysqlclient")
	monkeypatch.delenv("CI")
	installer.install_apps(bench, "mysqlclient")
	assert calls[0][:2] == ("--constraint", lock)
	assert calls[-1] == ()
