"""The outbox: submissions that are journalled and committed, but not folded into the tracker yet."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import frappe

from memora.exceptions import SeasonStateError, quoting
from memora.services.store import learners
from memora.services.store.records import (
	ActivityCount,
	Backlog,
	MemoryRecord,
	OutboxEntry,
	OutboxRow,
	pack_records,
	unpack_activity,
	unpack_effort,
	unpack_records,
)

MOST_COUNTED = 10_000  # of the rows that wait or are parked: some milliseconds

# Inserts the row only if the season still takes answers: while it is active, and for a time of grace after it. And only if the
# learner is not being erased. An archive run, and an erasure that begins, either wait for the locks of this statement, or are
# seen by the statement. It locks by word, since on READ COMMITTED it would not lock what it reads.
TAKES = """
	s.name = %(season)s AND s.archive_started_at IS NULL AND (s.is_active = 1 OR s.closed_at > %(grace_from)s)"""
INSERT_SQL = f"""
	INSERT INTO `tabReview Outbox` (name, player, season, payload, activity, creation, modified)
	SELECT %(name)s, l.name, s.name, %(payload)s, %(activity)s, %(now)s, %(now)s
	FROM `tabGame Subscription Season` s JOIN `tabMemora Learner` l
	WHERE {TAKES} AND l.name = %(player)s AND l.erasing_since IS NULL
	AND l.merged_into IS NULL"""
# What has been judged by another end of the season, or by another hour at which a learning day starts, is not stored.
# Locks the season before the settings, as a change of the settings does; see date_moves.
BY_CALENDAR_SQL = """
	AND s.end_date = %(end_date)s AND %(day_start_hour)s = COALESCE((
		SELECT NULLIF(value, '') FROM tabSingles WHERE doctype = 'Memora Settings' AND field = 'day_start_hour' LOCK IN SHARE MODE
	), 4)"""
LOCKED_SQL = " LOCK IN SHARE MODE"
TAKES_SQL = f"SELECT 1 FROM `tabGame Subscription Season` s WHERE {TAKES} LOCK IN SHARE MODE"
# Pages begin behind the place where the page before has ended: what others hold is not found again and again.
BEHIND_SQL = "creation >= %(creation)s AND (creation > %(creation)s OR name > %(name)s)"
OLDEST_SQL = f"""
	SELECT creation, name FROM `tabReview Outbox` WHERE parked_at IS NULL AND creation <= %(before)s AND {BEHIND_SQL}
	ORDER BY creation, name LIMIT %(limit)s"""
# By primary key: any other order would lock every row on the way, or wait for it, and would block inserts.
TAKE_SQL = """
	SELECT name, LEFT(name, 16), season, activity, payload FROM `tabReview Outbox` FORCE INDEX (PRIMARY)
	WHERE name IN %(names)s FOR UPDATE SKIP LOCKED"""
OF_SEASON_SQL = f"""
	SELECT creation, name FROM `tabReview Outbox` WHERE parked_at IS NULL AND season = %(season)s AND {BEHIND_SQL}
	ORDER BY creation, name LIMIT %(limit)s"""
WAITING_SQL = "SELECT name FROM `tabReview Outbox` WHERE name IN %(names)s AND parked_at IS NULL"
WAITING_PAGE_SQL = f"""
	SELECT creation, name FROM `tabReview Outbox` WHERE parked_at IS NULL AND {BEHIND_SQL}
	ORDER BY creation, name LIMIT %(limit)s"""
PARKED_PAGE_SQL = """
	SELECT creation, name, parked_at FROM `tabReview Outbox` WHERE parked_at >= %(parked_at)s AND (
		parked_at > %(parked_at)s OR creation > %(creation)s OR (creation = %(creation)s AND name > %(name)s))
	ORDER BY parked_at, creation, name LIMIT %(limit)s"""
# Counts no further than MOST_COUNTED + 1: a million rows that wait are not counted with each look at them.
SOME_SQL = (
	f"(SELECT COUNT(*) FROM (SELECT 1 FROM `tabReview Outbox` WHERE {{}} LIMIT {MOST_COUNTED + 1}) {{}})"
)
COUNT_OF_SEASON_SQL = f"""
	SELECT {SOME_SQL.format("season = %(season)s AND parked_at IS NULL", "waiting")},
	{SOME_SQL.format("season = %(season)s AND parked_at IS NOT NULL", "parked")}"""
ENTRIES_SQL = """
	SELECT name, player, season, creation, parked_at, error FROM `tabReview Outbox` WHERE name IN %(names)s"""
DELETE_SQL = "DELETE o FROM `tabReview Outbox` o FORCE INDEX (PRIMARY) WHERE o.name IN %(names)s"
REWRITE_SQL = "UPDATE `tabReview Outbox` SET payload = %(payload)s WHERE name = %(name)s"
PARK_SQL = "UPDATE `tabReview Outbox` SET parked_at = %(now)s, error = %(error)s WHERE name = %(name)s"
PARKED_SQL = "SELECT name FROM `tabReview Outbox` WHERE parked_at IS NOT NULL LIMIT %(limit)s"
LOCK_PARKED_SQL = """
	SELECT name FROM `tabReview Outbox` FORCE INDEX (PRIMARY)
	WHERE name IN %(names)s AND parked_at IS NOT NULL FOR UPDATE SKIP LOCKED"""
UNPARK_SQL = """
	UPDATE `tabReview Outbox` FORCE INDEX (PRIMARY) SET parked_at = NULL, error = NULL WHERE name IN %(names)s"""
STATUS_SQL = "SELECT IF(parked_at IS NULL, 'queued', 'parked') FROM `tabReview Outbox` WHERE name = %(name)s"
BACKLOG_SQL = f"""
	SELECT {SOME_SQL.format("parked_at IS NULL", "waiting")}, {SOME_SQL.format("parked_at IS NOT NULL", "parked")},
	(SELECT creation FROM `tabReview Outbox` WHERE parked_at IS NULL ORDER BY creation LIMIT 1)"""
COUNT_PARKED_SQL = f"SELECT {SOME_SQL.format('parked_at IS NOT NULL', 'parked')}"
COUNT_SQL = "SELECT COUNT(*) - COUNT(parked_at), COUNT(parked_at) FROM `tabReview Outbox`"


class Calendar(NamedTuple):
	"""What dates are judged by: the season's last day, and the hour at which a learning day starts."""

	end_date: date
	day_start_hour: int


