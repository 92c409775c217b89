"""Makes the sites: one for people, one for the tests, and one for pictures, which is removed after use.

A site that was not made completely is made again.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import config, dumps, mariadb, redis, shell
from devtools.locks import exclusive
from devtools.paths import MAIN_SITE, PICTURE_SITE, PROJECT, TEST_SITE, Bench
from devtools.report import step

ADMIN_PASSWORD = "admin"
NAMES = (MAIN_SITE, TEST_SITE)
DATABASES = {MAIN_SITE: "memora_main", TEST_SITE: "memora_test", PICTURE_SITE: "memora_pictures"}
SEED_SITE, SEED_DATABASE = "seed.memora.localhost", "memora_seed"  # exists while Frappe makes it
TIME_ZONE = "Asia/Kolkata"  # Frappe's default
# Counts for the name of a kept dump, so that a dump made in another way is not used
RECIPE = f"2 {ADMIN_PASSWORD} {TIME_ZONE}"
# The files that `bench migrate` acts on. A change in other files needs no migration.
SCHEMA_FILES = (
	*("**/*.json", "*.txt", "hooks.py", "install.py", "patches/**/*.py"),
	*(f"services/store/{name}.py" for name in ("ddl", "layout", "partitions", "tables")),
)
ENABLE_SCHEDULER = """\
UPDATE `{name}`.tabSingles SET value = '1' WHERE doctype = 'System Settings' AND field = 'enable_scheduler';
"""


def ready(bench: Bench) -> bool:
	"""Says whether both sites exist, with memora's schema up to date."""
	stamps = [_stamp(bench, name) for name in NAMES]
	fingerprint = _fingerprint()
	return all(stamp.is_file() and stamp.read_text() == fingerprint for stamp in stamps)


def made(bench: Bench) -> bool:
	"""Says whether both sites exist. Memora's schema on them may be out of date."""
	return all(_made(bench, name).is_file() for name in NAMES)


def ensure(bench: Bench) -> None:
	"""Makes missing sites, and brings memora's schema up to date on both. The services must be running."""
	if ready(bench):
		return
	fingerprint = _fingerprint()
	missing = [name for name in NAMES if not (_made(bench, name).is_file() and _stamp(bench, name).is_file())]
	with mariadb.hasty(bench):
		_make_all(bench, missing)
		for name in missing:
			_stamp(bench, name).write_text(fingerprint)
			_made(bench, name).touch()
		for name in NAMES:
			_bring_up_to_date(bench, name, fingerprint)


def _make_all(bench: Bench, missing: list[str]) -> None:
	"""Makes the missing sites. Installs memora on the first one only, and copies that site to make the other."""
	with_memora = bench.root / "with-memora.sql"
	for number, name in enumerate(missing):
		if number == 0:
			_make(bench, name)
			mariadb.dump(bench, DATABASES[name], with_memora)
		else:
			with step(f"Making the site {name}"):
				_copy(bench, with_memora, name)
		if name == MAIN_SITE:
			mariadb.execute(bench, ENABLE_SCHEDULER.format(name=DATABASES[name]))
	with_memora.unlink(missing_ok=True)


def copy_all(bench: Bench, own: Bench) -> None:
	"""Makes both sites of another bench from the test site of this one. MariaDB must be running in both benches."""
	dump = own.root / "test-site.sql"
	mariadb.dump(bench, database(bench, TEST_SITE), dump)
	for name in NAMES:
		_copy(own, dump, name)
		_made(own, name).touch()
		_stamp(own, name).write_text(_stamp(bench, TEST_SITE).read_text())


def database(bench: Bench, name: str) -> str:
	return json.loads((bench.site(name) / "site_config.json").read_text())["db_name"]


def bench_command(bench: Bench, *args: str) -> list[str | Path]:
	"""Returns the command line that frappe/bench runs for `bench <args>`. Run it in `bench.sites`."""
	return [bench.python, "-m", "frappe.utils.bench_helper", "frappe", *args]


def _run(bench: Bench, *args: str) -> None:
	shell.run(bench_command(bench, *args), bench.log("sites"), cwd=bench.sites)


