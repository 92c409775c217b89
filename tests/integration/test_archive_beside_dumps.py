"""What `bench backup` holds of a season that is archived meanwhile: each row once, or the backup fails.

A dump is stopped by a lock on a table that it comes to before, between or after those that hold records.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import frappe
import pytest

from devtools import mariadb, sites
from devtools.paths import current_bench
from memora.services import site_time
from memora.services.operations.archiving import archive_season
from memora.services.store import ddl, swap
from memora.services.store.database import Connection
from tests.integration.archiving import ARCHIVE, TRACKER, all_rows, make_ended_season, stored
from tests.integration.connections import raw_connection
from tests.integration.waiting import wait_until

RESTORED = "memora_restored"
ROWS = 7
SECONDS = 30
# Empty tables at which a dump can be stopped, by name before, between and after archive and tracker
STOPS = ("aaa_stop", "tabBetween stop", "tabzz stop")
# The partition is another table than the snapshot has seen; a table that was listed has gone
REFUSALS = (b"Error 1412: Table definition has changed", b"Couldn't read status information for table to_")
WAITS_SQL = """
	SELECT COUNT(*) FROM information_schema.PROCESSLIST
	WHERE DB = DATABASE() AND STATE LIKE 'Waiting for table metadata lock' AND INFO LIKE %s"""


@pytest.fixture
def ended(clean) -> Iterator[str]:
	with raw_connection(autocommit=True) as connection, connection.cursor() as cursor:
		for name in STOPS:
			cursor.execute(f"CREATE OR REPLACE TABLE `{name}` (x int)")
		yield make_ended_season(ROWS)
		for name in STOPS:
			cursor.execute(f"DROP TABLE `{name}`")


def take_out(season: str) -> None:
	swap.take_out(season)


def put_in(season: str) -> None:
	swap.put_in(season, site_time.naive_now(), on_copied=lambda rows: None)


def make_empty(season: str) -> None:
	"""What a run has done that died before the swap."""
	empty = swap.EMPTY_PREFIX + swap.partition_name(season)
	ddl.create_like(empty, TRACKER)
	ddl.remove_partitioning(empty)


def swap_only(season: str) -> None:
	"""What a run does after make_empty."""
	ddl.take_out_partition(
		TRACKER, season, swap.EMPTY_PREFIX + swap.partition_name(season), swap.staging_table(season)
	)


def add_columns(season: str) -> None:
	swap._add_archive_columns(swap.staging_table(season), site_time.naive_now())


def copy(season: str) -> None:
	swap._copy_into_archive(season, on_copied=lambda rows: None)


# What has been done when the dump begins, and what is done while it is stopped
CASES = {
	"swap": ([], [take_out]),
	"archive": ([], [take_out, put_in]),
	"copy": ([], [take_out, add_columns, copy]),
	"resumed": ([make_empty], [take_out, put_in]),
	"resumed swap": ([make_empty], [take_out]),
	"swap alone": ([make_empty], [swap_only]),
	"both swaps": ([make_empty], [swap_only, put_in]),
	"second half": ([take_out], [put_in]),
	"last step": ([take_out, add_columns], [put_in]),
	"second half by copy": ([take_out, add_columns], [copy]),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("case", CASES)
def test_a_dump_holds_each_row_once_or_fails(ended, tmp_path, case, stop):
	before, meanwhile = CASES[case]
	for step in before:
		step(ended)
	path = tmp_path / "dump.sql"
	with locked(stop), raw_connection() as watching:
		dump = begin_dump(path)
		wait_until(lambda: waits_at(watching, stop), "the dump to stop", SECONDS)
		for step in meanwhile:
			step(ended)
	_out, error = dump.communicate(timeout=SECONDS)
	assert len(all_rows(ended)) == ROWS
	if dump.returncode == 0:
		assert count_restored(path, ended) == ROWS
	else:
		assert any(reason in error for reason in REFUSALS), error


def test_bench_backup_fails_with_its_dump(ended, tmp_path):
	bench = current_bench()
	command = sites.bench_command(
		bench, "--site", frappe.local.site, "backup", "--backup-path", str(tmp_path)
	)
	with locked(STOPS[0]), raw_connection() as watching:
		backup = subprocess.Popen(command, cwd=bench.sites, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		wait_until(lambda: waits_at(watching, STOPS[0]), "the dump to stop", SECONDS)
		take_out(ended)
	said, _error = backup.communicate(timeout=SECONDS)
	assert backup.returncode != 0, said


def test_a_run_that_a_dump_keeps_waiting_says_so(ended, tmp_path, monkeypatch):
	monkeypatch.setattr(ddl, "DEADLINE_SECONDS", 0)
	with raw_connection() as reading, reading.cursor() as cursor:
		number = reading.thread_id()
		cursor.execute(f"SELECT /*!40001 SQL_NO_CACHE */ name FROM `{TRACKER}`")
		result = archive_season(ended)
		reading.rollback()  # closing it would let the table go a little later
	assert not result["success"]
	assert f"connection {number}" in stored(ended).archive_status
	assert archive_season(ended)["success"]


@contextmanager
def locked(table: str) -> Iterator[None]:
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute(f"LOCK TABLES `{table}` WRITE")
		yield


def waits_at(connection: Connection, table: str) -> bool:
	with connection.cursor() as cursor:
		cursor.execute(WAITS_SQL, (f"%{table}%",))
		return bool(cursor.fetchone()[0])


def begin_dump(path: Path) -> "subprocess.Popen[bytes]":
	"""As Frappe does it, but for the tables that have nothing to do with records."""
	frappe.db.commit()
	conf = frappe.conf
	others = [
		table
		for (table,) in frappe.db.sql("SHOW TABLES")
		if not table.startswith(("to_", *STOPS)) and table not in (TRACKER, ARCHIVE)
	]
	frappe.db.commit()
	options = ["--single-transaction", "--quick", "--lock-tables=false"]
	login = [f"--user={conf.db_name}", f"--password={conf.db_password}", f"--port={conf.db_port or 3306}"]
	return subprocess.Popen(
		[
			mariadb.program("mariadb-dump"),
			"--no-defaults",
			*options,
			*login,
			f"--host={conf.db_host}",
			*(f"--ignore-table={conf.db_name}.{table}" for table in others),
			conf.db_name,
		],
		stdout=path.open("wb"),
		stderr=subprocess.PIPE,
	)


def count_restored(path: Path, season: str) -> int:
	"""Restores a dump, and returns how many rows of the season it holds, wherever they are."""
	bench = current_bench()

	def ask(statement: str) -> list[str]:
		command = mariadb.client(bench, "--skip-column-names", "--execute", statement, RESTORED)
		return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

	mariadb.load(bench, path, RESTORED, RESTORED)
	try:
		tables = [table for table in ask("SHOW TABLES") if table not in STOPS]
		return sum(
			int(ask(f"SELECT COUNT(*) FROM `{table}` WHERE season = '{season}'")[0]) for table in tables
		)
	finally:
		mariadb.drop(bench, RESTORED)
