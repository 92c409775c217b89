"""The two sites: one for people, one for the tests. Made whole or made again. And one for the pictures, not kept."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import config, mariadb, redis, shell
from devtools.locks import exclusive
from devtools.paths import MAIN_SITE, PICTURE_SITE, PROJECT, TEST_SITE, Bench
from devtools.report import step

ADMIN_PASSWORD = "admin"
NAMES = (MAIN_SITE, TEST_SITE)
TIME_ZONE = "Asia/Kolkata"  # Frappe's default where nobody has chosen one
# What `bench migrate` acts on. A change in other files needs no migration.
SCHEMA_FILES = ("**/*.json", "*.txt", "hooks.py", "install.py", "**/*partition*.py", "patches/**/*.py")
CREATE_USER = """\
DROP DATABASE IF EXISTS `{name}`;
CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE OR REPLACE USER '{name}'@'localhost' IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON `{name}`.* TO '{name}'@'localhost';
"""
DROP_USER = "DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS '{name}'@'localhost';"
PICTURE_DATABASE = "memora_pictures"


def ready(bench: Bench) -> bool:
	fingerprint = _fingerprint()
	return all(
		_stamp(bench, name).is_file() and _stamp(bench, name).read_text() == fingerprint for name in NAMES
	)


def made(bench: Bench) -> bool:
	"""Both sites exist, whatever the state of memora on them."""
	return all(_made(bench, name).is_file() for name in NAMES)


def ensure(bench: Bench) -> None:
	"""Both sites exist with memora at the present schema. The services must be running."""
	fingerprint = _fingerprint()
	if not _made(bench, MAIN_SITE).is_file():
		_make_main_site(bench)
	if not _made(bench, TEST_SITE).is_file():
		_make_test_site(bench)
		config.write(bench)  # before memora is installed, which looks at what the sites share
	for name in NAMES:
		_bring_up_to_date(bench, name, fingerprint)


def bench_command(bench: Bench, *args: str) -> list[str | Path]:
	"""What frappe/bench calls, to be run in `bench.sites`."""
	return [bench.python, "-m", "frappe.utils.bench_helper", "frappe", *args]


def _run(bench: Bench, *args: str) -> None:
	shell.run(bench_command(bench, *args), bench.log("sites"), cwd=bench.sites)


def _make_main_site(bench: Bench) -> None:
	with step(f"Making the site {MAIN_SITE}"):
		shutil.rmtree(bench.site(MAIN_SITE), ignore_errors=True)
		_run(
			bench,
			"new-site",
			MAIN_SITE,
			"--force",
			"--db-root-username=root",
			f"--db-root-password={mariadb.root_password(bench)}",
			f"--admin-password={ADMIN_PASSWORD}",
		)
		_run(
			bench,
			"--site",
			MAIN_SITE,
			"execute",
			"frappe.desk.page.setup_wizard.setup_wizard.disable_future_access",
		)
		setting = repr(["System Settings", None, "time_zone", TIME_ZONE])
		_run(bench, "--site", MAIN_SITE, "execute", "frappe.db.set_value", "--args", setting)
		_dump(bench)
		_run(bench, "--site", MAIN_SITE, "enable-scheduler")
		_made(bench, MAIN_SITE).touch()


def _dump(bench: Bench) -> None:
	name = _site_config(bench, MAIN_SITE)["db_name"]
	with bench.pristine_dump.open("wb") as dump:
		shell.run(mariadb.client(bench, name, program="mariadb-dump"), bench.log("sites"), stdout=dump)


def _make_test_site(bench: Bench) -> None:
	with step(f"Making the site {TEST_SITE}"):
		_copy_pristine(bench, TEST_SITE, "memora_test", allow_tests=True)
		_made(bench, TEST_SITE).touch()


@contextmanager
def pictures(bench: Bench) -> Iterator[None]:
	"""The site PICTURE_SITE, new and with memora, for the block; then it is gone with all that it stored."""
	with exclusive(bench.run / "screenshots.lock", "another ./dev screenshots"):
		try:
			with step(f"Making the site {PICTURE_SITE}"):
				_copy_pristine(bench, PICTURE_SITE, PICTURE_DATABASE)
				config.write(bench)
				_run(bench, "--site", PICTURE_SITE, "install-app", "memora")
			yield
		finally:
			with step(f"Removing the site {PICTURE_SITE}"):
				_remove_pictures(bench)


def _remove_pictures(bench: Bench) -> None:
	for name in ("srs", "queue"):
		redis.empty(bench, name, config.PICTURE_DATABASE)
	mariadb.execute(bench, DROP_USER.format(name=PICTURE_DATABASE))
	shutil.rmtree(bench.site(PICTURE_SITE), ignore_errors=True)


def _copy_pristine(bench: Bench, site_name: str, name: str, **more: object) -> None:
	"""A copy of the new site, with a database of this name: much faster than making another one."""
	site, password = bench.site(site_name), secrets.token_urlsafe(16)
	shutil.rmtree(site, ignore_errors=True)
	for directory in ("private/files", "private/backups", "public/files", "logs", "locks"):
		(site / directory).mkdir(parents=True)
	mariadb.execute(bench, CREATE_USER.format(name=name, password=password))
	with bench.pristine_dump.open("rb") as dump:
		shell.run(mariadb.client(bench, name), bench.log("sites"), stdin=dump)
	own = {"db_name": name, "db_password": password, "db_type": "mariadb", **more}
	# the encryption key must stay: the dump may hold values encrypted with it
	_write_site_config(bench, site_name, {**_site_config(bench, MAIN_SITE), **own})


def _bring_up_to_date(bench: Bench, name: str, fingerprint: str) -> None:
	stamp = _stamp(bench, name)
	if not stamp.is_file():
		with step(f"Installing memora on {name}"):
			# --force: an interrupted installation goes on
			_run(bench, "--site", name, "install-app", "memora", "--force")
	elif stamp.read_text() != fingerprint:
		with step(f"Migrating {name}: memora's schema files changed"):
			_run(bench, "--site", name, "migrate")
	stamp.write_text(fingerprint)


def _site_config(bench: Bench, name: str) -> dict[str, object]:
	return json.loads((bench.site(name) / "site_config.json").read_text())


def _write_site_config(bench: Bench, name: str, values: dict[str, object]) -> None:
	(bench.site(name) / "site_config.json").write_text(json.dumps(values, indent=1, sort_keys=True))


def _made(bench: Bench, name: str) -> Path:
	return bench.site(name) / ".made"


def _stamp(bench: Bench, name: str) -> Path:
	"""Holds the fingerprint of the schema files the site was last brought up to."""
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