class Place(NamedTuple):
	"""Where a row stands: in the order of acceptance, or of parking. Datetimes are naive site time."""

	creation: datetime
	name: str
	parked_at: datetime | None = None


LONG_AGO = datetime(1000, 1, 1)
START = Place(LONG_AGO, "", LONG_AGO)  # before all rows


class CalendarChanged(Exception):
	"""A submission was judged by a calendar that is not the present one. Judge it again."""


def insert(
	key: str,
	learner: str,
	season: str,
	payload: str,
	activity: Sequence[ActivityCount],
	now: datetime,
	grace_from: datetime | None = None,
	calendar: Calendar | None = None,
) -> None:
	"""Adds a submission. `payload` is what records.pack_records gives. A season closed since `grace_from` takes it, too.

	Raises SeasonStateError if the season takes no answers, LearnerIsErased if the learner is being erased or is gone,
	CalendarChanged if the answers were judged by a `calendar` that is not the present one; then the caller must roll back.
	A change of the calendar waits until the transaction ends.
	"""
	values = {"name": key, "player": learner, "season": season, "activity": json.dumps(activity), "now": now}
	by_calendar = calendar._asdict() if calendar else {}
	values = {**values, **by_calendar, "payload": payload, "grace_from": grace_from}
	frappe.db.sql(INSERT_SQL + (BY_CALENDAR_SQL if calendar else "") + LOCKED_SQL, values)
	if frappe.db._cursor.rowcount != 1:
		learners.require_kept(learner)
		if calendar and frappe.db.sql(TAKES_SQL, values):
			raise CalendarChanged
		frappe.throw(quoting(frappe._("Season {0} takes no answers any more."), season), SeasonStateError)


def take(names: list[str]) -> list[OutboxRow]:
	"""Locks outbox rows until the transaction ends, and returns them; not the rows that are gone or locked.

	Raises what records.unpack_records raises if a payload can't be read.
	"""
	if not names:
		return []
	rows = frappe.db.sql(TAKE_SQL, {"names": names})
	return [
		OutboxRow(
			name, learner, season, unpack_activity(activity), unpack_records(payload), unpack_effort(payload)
		)
		for name, learner, season, activity, payload in rows
	]


