"""Keeps dumps of new sites. Loading a dump takes a second, while Frappe takes half a minute to make a site.

A dump of Frappe alone is kept for all benches of this user. Its file name has a digest of everything that the dump
depends on: the files of Frappe, the version of MariaDB and the way the site was made. The dump names no site, database
or bench, and holds no encrypted value.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from devtools import mariadb
from devtools.paths import Bench

IGNORED_DIRECTORIES = {".git", "__pycache__", "node_modules", "public"}
KEPT = 5  # dumps, one for each Frappe; 2 MB each


def cache_directory() -> Path:
	return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "memora"


def cached_path(bench: Bench, recipe: str) -> Path:
	"""Returns the path for the dump of a site that was made by this recipe with the bench's Frappe. The file may not exist."""
	digest = hashlib.sha256(f"{recipe}\n{_mariadb_version()}\n".encode())
	for path in _files(bench.frappe / "frappe"):
		digest.update(f"{path.relative_to(bench.frappe)}\n".encode())
		digest.update(hashlib.sha256(path.read_bytes()).digest())
	return cache_directory() / f"frappe-site-{digest.hexdigest()[:32]}.sql"


def keep(dump: Path, cached: Path) -> None:
	"""Adds a dump to the cache, and removes the oldest dumps if there are more than KEPT."""
	cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
	part = cached.with_name(f"{cached.name}.{os.getpid()}.part")
	shutil.copyfile(dump, part)
	part.replace(cached)
	dumps = sorted(cached.parent.glob("frappe-site-*.sql"), key=lambda path: path.stat().st_mtime)
	for old in dumps[:-KEPT]:
		old.unlink(missing_ok=True)


def _files(directory: Path) -> Iterator[Path]:
	for folder, directories, names in os.walk(directory):
		directories[:] = sorted(set(directories) - IGNORED_DIRECTORIES)
		yield from (Path(folder, name) for name in sorted(names) if not name.endswith(".pyc"))


def _mariadb_version() -> str:
	command = [mariadb.program("mariadbd"), "--version"]
	return subprocess.run(command, capture_output=True, text=True, check=True).stdout
