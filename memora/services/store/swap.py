"""Moves a season's rows from tracker to archive by swapping partitions; operations/archiving lists the steps.

Between tracker and archive a table of the season's own, the staging table, holds the rows. The staging table
and its rows say what has been done: no other note is kept, so no note can be wrong. Nothing here drops a
table that holds a row, even if another run is working on the season.

**Backups.** `mariadb-dump --single-transaction` takes a snapshot, lists the tables, and reads one after the other by name.
MariaDB does not keep what a partition held before a swap, so a dump during a run could hold a season's rows nowhere, or
twice. Now such a dump holds them once, or fails, because

* the table that takes a season's rows gets another name in the swap, and the table that gives them to the archive is dropped
  in it, while nobody can read either: a dump that has listed the former name finds no table, and fails;
* both names come after those of tracker and archive, so a dump reads these tables last;
* a dump whose snapshot is older than the empty table can't read the partition that this table has become (error 1412).
"""

from collections.abc import Callable
from datetime import datetime

import frappe
from frappe import _

from memora.exceptions import PartitionError, quoting
from memora.services.store import ddl, failures, tables
from memora.services.store.database import Cursor, connection
from memora.services.store.partitions import create_partition
from memora.services.store.tables import partition_name

TRACKER, ARCHIVE = "tabPlayer Memory Tracker", "tabArchived Memory Tracker"
STAGING_PREFIX = (
	"to_archive_"  # of tables with a season's rows. It must come after "tabPlayer Memory Tracker"
)
EMPTY_PREFIX = "to_fill_"  # of tables that take them. The same holds
FORMER_PREFIX = "srs_staging_"  # of both, in earlier versions
COPY_ROWS = 5000  # in one transaction, if rows must be copied because the tables' columns have drifted apart
# ER_PARTITION_EXCHANGE_DIFFERENT_OPTION, ER_TABLES_DIFFERENT_METADATA, ER_PARTITION_EXCHANGE_FOREIGN_KEY
TABLES_DIFFER = {1731, 1736, 1740}


def staging_table(season: str) -> str:
	"""Returns the name of a season's staging table: at most 62 characters of the 64 that MariaDB allows."""
	return STAGING_PREFIX + partition_name(season)


def find_staging(season: str) -> str:
	"""Returns the table that holds the season's rows on their way, as far as there is one.

	A run that died within the swap, or one of an earlier version, may have left them under another name.
	"""
	names = [prefix + partition_name(season) for prefix in (STAGING_PREFIX, EMPTY_PREFIX, FORMER_PREFIX)]
	return next((name for name in names if tables.has_table(name)), names[0])


def take_out(season: str) -> None:
	"""Moves the season's rows from the tracker into its staging table, unless they are there already."""
	staging, empty = staging_table(season), EMPTY_PREFIX + partition_name(season)
	for unnamed in (empty, FORMER_PREFIX + partition_name(season)):
		if tables.table_has_rows(unnamed):  # left by a run that died within the swap, or by a former version
			ddl.rename(unnamed, staging)
	if tables.table_has_rows(staging) or not tables.partition_has_rows(TRACKER, season):
		return
	_refuse_what_the_archive_lacks(TRACKER)
	for left in (empty, staging):  # by a run that died; its columns may be outdated
		ddl.drop_empty(left)
	ddl.create_like(empty, TRACKER)
	ddl.remove_partitioning(empty)
	ddl.take_out_partition(TRACKER, season, empty, staging)


def put_in(season: str, archived_at: datetime, on_copied: Callable[[int], None]) -> None:
	"""Moves the rows of a season's staging table, if it has any, into the archive, and drops the table.

	If the partitions can't be swapped, the rows are copied in chunks; after each chunk `on_copied` is called
	with the number of rows copied so far.
	"""
	staging = staging_table(season)
	if tables.table_has_rows(staging):
		_add_archive_columns(staging, archived_at)
		create_partition(season)
		_move_into_archive(season, on_copied)
	ddl.drop_empty(staging)


def _refuse_what_the_archive_lacks(table: str) -> None:
	"""Raises PartitionError when a table has columns that would be lost on the way."""
	if missing := tables.columns_of(table).keys() - tables.columns_of(ARCHIVE).keys():
		names = ", ".join(sorted(missing))
		frappe.throw(
			quoting(_("The archive lacks the columns {0}. Add them to Archived Memory Tracker."), names),
			PartitionError,
		)


def _add_archive_columns(staging: str, archived_at: datetime) -> None:
	"""Adds the two columns that the archive has and the tracker lacks."""
	if "archived_at" in tables.columns_of(staging):
		return
	types = tables.columns_of(ARCHIVE)
	columns = {
		"archived_at": f"{types['archived_at']} DEFAULT '{archived_at.isoformat(' ')}'",
		"eligible_for_deletion": f"{types['eligible_for_deletion']} NOT NULL DEFAULT 0",
	}
	ddl.add_columns(staging, columns, after="last_review_date")


def _move_into_archive(season: str, on_copied: Callable[[int], None]) -> None:
	if not tables.partition_has_rows(ARCHIVE, season):  # a swap would bring an earlier run's rows back
		try:
			return ddl.put_in_partition(ARCHIVE, season, staging_table(season))
		except failures.ERRORS as error:
			if failures.number_of(error) not in TABLES_DIFFER:
				raise
			frappe.logger("memora").warning(f"archiving {season} row by row: {error}")
	_copy_into_archive(season, on_copied)


def _copy_into_archive(season: str, on_copied: Callable[[int], None]) -> None:
	"""Moves the rows in chunks.

	Each chunk is one transaction, which fails unless every row was copied right.
	"""
	staging = staging_table(season)
	_refuse_what_the_archive_lacks(staging)
	columns, total = list(tables.columns_of(staging)), 0
	with connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		while moved := _move_chunk(cursor, staging, columns):
			own.commit()
			on_copied(total := total + moved)


def _move_chunk(cursor: Cursor, staging: str, columns: list[str]) -> int:
	"""Moves the first COPY_ROWS rows into the archive, and returns how many rows it moved.

	A row replaces the archive's row of its name. Raises PartitionError if a row was not copied right.
	"""
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
		text = _("Not all rows from {0} to {1} were copied right, only {2}.")
		raise PartitionError(text.format(names[0], names[-1], copied))
	return copied
