"""Counts, flags and deletes the rows of the archive. Module swap moves rows into the archive."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from memora.services.store import database, failures, partitions, row_names, seasons, swap, tables
from memora.services.store.database import Cursor, query

SHARES = {seasons.NONE: 0, seasons.ALL: 1}  # of a season's rows that are flagged
LOOKS = 64  # at rows that stand for all
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
FLAG_SQL = f"UPDATE {ARCHIVE} SET eligible_for_deletion = 1 {CHUNK} AND eligible_for_deletion = 0"
UNFLAG_SQL = f"UPDATE {ARCHIVE} SET eligible_for_deletion = 0 {CHUNK} AND eligible_for_deletion = 1"
FLAG_OLDER_SQL = f"{FLAG_SQL} AND archived_at < %(cutoff)s"
UNFLAG_NEWER_SQL = f"{UNFLAG_SQL} AND archived_at >= %(cutoff)s"
FLAG_FROM_SQL = f"""
	SELECT eligible_for_deletion FROM {ARCHIVE} FORCE INDEX (PRIMARY)
	WHERE season = %(season)s AND name >= %(first)s ORDER BY name LIMIT 1"""
DELETE_SQL = f"DELETE FROM {ARCHIVE} {CHUNK} AND eligible_for_deletion = 1"


def get_archived_seasons() -> list[str]:
	"""Returns the seasons that have a partition with rows in the archive."""
	return [name for name in get_partitioned_seasons() if has_rows(name)]


def get_partitioned_seasons() -> list[str]:
	"""Returns the seasons that have a partition in the archive, with rows or without."""
	return [p["season"] for p in tables.list_partitions("Archived Memory Tracker") if p["season"]]


def has_rows(season: str) -> bool:
	"""Says whether the archive has a row of a season. Costs one lookup."""
	return bool(query(tables.ANY_ROW_SQL["Archived Memory Tracker"], (season,)))


class RecordCounts(NamedTuple):
	"""A season's rows: in the tracker or on their way to the archive, in the archive, and flagged there."""

	active: int
	archived: int
	eligible: int
	is_estimate: bool = False


def estimate_records(season: str, flags: str | None, exact_up_to: int) -> RecordCounts:
	"""Counts a season of up to `exact_up_to` rows, and estimates a larger one, by two digits. Reads few rows of that.

	`flags` is what the season notes of its flags in the archive.
	"""
	found = tables.describe_season(season)
	rows = {doctype: of_table["rows"] if of_table else 0 for doctype, of_table in found.items()}
	active = rows["Player Memory Tracker"] + tables.estimate_table(swap.find_staging(season))
	archived = rows["Archived Memory Tracker"]
	if active + archived <= exact_up_to:
		return count_records(season)
	share = SHARES[flags] if flags in SHARES else _share_of_flagged(season)
	shown, flagged = tables.rounded(archived), tables.rounded(round(archived * share))
	return RecordCounts(tables.rounded(active), shown, flagged, is_estimate=True)


def _share_of_flagged(season: str) -> float:
	"""Returns about which share of a season's rows are flagged. Names begin with a hash, so rows here and there stand for all."""
	starts = [share["first"] for share in row_names.shares(LOOKS)]
	with database.connection() as own, own.cursor() as cursor:
		found = [
			row[0]
			for first in starts
			if cursor.execute(FLAG_FROM_SQL, {"season": season, "first": first})
			for row in cursor.fetchall()
		]
	return sum(found) / max(len(found), 1)


def count_records(season: str) -> RecordCounts:
	"""Counts a season's rows. Reads all of them."""
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
			return RecordCounts(active, archived, int(eligible))


def count_moved(season: str) -> tuple[int, int]:
	"""Returns (rows left in the tracker, rows in the archive) of a season whose rows have moved."""
	((left,),) = query(LEFT_SQL, (season,))
	if not partitions.has_partitions(season):  # then the season has never had a row
		return left, 0
	((moved,),) = query(MOVED_SQL.format(partition=tables.partition_name(season)))
	return left, moved


def flag_older(season: str, cutoff: datetime) -> int:
	"""Flags rows that were archived before a naive site time, and takes the flags from all others. Returns how many it flagged.

	Works in bounded transactions, and reads all rows of the season.
	"""
	return _in_chunks([UNFLAG_NEWER_SQL, FLAG_OLDER_SQL], season, cutoff=cutoff)


def flag_all(season: str) -> int:
	"""Flags every row of a season, and returns how many were not flagged. Works in bounded transactions."""
	return _in_chunks([FLAG_SQL], season)


def unflag_all(season: str) -> int:
	"""Takes the flags from all rows of a season, and returns how many were flagged. Works in bounded transactions."""
	return _in_chunks([UNFLAG_SQL], season)


def delete_flagged(season: str) -> int:
	"""Deletes the flagged rows and returns how many.

	If every row of the season is flagged, empties the partition at once; else deletes in bounded
	transactions.
	"""
	counts = count_records(season)
	if counts.eligible < counts.archived:
		return _in_chunks([DELETE_SQL], season)
	partitions.empty_partition("Archived Memory Tracker", season)
	return counts.eligible


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