def _make(bench: Bench, name: str) -> None:
	"""Makes a site with memora."""
	dump = _without_memora(bench)
	with step(f"Making the site {name}"):
		_copy(bench, dump, name)
	with step(f"Installing memora on {name}"):
		_run(bench, "--site", name, "install-app", "memora")


def _without_memora(bench: Bench) -> Path:
	"""Returns a dump of a new site with Frappe alone. Makes the dump if neither this bench nor the cache has one."""
	cached = dumps.cached_path(bench, RECIPE)
	for dump in (bench.pristine_dump, cached):
		if dump.is_file():
			return dump
	with step("Making a site with Frappe alone"):
		_make_seed(bench)
		mariadb.dump(bench, SEED_DATABASE, bench.pristine_dump)
		mariadb.drop(bench, SEED_DATABASE)
	dumps.keep(bench.pristine_dump, cached)
	return bench.pristine_dump


def _make_seed(bench: Bench) -> None:
	options = [
		"--force",
		f"--db-name={SEED_DATABASE}",
		"--db-root-username=root",
		f"--db-root-password={mariadb.root_password(bench)}",
		f"--admin-password={ADMIN_PASSWORD}",
	]
	args: shell.Arguments = [bench.python, "-m", "devtools.new_site", SEED_SITE, TIME_ZONE, *options]
	try:
		shell.run(args, bench.log("sites"), cwd=bench.sites, env={"PYTHONPATH": str(PROJECT)})
	finally:
		shutil.rmtree(bench.site(SEED_SITE), ignore_errors=True)


def _copy(bench: Bench, dump: Path, name: str) -> None:
	"""Makes a site from a dump, with its own database, password and encryption key."""
	site, password = bench.site(name), secrets.token_urlsafe(16)
	shutil.rmtree(site, ignore_errors=True)
	make_directories(site)
	mariadb.load(bench, dump, DATABASES[name], password)
	database = DATABASES[name]
	own = {"db_name": database, "db_user": database, "db_password": password, "db_type": "mariadb"}
	key = base64.urlsafe_b64encode(os.urandom(32)).decode()
	(site / "site_config.json").write_text(json.dumps({**own, "encryption_key": key}, indent=1))
	config.write(bench)  # now, because installing memora reads the settings that all sites share


def make_directories(site: Path) -> None:
	for directory in ("private/files", "private/backups", "public/files", "logs", "locks"):
		(site / directory).mkdir(parents=True, exist_ok=True)


@contextmanager
def pictures(bench: Bench) -> Iterator[None]:
	"""Makes the site PICTURE_SITE with memora for the block, and then removes the site with all its data."""
	with exclusive(bench.run / "screenshots.lock", "another ./dev screenshots"):
		try:
			_make(bench, PICTURE_SITE)
			yield
		finally:
			with step(f"Removing the site {PICTURE_SITE}"):
				_remove_pictures(bench)


def _remove_pictures(bench: Bench) -> None:
	for name in ("srs", "queue"):
		redis.empty(bench, name, config.PICTURE_DATABASE)
	mariadb.drop(bench, DATABASES[PICTURE_SITE])
	shutil.rmtree(bench.site(PICTURE_SITE), ignore_errors=True)


def _bring_up_to_date(bench: Bench, name: str, fingerprint: str) -> None:
	stamp = _stamp(bench, name)
	if stamp.read_text() != fingerprint:
		with step(f"Migrating {name}: memora's schema files changed"):
			_run(bench, "--site", name, "migrate")
	stamp.write_text(fingerprint)


def _made(bench: Bench, name: str) -> Path:
	return bench.site(name) / ".made"


def _stamp(bench: Bench, name: str) -> Path:
	"""Returns the file with the fingerprint of the schema files for which the site was last made or migrated."""
	return bench.site(name) / ".memora-schema"


def _schema_files() -> Iterator[Path]:
	app = PROJECT / "memora"
	yield from sorted({path for pattern in SCHEMA_FILES for path in app.glob(pattern) if path.is_file()})


def _fingerprint() -> str:
	digest = hashlib.sha256()
	for path in _schema_files():
		digest.update(str(path.relative_to(PROJECT)).encode())
		digest.update(path.read_bytes())
	return digest.hexdigest()
