"""Memora is uninstalled from a site and installed again, by bench commands in processes of their own."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator

import click
import pytest
import redis

import devtools.redis
from devtools import config, mariadb, sites
from devtools.paths import PICTURE_SITE, PROJECT, Bench, current_bench
from tests.integration import bench_commands

DOCTYPES = [json.loads(path.read_text())["name"] for path in PROJECT.glob("memora/memora/doctype/*/*.json")]
# Memora by name, and one of its DocTypes
NAMES = f"memora|(^|\n)({'|'.join(DOCTYPES)})($|\n)".lower()
COLUMNS_SQL = """
	SELECT TABLE_NAME, GROUP_CONCAT('CONVERT(`', COLUMN_NAME, '` USING utf8mb4)') FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE REGEXP 'char|text|json' AND TABLE_NAME != 'tabError Log'
	GROUP BY TABLE_NAME"""
ROW_SQL = (
	"SELECT '{0}', LEFT(CONCAT_WS(' ', {1}), 80) FROM `{0}` WHERE LOWER(CONCAT_WS('\n', {1})) REGEXP '{2}'"
)
# What installing Memora makes outside of its own tables: table, and what its rows of Memora are
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
	"Scheduled Job Type": "method LIKE 'memora.%'",
	"Patch Log": "patch LIKE 'memora.%'",
	"Desktop Icon": "label = 'Memora'",
	"Workspace Sidebar": "title = 'Memora'",
	"Workspace Sidebar Item": "parent = 'Memora'",
}
NOT_INSTALLED = (
	f"Memora is not installed on {PICTURE_SITE}. Run: bench --site {PICTURE_SITE} install-app memora"
)
OURS = "name, parent, parenttype, defkey, defvalue"
# A learner with a record and an answer; a manager; what people said and stored; the former name of a subject
DATA_SQL = f"""
	INSERT INTO `tabMemora Learner` (name, user) VALUES ('0123456789abcdef', 'Administrator');
	INSERT INTO `tabPlayer Review Log` (name, player, season) VALUES ('a1', '0123456789abcdef', '');
	INSERT INTO `tabPlayer Memory Tracker` (name, player, season, stability) VALUES ('r1', '0123456789abcdef', '', 3.25);
	INSERT INTO `tabHas Role` (name, parent, parenttype, parentfield, role) VALUES ('h1', 'Guest', 'User', 'roles', 'Memora Manager');
	INSERT INTO tabComment (name, reference_doctype, reference_name, content) VALUES ('c1', 'Game Question', 'q', 'Hard');
	DELETE FROM tabSingles WHERE field = 'media_hosts';
	INSERT INTO tabSingles (doctype, field, value) VALUES ('Memora Settings', 'media_hosts', 'kept.example');
	INSERT INTO tabDefaultValue ({OURS}) VALUES ('renamed', '__global', '__global', 'memora_subject_1', '["Old", "New"]')"""
DATA = {
	"SELECT name, user FROM `tabMemora Learner`": "0123456789abcdef\tAdministrator",
	"SELECT name, player FROM `tabPlayer Review Log`": "a1\t0123456789abcdef",
	"SELECT name, stability FROM `tabPlayer Memory Tracker`": "r1\t3.250000000",
	"SELECT parent FROM `tabHas Role` WHERE role = 'Memora Manager' AND parent = 'Guest'": "Guest",
	"SELECT content FROM tabComment WHERE reference_doctype = 'Game Question'": "Hard",
	"SELECT value FROM tabSingles WHERE field = 'media_hosts'": "kept.example",
	"SELECT defvalue FROM tabDefaultValue WHERE defkey = 'memora_subject_1'": '["Old", "New"]',
}


def refusals() -> dict[str, tuple[int, str]]:
	"""What each command says, but for one that needs no site, and one for sites from which Memora was uninstalled."""
	commands = bench_commands.group().commands["memora"].commands
	runs = {
		name: bench_commands.run("--site", PICTURE_SITE, "memora", name, *arguments(commands[name]))
		for name in commands.keys() - {"openapi", "delete-kept"}
	}
	return {name: (done.exit_code, done.stderr) for name, done in runs.items()}


def arguments(command: click.Command) -> list[str]:
	"""Returns something for each argument that a command must have."""
	names = [param.opts[0] for param in command.params if param.required]
	return [part for name in names for part in ([name, __file__] if name.startswith("-") else [__file__])]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
	"""A bench with one more site, which has Memora and no data."""
	with sites.pictures(current_bench()):
		yield current_bench()


def made(bench: Bench) -> dict[str, int]:
	tables = query(bench, "SHOW TABLES")
	counts = {name: f"SELECT COUNT(*) FROM `tab{name}` WHERE {rows}" for name, rows in MADE.items()}
	return {name: int(query(bench, sql)[0]) for name, sql in counts.items() if f"tab{name}" in tables}


def left(bench: Bench) -> list[str]:
	"""Where the site's database names Memora: tables, columns and rows."""
	columns = (line.split("\t") for line in query(bench, f"SET group_concat_max_len = 100000; {COLUMNS_SQL}"))
	rows = query(bench, " UNION ALL ".join(ROW_SQL.format(*pair, NAMES) for pair in columns))
	tables = [name for name in query(bench, "SHOW TABLES") if name.removeprefix("tab") in DOCTYPES]
	return [*tables, *query(bench, "SHOW COLUMNS FROM `tabData Import` LIKE 'memora%'"), *rows]


