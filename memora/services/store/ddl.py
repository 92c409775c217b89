"""All DDL of the app: every statement that makes, changes or drops a table.

A DDL statement commits the transaction it runs in. The statement waits for every reader of the table, and all
new readers queue behind the statement. So each statement runs on a connection of its own, waits
METADATA_LOCK_WAIT_SECONDS for its lock, and is tried again until DEADLINE_SECONDS have passed. Every function
that changes a table raises PartitionError when the table stays locked for so long, and the driver's error for
any other failure.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import frappe
from frappe import _

from memora.exceptions import PartitionError, quoting
from memora.services.store import database, failures
from memora.services.store.database import Cursor
from memora.services.store.tables import has_table, partition_name

DEADLINE_SECONDS = 30
PAUSE_SECONDS = 0.5  # lets the queued readers through
# Between two statements of a block that has locked tables, which are milliseconds apart. A process that hangs there would
# keep all learners waiting for as long as MariaDB takes it to be alive: for hours.
LOCKED_RESTS_SECONDS = 2

# Frappe's own columns, which are always 0 here. Narrow, they save six bytes a row; Frappe does not check
# their type.
NARROW_COLUMNS = [f"MODIFY COLUMN {column} tinyint NOT NULL DEFAULT 0" for column in ("docstatus", "idx")]
SET_PRIMARY_KEY = "DROP PRIMARY KEY, ADD PRIMARY KEY (name, season)"

# The site's other connections, first the connection that has been in its present state the longest.
OTHERS_SQL = """
	SELECT ID, COMMAND, TIME, LEFT(INFO, 80) FROM information_schema.PROCESSLIST
	WHERE DB = DATABASE() AND ID != CONNECTION_ID() ORDER BY TIME_MS DESC LIMIT 10"""


# Tables


def create_like(table: str, like: str) -> None:
	"""Makes an empty table with the columns, indexes and partitions of another table."""
	execute_ddl(f"CREATE TABLE `{table}` LIKE `{like}`")


def create(table: str, columns: str) -> None:
	"""Makes a table, unless it exists."""
	execute_ddl(f"CREATE TABLE IF NOT EXISTS `{table}` ({columns})")


def drop(table: str) -> None:
	"""Drops a table with all its rows, if it exists."""
	execute_ddl(f"DROP TABLE IF EXISTS `{table}`")


def drop_empty(table: str) -> None:
	"""Drops a table, if it exists. Raises PartitionError if the table holds a row.

	The table is locked meanwhile, so that no row can arrive between the look and the drop.
	"""
	if not has_table(table):
		return
	with _locked(table) as cursor:
		_drop_empty(cursor, table)


def _drop_empty(cursor: Cursor, table: str) -> None:
	"""Drops a table that the caller has locked. Raises PartitionError if it holds a row."""
	if cursor.execute(f"SELECT 1 FROM `{table}` LIMIT 1"):
		raise PartitionError(_("{0} holds rows, so it stays.").format(table))
	cursor.execute(f"DROP TABLE `{table}`")


def put_in_place(new: str, live: str, kept: str) -> None:
	"""Renames in one step: `live` becomes `kept`, and `new` becomes `live`."""
	execute_ddl(f"RENAME TABLE `{live}` TO `{kept}`, `{new}` TO `{live}`")


def alter(table: str, changes: Iterable[str]) -> None:
	"""Makes changes in one statement. The functions below describe changes."""
	execute_ddl(f"ALTER TABLE `{table}` {', '.join(changes)}")


# Changes of a table, for alter


def binary_column(name: str, length: int) -> str:
	"""Makes a text column one in which letters of either case differ."""
	return f"MODIFY COLUMN {name} varchar({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"


def drop_index(name: str) -> str:
	return f"DROP INDEX `{name}`"


def add_index(name: str, columns: Iterable[str]) -> str:
	return f"ADD INDEX `{name}` ({', '.join(columns)})"


def drop_column(name: str) -> str:
	return f"DROP COLUMN `{name}`"


def modify_column(name: str, definition: str) -> str:
	return f"MODIFY COLUMN `{name}` {definition}"


def partitioned(change: str, seasons: Iterable[str]) -> str:
	"""Returns a change followed by the clause that partitions by season.

	No comma may stand between the two.
	"""
	partitions = ", ".join(f"PARTITION {_definition(season)}" for season in sorted({"", *seasons}))
	return f"{change} PARTITION BY LIST COLUMNS(season) ({partitions})"


# Partitions


def add_partition(table: str, season: str) -> None:
	execute_ddl(f"ALTER TABLE `{table}` ADD PARTITION (PARTITION {_definition(season)})")


def drop_partition(table: str, season: str) -> None:
	execute_ddl(f"ALTER TABLE `{table}` DROP PARTITION {partition_name(season)}")


def empty_partition(table: str, season: str) -> None:
	"""Drops all rows of a season at once; its partition stays."""
	execute_ddl(f"ALTER TABLE `{table}` TRUNCATE PARTITION {partition_name(season)}")


def remove_partitioning(table: str) -> None:
	execute_ddl(f"ALTER TABLE `{table}` REMOVE PARTITIONING")


def take_out_partition(table: str, season: str, empty: str, filled: str) -> None:
	"""Swaps a season's partition with an empty table, which is called `filled` from then on.

	Nobody sees one without the other; see swap about backups.
	"""
	with _locked(table, empty) as cursor:
		cursor.execute(_exchange(table, season, empty))
		cursor.execute(f"ALTER TABLE `{empty}` RENAME TO `{filled}`")


def put_in_partition(table: str, season: str, filled: str) -> None:
	"""Swaps a season's partition, which must be empty, with a table, and drops the table.

	Nobody sees one without the other; see swap about backups. Raises PartitionError if the partition held a row: then
	the table stays.
	"""
	with _locked(table, filled) as cursor:
		cursor.execute(_exchange(table, season, filled))
		_drop_empty(cursor, filled)


def _exchange(table: str, season: str, other: str) -> str:
	return f"ALTER TABLE `{table}` EXCHANGE PARTITION {partition_name(season)} WITH TABLE `{other}`"


def rename(table: str, name: str) -> None:
	execute_ddl(f"RENAME TABLE `{table}` TO `{name}`")


def rename_all(names: dict[str, str]) -> None:
	"""Renames tables {present name: new name} in one step."""
	if names:
		execute_ddl("RENAME TABLE " + ", ".join(f"`{old}` TO `{new}`" for old, new in names.items()))


def add_columns(table: str, columns: dict[str, str], after: str) -> None:
	"""Adds columns {name: type and default} at once: MariaDB only notes the default for the existing rows."""
	parts = []
	for name, definition in columns.items():
		parts.append(f"ADD COLUMN {name} {definition} AFTER {after}")
		after = name
	execute_ddl(f"ALTER TABLE `{table}` {', '.join(parts)}, ALGORITHM = INSTANT")


def _definition(season: str) -> str:
	return f"{partition_name(season)} VALUES IN ({frappe.db.escape(season, percent=False)})"


# How a statement is run


def execute_ddl(statement: str) -> None:
	"""Runs one statement. The top of this module says how the statement waits for its lock."""
	with database.connection() as own, own.cursor() as cursor:
		_execute(cursor, statement)


@contextmanager
def _locked(*locked: str) -> Iterator[Cursor]:
	"""Yields a cursor while nobody else can read or write these tables. Waits for them as execute_ddl does.

	If the block rests for LOCKED_RESTS_SECONDS, MariaDB takes the tables away: then the next statement raises the driver's
	error for a lost connection.
	"""
	names = ", ".join(f"`{table}` WRITE" for table in locked)
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute("SET SESSION wait_timeout = %s", (LOCKED_RESTS_SECONDS,))
		_execute(cursor, f"LOCK TABLES {names}")
		yield cursor


def _execute(cursor: Cursor, statement: str) -> None:
	deadline = time.monotonic() + DEADLINE_SECONDS
	while True:
		try:
			cursor.execute(statement)
			return
		except failures.ERRORS as error:
			if failures.number_of(error) != failures.LOCK_WAIT_TIMEOUT:
				raise
		if time.monotonic() > deadline:
			cursor.execute(OTHERS_SQL)
			frappe.throw(quoting("{0}", _still_locked(statement, cursor.fetchall())), PartitionError)
		time.sleep(PAUSE_SECONDS)


def _still_locked(statement: str, others: tuple[tuple[Any, ...], ...]) -> str:
	"""Returns a message that names the connections which may hold the lock."""
	holders = "; ".join(
		_("connection {0}, {1} for {2} s: {3}").format(
			number, command, seconds, text or _("between statements")
		)
		for number, command, seconds, text in others
	)
	return _(
		"The table stayed locked for {0} seconds, so nothing was done: {1}. Open the longest: {2}"
	).format(DEADLINE_SECONDS, statement[:80], holders)
