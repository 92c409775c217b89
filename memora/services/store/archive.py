"""Counts, flags and deletes the rows of the archive. Module swap moves rows into the archive."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from memora.services.store import database, failures, partitions, swap, tables
from memora.services.store.database import Cursor, query

CHUNK_ROWS = 10_000  # in one transaction, which takes some tenths of a second

ARCHIVE = "`tabArchived Memory Tracker`"
# One statement, so that no swap comes between. The staging table exists while rows are on their way.
COUNT_SQL = f"""
	SELECT (SELECT COUNT(*) FROM `tabPlayer Memory Tracker` WHERE season = %(season)s) + {{staged}},
	COUNT(*), COALESCE(SUM(eligible_for_deletion), 0) FROM {ARCHIVE} WHERE season = %(season)s"""
LEFT_SQL = "SELECT COUNT(*) FROM `tabPlayer Memory Tracker` WHERE season = %s"
# Counts a column, by the primary key: half the time of COUNT(*) by an index, ten million rows in a good
# second.
MOVED_SQL = f"SELECT COUNT(player) FROM {ARCHIVE} PARTITION ({{partition}}) IGNORE INDEX (schedule)"
NEXT_NAME_SQL = f"SELECT name FROM {ARCHIVE} WHERE season = %s AND name > %s ORDER BY name LIMIT 1 OFFSET %s"
CHUNK = "WHERE season = %(season)s AND name > %(after)s AND name <= %(last)s"
FLAG_SQL = f"""
	UPDATE {ARCHIVE} SET eligible_for_deletion = 1
	{CHUNK} AND archived_at < %(cutoff)s AND eligible_for_deletion = 0"""
WITHDRAW_SQL = f"""
	UPDATE {ARCHIVE} SET eligible_for_deletion = 0
	{CHUNK} AND archived_at >= %(cutoff)s AND eligible_for_deletion = 1"""
DELETE_SQL = f"DELETE FROM {ARCHIVE} {CHUNK} AND eligible_for_deletion = 1"


def get_archived_seasons() -> list[str]:
	"""Returns the seasons that have a partition with rows in the archive."""
	names = [p["season"] for p in tables.list_partitions("Archived Memory Tracker")]
	return [name for name in names if query(tables.ANY_ROW_SQL["Archived Memory Tracker"], (name,))]


def count_records(season: str) -> tuple[int, int, int]:
	"""Returns (rows in the tracker or on their way to the archive, rows in the archive, flagged rows there).

	Reads all rows of the season.
	"""
	while True:
		staging = swap.find_staging(season)
		is_staged = tables.has_table(staging)
		statement = COUNT_SQL.format(staged=f"(SELECT COUNT(*) FROM `{staging}`)" if is_staged else "0")
		try:
			((active, archived, eligible),) = query(statement, {"season": season})
		except failures.ERRORS as error:
			if failures.number_of(error) != failures.TABLE_MISSING or tables.has_table(staging):
				raise
			# the staging table has been dropped meanwhile
			continue
		if is_staged == tables.has_table(staging):
			return active, archived, int(eligible)


def count_moved(season: str) -> tuple[int, int]:
	"""Returns (rows left in the tracker, rows in the archive) of a season whose rows have moved."""
	((left,),) = query(LEFT_SQL, (season,))
	if not partitions.has_partitions(season):  # then the season has never had a row
		return left, 0
	((moved,),) = query(MOVED_SQL.format(partition=tables.partition_name(season)))
	return left, moved


def flag_older(season: str, cutoff: datetime) -> int:
	"""Flags rows that were archived before a naive site time, and takes the flags from all others. Returns how many it flagged.

	Works in bounded transactions.
	"""
	return _in_chunks([WITHDRAW_SQL, FLAG_SQL], season, cutoff=cutoff)


def delete_flagged(season: str) -> int:
	"""Deletes the flagged rows and returns how many.

	If every row of the season is flagged, empties the partition at once; else deletes in bounded
	transactions.
	"""
	_active, archived, eligible = count_records(season)
	if eligible < archived:
		return _in_chunks([DELETE_SQL], season)
	partitions.empty_partition("Archived Memory Tracker", season)
	return eligible


def _in_chunks(statements: list[str], season: str, **values: Any) -> int:
	"""Runs statements on each chunk of a season's rows. Returns how many rows the last statement changed in all."""
	total = 0
	with database.connection() as own, own.cursor() as cursor:  # the connection commits each statement
		for after, last in _bounds(cursor, season):
			chunk = {"season": season, "after": after, "last": last, **values}
			total += [cursor.execute(statement, chunk) for statement in statements][-1]
	return total


def _bounds(cursor: Cursor, season: str) -> Iterator[tuple[str, str]]:
	"""Yields ranges of names (after, up to and including) that hold at most CHUNK_ROWS rows each."""
	after = ""
	while cursor.execute(NEXT_NAME_SQL, (season, after, CHUNK_ROWS - 1)):
		((last,),) = cursor.fetchall()
		yield after, last
		after = last
	yield after, "g"  # beyond every hex digit
