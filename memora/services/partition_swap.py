"""Moves a season's rows from tracker to archive by swapping partitions; see srs_archiver for the steps.

Between the two a table of the season's own, the staging table, holds the rows. Its presence and content say
what has been done: no other record is kept, so none can be wrong.
"""

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


def staging_table(season: str) -> str:
	"""The table that holds a season's rows on their way."""
	return f"memora_staging_{partition_name(season)}"[:64]


def take_out(season: str) -> None:
	"""Moves the season's rows from the tracker into its staging table, unless they are there already."""
	staging = staging_table(season)
	if has_rows(staging):
		return
	if not _partition_has_rows(TRACKER, season):
		return
	execute_ddl(f"DROP TABLE IF EXISTS `{staging}`")  # empty: from a run that died before, and maybe outdated
	execute_ddl(f"CREATE TABLE `{staging}` LIKE `{TRACKER}`")
	execute_ddl(f"ALTER TABLE `{staging}` REMOVE PARTITIONING")
	_exchange(TRACKER, season)


def put_in(season: str, archived_at: datetime) -> None:
	"""Moves the rows of a season's staging table, if it has any, into the archive, and drops the table."""
	staging = staging_table(season)
	if has_rows(staging):
		_add_archive_columns(staging, archived_at)
		create_partition(season)
		_move_into_archive(season)
	if has_rows(staging):
		frappe.throw(_("Rows of season {0} are left in {1}.").format(season, staging), PartitionError)
	execute_ddl(f"DROP TABLE IF EXISTS `{staging}`")


def has_rows(table: str) -> bool:
	"""Whether there is such a table, and a row in it."""
	return bool(query(EXISTS_SQL, (table,)) and query(f"SELECT 1 FROM `{table}` LIMIT 1"))


def _partition_has_rows(table: str, season: str) -> bool:
	return bool(query(f"SELECT 1 FROM `{table}` WHERE season = %s LIMIT 1", (season,)))


def _exchange(table: str, season: str) -> None:
	execute_ddl(
		f"ALTER TABLE `{table}` EXCHANGE PARTITION {partition_name(season)} WITH TABLE `{staging_table(season)}`"
	)


def _add_archive_columns(staging: str, archived_at: datetime) -> None:
	"""As the archive has them. Instant: MariaDB notes the value once, for all rows there are."""
	columns = {column for (column,) in query(COLUMNS_SQL, (staging,))}
	if "archived_at" in columns:
		return
	execute_ddl(
		f"ALTER TABLE `{staging}` "
		f"ADD COLUMN archived_at datetime(6) DEFAULT '{archived_at.isoformat(' ')}' AFTER last_review_date, "
		"ADD COLUMN eligible_for_deletion int(1) NOT NULL DEFAULT 0 AFTER archived_at, ALGORITHM = INSTANT"
	)


def _move_into_archive(season: str) -> None:
	if _partition_has_rows(ARCHIVE, season):  # an earlier run's; swapped, those would come back
		_copy_into_archive(season)
		return
	try:
		_exchange(ARCHIVE, season)
	except pymysql.err.MySQLError as error:
		if error.args[0] not in TABLES_DIFFER:
			raise
		frappe.logger("memora").warning(f"archiving {season} row by row: {error}")
		_copy_into_archive(season)


def _copy_into_archive(season: str) -> None:
	"""Moves the rows in chunks, each in one transaction that counts what it has moved."""
	staging = staging_table(season)
	wanted = {column for (column,) in query(COLUMNS_SQL, (ARCHIVE,))}
	shared = [column for (column,) in query(COLUMNS_SQL, (staging,)) if column in wanted]
	columns = ", ".join(f"`{column}`" for column in shared)
	updates = ", ".join(f"`{column}` = VALUES(`{column}`)" for column in shared)
	with connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		while _copy_chunk(cursor, staging, columns, updates):
			own.commit()


def _copy_chunk(cursor: pymysql.cursors.Cursor, staging: str, columns: str, updates: str) -> int:
	cursor.execute(f"SELECT name FROM `{staging}` ORDER BY name LIMIT {COPY_ROWS}")
	names = [name for (name,) in cursor.fetchall()]
	if not names:
		return 0
	bounds = {"first": names[0], "last": names[-1]}
	chunk = f"FROM `{staging}` WHERE name BETWEEN %(first)s AND %(last)s"
	cursor.execute(
		f"INSERT INTO `{ARCHIVE}` ({columns}) SELECT {columns} {chunk} ON DUPLICATE KEY UPDATE {updates}",
		bounds,
	)
	cursor.execute(
		f"SELECT COUNT(*) FROM `{ARCHIVE}` a JOIN `{staging}` s ON a.name = s.name AND a.season = s.season "
		"WHERE s.name BETWEEN %(first)s AND %(last)s AND a.stability = s.stability AND a.reps = s.reps "
		"AND a.next_review_date <=> s.next_review_date",
		bounds,
	)
	copied = cursor.fetchone()[0]
	if cursor.execute(f"DELETE {chunk}", bounds) != copied:
		raise PartitionError(
			f"{copied} rows from {names[0]} to {names[-1]} were copied right, not all of them"
		)
	return copied
