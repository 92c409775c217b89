"""Outdated Schedule: a learner's schedule in Redis that lacks a change, because some process could not reach Redis.

Or that may lack some dates, which the row then names: a fold could not look at it. The row stays until somebody who reaches
Redis has dropped the schedule, or has found these dates in it. Whoever does so deletes the row only if it still has the token
that was read before: another token means that a change was missed since.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

import frappe

from memora.services.store import database, row_names

Dates = dict[str, float]

PAGE_ROWS = 1000
LOCK_WAIT_SECONDS = 1  # for another process that notes the same schedule; a learner waits meanwhile

TOKEN_SQL = "SELECT token FROM `tabOutdated Schedule` WHERE name = %s"
# To a statement on a learner `l` and a season `s`
TOKEN_OF_SQL = (
	"SELECT o.token FROM `tabOutdated Schedule` o WHERE o.player = l.name AND o.season = s.name LIMIT 1"
)
PAGE_SQL = f"""
	SELECT name, player, season, token, dates FROM `tabOutdated Schedule`
	WHERE name > %s ORDER BY name LIMIT {PAGE_ROWS}"""
DATES_SQL = "SELECT dates FROM `tabOutdated Schedule` WHERE name = %s"
NOTE_SQL = (
	"INSERT INTO `tabOutdated Schedule` (name, player, season, token, dates, creation, modified) VALUES "
)
NOTE_TAIL_SQL = """ ON DUPLICATE KEY UPDATE token = VALUES(token), modified = VALUES(modified),
	dates = IF(dates IS NULL OR VALUES(dates) IS NULL, NULL, JSON_MERGE_PATCH(dates, VALUES(dates)))"""
# A note that has another of these tokens by now may go, too: each of them is of a change that was missed before they were read
FORGET_SQL = """
	DELETE o FROM `tabOutdated Schedule` o FORCE INDEX (PRIMARY) WHERE o.name IN %s AND o.token IN %s"""
ROW_LOCK_SQL = "SET innodb_lock_wait_timeout = %s"
# Or it would lock gaps in which others are to be noted
ISOLATION_SQL = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


class OutdatedSchedule(NamedTuple):
	"""A note. `token` is another each time that a change is missed.

	`dates`, {question_id: next_review_ts}, are those that the schedule may lack; None if it lacks something in any case.
	"""

	name: str
	learner: str
	season: str
	token: str
	dates: Dates | None


def note_unseen(schedules: dict[tuple[str, str], Dates], now: datetime) -> None:
	"""Notes that schedules may lack dates, {(learner, season): dates}, in the caller's transaction. `now` is naive site time."""
	for start in range(0, len(rows := _rows(schedules, now)), PAGE_ROWS):
		database.insert(NOTE_SQL, rows[start : start + PAGE_ROWS], NOTE_TAIL_SQL)


def note_at_once(schedules: Iterable[tuple[str, str]], now: datetime) -> None:
	"""Notes schedules of (learner, season) as outdated, on a connection of its own: the caller's transaction stays as it is.

	Raises failures.ERRORS.
	"""
	one = f"({', '.join(['%s'] * 7)})"
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute(ROW_LOCK_SQL, (LOCK_WAIT_SECONDS,))
		cursor.executemany(NOTE_SQL + one + NOTE_TAIL_SQL, _rows(dict.fromkeys(schedules), now))


def _rows(
	schedules: Mapping[tuple[str, str], Dates | None], now: datetime
) -> list[tuple[str, str, str, str, str | None, datetime, datetime]]:
	"""Returns the rows in the order of their names: two processes that note the same schedules can't deadlock."""
	token = uuid4().hex
	return [
		(name, *of, token, None if (dates := schedules[of]) is None else json.dumps(dates), now, now)
		for name, of in sorted((row_names.schedule_name(*of), of) for of in schedules)
	]


def get_token(learner: str, season: str) -> str:
	"""Returns the token of a schedule that is noted as outdated; an empty text if it is not.

	Asks on a connection of its own: the note may be younger than the caller's transaction.
	"""
	rows = database.query(TOKEN_SQL, (row_names.schedule_name(learner, season),))
	return rows[0][0] if rows else ""


def get_dates(learner: str, season: str) -> Dates | None:
	"""Returns the dates that a schedule may lack, if it is noted as such; see OutdatedSchedule. Asks as get_token does."""
	rows = database.query(DATES_SQL, (row_names.schedule_name(learner, season),))
	return _parsed(rows[0][0]) if rows else None


def _parsed(dates: str | None) -> Dates | None:
	return None if dates is None else json.loads(dates)


def get_page(after: str) -> list[OutdatedSchedule]:
	"""Returns at most PAGE_ROWS notes whose names come after `after`, in the order of names."""
	rows = frappe.db.sql(PAGE_SQL, (after,))
	return [
		OutdatedSchedule(name, learner, season, token, _parsed(dates))
		for name, learner, season, token, dates in rows
	]


def forget(notes: Sequence[tuple[str, str]]) -> None:
	"""Deletes the notes of these (name, token), in one statement, on a connection of its own. Raises failures.ERRORS.

	There may be as many notes as learners, and a transaction for each would take an hour.
	"""
	if not notes:
		return
	names, tokens = zip(*notes, strict=True)
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute(ROW_LOCK_SQL, (LOCK_WAIT_SECONDS,))
		cursor.execute(ISOLATION_SQL)
		cursor.execute(FORGET_SQL, (names, tuple(set(tokens))))