def rewrite(row: OutboxRow, records: list[MemoryRecord]) -> None:
	"""Gives a row that `take` has locked other records."""
	frappe.db.sql(REWRITE_SQL, {"name": row.name, "payload": pack_records(records, row.effort)})


def delete(rows: Sequence[OutboxRow]) -> None:
	"""Deletes rows that `take` has locked."""
	if rows:
		frappe.db.sql(DELETE_SQL, {"names": [row.name for row in rows]})


def park(name: str, error: str, now: datetime) -> None:
	"""Takes a row out of the sweeper's way, and notes why it could not be folded. The caller commits."""
	frappe.db.sql(PARK_SQL, {"name": name, "error": error, "now": now})


def get_parked(limit: int) -> list[str]:
	"""Returns the names of at most `limit` parked rows."""
	return [n for (n,) in frappe.db.sql(PARKED_SQL, {"limit": limit})]


def unpark(names: Sequence[str]) -> int:
	"""Puts parked rows back among those that wait, but for rows that others have locked, and returns how many. The caller commits."""
	locked = [n for (n,) in frappe.db.sql(LOCK_PARKED_SQL, {"names": names})]
	if locked:
		frappe.db.sql(UNPARK_SQL, {"names": locked})
	return len(locked)


def get_waiting_status(key: str) -> Literal["queued", "parked"] | None:
	"""Returns `queued` or `parked` while a submission is in the outbox; else None."""
	rows = frappe.db.sql(STATUS_SQL, {"name": key})
	return rows[0][0] if rows else None


def get_backlog() -> Backlog:
	"""Returns the counts of the whole outbox, each up to MOST_COUNTED + 1."""
	(counts,) = frappe.db.sql(BACKLOG_SQL)
	return Backlog(*counts)


def count_parked() -> int:
	"""Returns how many submissions are parked, up to MOST_COUNTED + 1."""
	((count,),) = frappe.db.sql(COUNT_PARKED_SQL)
	return count


def count_all() -> tuple[int, int]:
	"""Returns (submissions that wait, submissions that are parked). Counts them one by one: tenths of a second for a million."""
	(counts,) = frappe.db.sql(COUNT_SQL)
	return counts


def count_of_season(season: str) -> tuple[int, int]:
	"""Returns (submissions of a season that wait, submissions of it that are parked), each up to MOST_COUNTED + 1."""
	(counts,) = frappe.db.sql(COUNT_OF_SEASON_SQL, {"season": season})
	return counts


def as_text(count: int) -> str:
	"""Returns one of these counts as people read it: `10000+` if more were not counted."""
	return str(count) if count <= MOST_COUNTED else f"{MOST_COUNTED}+"


def get_oldest(before: datetime, limit: int, after: Place | None = None) -> list[Place]:
	"""Returns the rows that are not parked and were created up to a naive site time, oldest first, behind a place. Locks none."""
	return _places(OLDEST_SQL, {"before": before, "limit": limit}, after)


def get_of_season(season: str, limit: int, after: Place | None = None) -> list[Place]:
	"""Returns a season's rows that are not parked, oldest first, behind a place. Locks none."""
	return _places(OF_SEASON_SQL, {"season": season, "limit": limit}, after)


def _places(statement: str, values: dict[str, Any], after: Place | None) -> list[Place]:
	return [Place(*row) for row in frappe.db.sql(statement, {**values, **(after or START)._asdict()})]


def get_waiting(names: Sequence[str]) -> list[str]:
	"""Returns those of some names whose rows are there, and not parked."""
	return [n for (n,) in frappe.db.sql(WAITING_SQL, {"names": names})]


def get_page(parked: bool, limit: int, after: Place | None = None) -> list[Place]:
	"""Returns a page of the rows that are parked, or of those that are not, behind a place. The oldest or first parked come first."""
	return _places(PARKED_PAGE_SQL if parked else WAITING_PAGE_SQL, {"limit": limit}, after)


def get_entries(names: list[str]) -> dict[str, OutboxEntry]:
	"""Returns {name: entry} of the rows that exist."""
	if not names:
		return {}
	rows = frappe.db.sql(ENTRIES_SQL, {"names": names})
	return {row[0]: OutboxEntry(*row) for row in rows}
