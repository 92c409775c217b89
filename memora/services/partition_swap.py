"""Moves a season's rows from tracker to archive by swapping partitions; see srs_archiver for the steps.

Between the two a table of the season's own, the staging table, holds the rows. Its presence and content say
what has been done: no other record is kept, so none can be wrong. Nothing here drops a table that holds a
row, even if another run should be at the same season.
"""

from collections.abc import Callable
from datetime import datetime

import frappe
import pymysql
from frappe import _

from memora.exceptions import PartitionError
from memora.services.partition_manager import (
	connection,
	create_partition,
	execute_ddl,
	partition_name,
	query,
)

TRACKER, ARCHIVE = "tabPlayer Memory Tracker", "tabArchived Memory Tracker"
COPY_ROWS = 5000  # in one transaction, where the tables' columns have drifted apart

# ER_PARTITION_EXCHANGE_DIFFERENT_OPTION, ER_TABLES_DIFFERENT_METADATA, ER_PARTITION_EXCHANGE_FOREIGN_KEY
TABLES_DIFFER = {1731, 1736, 1740}

EXISTS_SQL = """
	SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
COLUMNS_SQL = """
	SELECT COLUMN_NAME FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""

COLUMN_TYPES_SQL = COLUMNS_SQL.replace("COLUMN_NAME FROM", "COLUMN_NAME, COLUMN_TYPE FROM")


def staging_table(season: str) -> str:
	"""The table that holds a season's rows on their way; 63 characters at most, of 64."""
	return f"srs_staging_{partition_name(season)}"


def take_out(season: str) -> None:
	"""Moves the season's rows from the tracker into its staging table, unless they are there already."""
	staging = staging_table(season)
	if has_rows(staging) or not _partition_has_rows(TRACKER, season):
		return
	_refuse_what_the_archive_lacks(TRACKER)
	_drop_empty(staging)  # of a run that died before, and maybe outdated
	execute_ddl(f"CREATE TABLE `{staging}` LIKE `{TRACKER}`")
	execute_ddl(f"ALTER TABLE `{staging}` REMOVE PARTITIONING")
	_exchange(TRACKER, season)


def put_in(season: str, archived_at: datetime, on_copied: Callable[[int], None]) -> None:
	"""Moves the rows of a season's staging table, if it has any, into the archive, and drops the table.

	`on_copied` is called with the number of rows after each chunk where they have to be copied.
	"""
	staging = staging_table(season)
	if has_rows(staging):
		_add_archive_columns(staging, archived_at)
		create_partition(season)
		_move_into_archive(season, on_copied)
	_drop_empty(staging)


def has_table(table: str) -> bool:
	return bool(query(EXISTS_SQL, (table,)))


def has_rows(table: str) -> bool:
	"""Whether there is such a table, and a row in it."""
	return has_table(table) and bool(query(f"SELECT 1 FROM `{table}` LIMIT 1"))


def _partition_has_rows(table: str, season: str) -> bool:
	return bool(query(f"SELECT 1 FROM `{table}` WHERE season = %s LIMIT 1", (season,)))


def _drop_empty(table: str) -> None:
	"""Drops a table if there is one; raises PartitionError if it holds a row.

	Locked meanwhile, so that none can get in between the look and the drop.
	"""
	if not has_table(table):
		return
	with connection() as own, own.cursor() as cursor:
		cursor.execute(f"LOCK TABLES `{table}` WRITE")
		if cursor.execute(f"SELECT 1 FROM `{table}` LIMIT 1"):
			raise PartitionError(_("{0} holds rows, so it stays.").format(table))
		cursor.execute(f"DROP TABLE `{table}`")


def _refuse_what_the_archive_lacks(table: str) -> None:
	"""Raises PartitionError when a table has columns that would be lost on the way."""
	if missing := _columns(table).keys() - _columns(ARCHIVE).keys():
		names = ", ".join(sorted(missing))
		frappe.throw(
			_("The archive lacks the columns {0}. Add them to Archived Memory Tracker, too.").format(names),
			PartitionError,
		)


def _columns(table: str) -> dict[str, str]:
	"""Names and types in their order."""
	return dict(query(COLUMN_TYPES_SQL, (table,)))


def _exchange(table: str, season: str) -> None:
	execute_ddl(
		f"ALTER TABLE `{table}` EXCHANGE PARTITION {partition_name(season)} WITH TABLE `{staging_table(season)}`"
	)


def _add_archive_columns(staging: str, archived_at: datetime) -> None:
	"""As the archive has them. Instant: MariaDB notes the value once, for all rows there are."""
	if "archived_at" in _columns(staging):
		return
	types = _columns(ARCHIVE)
	execute_ddl(
		f"ALTER TABLE `{staging}` "
		f"ADD COLUMN archived_at {types['archived_at']} DEFAULT '{archived_at.isoformat(' ')}' "
		"AFTER last_review_date, "
		f"ADD COLUMN eligible_for_deletion {types['eligible_for_deletion']} NOT NULL DEFAULT 0 "
		"AFTER archived_at, ALGORITHM = INSTANT"
	)


def _move_into_archive(season: str, on_copied: Callable[[int], None]) -> None:
	if not _partition_has_rows(ARCHIVE, season):  # an earlier run's; swapped, those would come back
		try:
			return _exchange(ARCHIVE, season)
		except pymysql.err.MySQLError as error:
			if error.args[0] not in TABLES_DIFFER:
				raise
			frappe.logger("memora").warning(f"archiving {season} row by row: {error}")
	_copy_into_archive(season, on_copied)


def _copy_into_archive(season: str, on_copied: Callable[[int], None]) -> None:
	"""Moves the rows in chunks, each in one transaction that compares what it has copied."""
	staging = staging_table(season)
	_refuse_what_the_archive_lacks(staging)
	columns, total = list(_columns(staging)), 0
	with connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		while moved := _move_chunk(cursor, staging, columns):
			own.commit()
			on_copied(total := total + moved)


def _move_chunk(cursor: pymysql.cursors.Cursor, staging: str, columns: list[str]) -> int:
	"""Moves the first COPY_ROWS rows; how many there were. Of rows of one name, these replace the archive's."""
	cursor.execute(f"SELECT name FROM `{staging}` ORDER BY name LIMIT {COPY_ROWS}")
	names = [name for (name,) in cursor.fetchall()]
	if not names:
		return 0
	chunk, bounds = "WHERE s.name BETWEEN %s AND %s", (names[0], names[-1])
	listed = ", ".join(f"`{c}`" for c in columns)
	replaced = ", ".join(f"`{c}` = VALUES(`{c}`)" for c in columns)
	equal = " AND ".join(f"a.`{c}` <=> s.`{c}`" for c in columns)
	cursor.execute(
		f"INSERT INTO `{ARCHIVE}` ({listed}) SELECT {listed} FROM `{staging}` s {chunk} "
		f"ON DUPLICATE KEY UPDATE {replaced}",
		bounds,
	)
	cursor.execute(f"SELECT COUNT(*) FROM `{ARCHIVE}` a JOIN `{staging}` s ON {equal} {chunk}", bounds)
	((copied,),) = cursor.fetchall()
	if cursor.execute(f"DELETE s FROM `{staging}` s {chunk}", bounds) != copied:
		text = _("Of the rows from {0} to {1}, {2} were copied right.")
		raise PartitionError(text.format(names[0], names[-1], copied))
	return copied