def data(bench: Bench) -> dict[str, str]:
	return {sql: "\n".join(query(bench, sql)) for sql in DATA}


def query(bench: Bench, sql: str) -> list[str]:
	options = ("--skip-column-names", "--batch", "--raw")
	args = mariadb.client(bench, *options, sites.DATABASES[PICTURE_SITE])
	done = subprocess.run(args, input=sql, capture_output=True, text=True)
	assert done.returncode == 0, done.stderr
	return done.stdout.splitlines()


def run(bench: Bench, *args: str, exit_code: int = 0, **options) -> str:
	command = sites.bench_command(bench, "--site", PICTURE_SITE, *args)
	options = {"stdin": subprocess.DEVNULL, "capture_output": True, **options}
	done = subprocess.run(command, cwd=bench.sites, text=True, **options)
	assert done.returncode == exit_code, (done.stdout, done.stderr)
	said = f"{done.stdout}{done.stderr}"
	assert "Traceback" not in said
	return said


def uninstall(bench: Bench, *options: str) -> str:
	return run(bench, "uninstall-app", "memora", "--yes", "--no-backup", *options)


def uninstall_at_terminal(bench: Bench, answers: str) -> str:
	"""Somebody answers at the keyboard: whether she is sure, which Frappe asks, and whether data is kept."""
	ours, theirs = pty.openpty()
	os.write(ours, answers.encode())
	try:
		return run(bench, "uninstall-app", "memora", "--no-backup", stdin=theirs)
	finally:
		os.close(ours)
		os.close(theirs)


def keys(bench: Bench) -> list[bytes]:
	return redis.Redis.from_url(devtools.redis.url(bench, "srs", config.PICTURE_DATABASE)).keys()


def test_the_life_of_an_installation(bench):
	"""One test, because each step takes seconds: kept by default, found again, deleted by who says so."""
	before, tables = made(bench), query(bench, "SHOW TABLES")
	query(bench, DATA_SQL)
	assert data(bench) == DATA
	uninstall(bench, "--dry-run")
	assert (made(bench)["DefaultValue"], data(bench)) == (before["DefaultValue"] + 1, DATA)

	assert f"bench --site {PICTURE_SITE} memora delete-kept" in uninstall(bench)
	assert set(query(bench, "SHOW TABLES")).isdisjoint(f"tab{name}" for name in DOCTYPES)
	assert query(bench, "SELECT name FROM tabRole WHERE name LIKE 'Memora%'") == ["Memora Manager"]
	assert {name for name, count in made(bench).items() if count} == {"DefaultValue"}
	assert run(bench, "memora", "status", exit_code=1) == f"Error: {NOT_INSTALLED}\n"
	assert set(refusals().values()) == {(1, f"Error: {NOT_INSTALLED}\n")}

	assert "found again" in run(bench, "install-app", "memora")
	assert (data(bench), query(bench, "SHOW TABLES")) == (DATA, tables)
	assert "is installed on" in run(bench, "memora", "delete-kept", "--yes", exit_code=1)

	assert "Keep both" in uninstall_at_terminal(bench, "y\nn\n")
	assert left(bench) == []
	assert keys(bench) == []
