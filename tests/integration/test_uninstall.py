"""Memora is uninstalled from a site and installed again, by bench commands in processes of their own."""

import subprocess

import pytest

from devtools import mariadb, sites
from devtools.paths import PICTURE_SITE, Bench, current_bench

# What installing Memora makes outside of its own tables: table, and what its rows of Memora are. Frappe 15 keeps the settings.
MADE = {
	"Module Def": "app_name = 'memora'",
	"DocType": "module = 'Memora'",
	"Report": "module = 'Memora'",
	"Workspace": "module = 'Memora'",
	"Number Card": "module = 'Memora'",
	"Dashboard Chart": "module = 'Memora'",
	"Custom DocPerm": "role = 'Memora Manager'",
	"List View Settings": "name IN ('Player Memory Tracker', 'Review Outbox', 'SRS Write Job')",
	"Custom Field": "fieldname LIKE 'memora%'",
	"DefaultValue": "defkey LIKE 'memora%'",
	"Desktop Icon": "label = 'Memora'",
	"Workspace Sidebar": "title = 'Memora'",
	"Workspace Sidebar Item": "parent = 'Memora'",
}
NOT_INSTALLED = (
	f"Memora is not installed on {PICTURE_SITE}. Run: bench --site {PICTURE_SITE} install-app memora"
)
# As Memora notes the former name of a subject
RENAMED_SQL = """
	INSERT INTO tabDefaultValue (name, parent, parenttype, defkey, defvalue)
	VALUES ('renamed', '__global', '__global', 'memora_subject_1', '["Old", "New"]')"""


@pytest.fixture
def bench():
	"""A bench with one more site, which has Memora and no data."""
	with sites.pictures(current_bench()):
		yield current_bench()


def made(bench: Bench) -> dict[str, int]:
	tables = query(bench, "SHOW TABLES")
	counts = {name: f"SELECT COUNT(*) FROM `tab{name}` WHERE {rows}" for name, rows in MADE.items()}
	return {name: int(query(bench, sql)[0]) for name, sql in counts.items() if f"tab{name}" in tables}


def query(bench: Bench, sql: str) -> list[str]:
	args = mariadb.client(bench, "--skip-column-names", "--batch", "-e", sql, sites.DATABASES[PICTURE_SITE])
	return subprocess.run(args, capture_output=True, text=True, check=True).stdout.splitlines()


def run(bench: Bench, *args: str, exit_code: int = 0) -> str:
	command = sites.bench_command(bench, "--site", PICTURE_SITE, *args)
	done = subprocess.run(command, cwd=bench.sites, capture_output=True, text=True)
	assert done.returncode == exit_code, done.stderr
	return done.stdout + done.stderr


def test_nothing_of_memora_stays_but_its_roles_and_it_can_be_installed_again(bench):
	before, tables = made(bench), query(bench, "SHOW TABLES")
	run(bench, "uninstall-app", "memora", "--yes", "--no-backup", "--dry-run")
	assert made(bench) == before
	query(bench, RENAMED_SQL)
	assert "Traceback" not in run(bench, "uninstall-app", "memora", "--yes", "--no-backup")
	assert {name: count for name, count in made(bench).items() if count} == {}
	roles = query(bench, "SELECT name FROM tabRole WHERE name LIKE 'Memora%' ORDER BY name")
	assert roles == ["Memora Manager", "Memora Monitor"]
	for command in ("doctor", "status"):
		said = run(bench, "memora", command, exit_code=1)
		assert said == f"Error: {NOT_INSTALLED}\n"
	assert "Traceback" not in run(bench, "install-app", "memora")
	assert (made(bench), query(bench, "SHOW TABLES")) == (before, tables)
