"""Dates that a change of the calendar has made wrong: which they are, and how far a season's run that moves them is.

A season notes what has changed in its column `date_moves`, in the transaction that makes the change. A submission locks
the season's row before it is stored (outbox.insert), so after that transaction no answer is stored that was judged by the
old calendar. The note stays until a run has moved all dates; a further change adds to the note.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

import frappe

from memora.services.store import database, limits, row_names, tables

TRACKER = "Player Memory Tracker"
LOCK_NAMES = 1000  # in one statement

READ_SQL = "SELECT date_moves FROM `tabGame Subscription Season` WHERE name = %(season)s"
LOCKED_SQL = f"{READ_SQL} FOR UPDATE"
WRITE_SQL = "UPDATE `tabGame Subscription Season` SET date_moves = %(note)s WHERE name = %(season)s"
OPEN_SQL = """
	SELECT name, date_moves FROM `tabGame Subscription Season`
	WHERE date_moves IS NOT NULL AND archive_started_at IS NULL ORDER BY name"""

COLUMNS = "name, LEFT(name, 16), question_id, stability, reps, next_review_date, last_review_date"
END_OF_PAGE_SQL = """
	SELECT name FROM `tabPlayer Memory Tracker` FORCE INDEX (PRIMARY)
	WHERE season = %(season)s AND name > %(after)s ORDER BY name LIMIT 1 OFFSET %(rows)s"""
PAGE_SQL = f"""
	SELECT {COLUMNS} FROM `tabPlayer Memory Tracker` FORCE INDEX (PRIMARY)
	WHERE season = %(season)s AND name > %(after)s AND name <= %(last)s AND next_review_date >= %(first_moved)s
	ORDER BY name"""
LOCK_SQL = f"""
	SELECT {COLUMNS} FROM `tabPlayer Memory Tracker` WHERE season = %(season)s AND name IN %(names)s FOR UPDATE"""
MOVE_SQL = """
	UPDATE `tabPlayer Memory Tracker` SET next_review_date = %(due)s
	WHERE season = %(season)s AND name IN %(names)s"""
WAITING_SQL = "SELECT name FROM `tabReview Outbox` WHERE season = %(season)s"
COUNT_FROM_SQL = """
	SELECT COUNT(*) FROM `tabPlayer Memory Tracker` FORCE INDEX ({index})
	WHERE season = %(season)s AND next_review_date >= %(first)s"""


@dataclass(frozen=True)
class DateMoves:
	"""What has changed in a season's calendar, and how far the run is that follows.

	`version` grows with each change. `ends` and `hours` are those whose dates are still to be moved; `former_ends` and
	`former_hours` are all that the season ever had. `position` is the name of the last row that the run has looked at,
	`moved` counts the dates that it has moved. `error` says why the last run stopped.
	"""

	version: int = 0
	ends: list[str] = field(default_factory=list)
	hours: list[int] = field(default_factory=list)
	former_ends: list[str] = field(default_factory=list)
	former_hours: list[int] = field(default_factory=list)
	position: str = ""
	moved: int = 0
	error: str | None = None

	@property
	def is_open(self) -> bool:
		"""Whether there is a change that not all dates have followed."""
		return bool(self.ends or self.hours)

	@property
	def percent(self) -> int:
		"""How far the run is, from 0 to 100. Names begin with hex digits that are as random as a hash."""
		return 100 * int(self.position[:4] or "0", 16) // 0xFFFF if self.is_open else 100

	@property
	def in_all(self) -> "DateMoves":
		"""All changes that there ever were, as if no date had followed them."""
		return replace(self, ends=self.former_ends, hours=self.former_hours, position="")

	def with_change(self, old_end: date | None = None, old_hour: int | None = None) -> "DateMoves":
		ends = [str(old_end)] if old_end else []
		hours = [] if old_hour is None else [old_hour]
		return replace(
			self,
			version=self.version + 1,
			ends=[*self.ends, *ends],
			hours=[*self.hours, *hours],
			former_ends=[*self.former_ends, *ends],
			former_hours=[*self.former_hours, *hours],
			position="",
			moved=self.moved if self.is_open else 0,
			error=None,
		)


class MovableRecord(NamedTuple):
	"""A row of the tracker, as far as it decides on its date. Datetimes are naive site time."""

	name: str
	player: str
	question_id: str
	stability: float
	reps: int
	next_review_date: datetime
	last_review_date: datetime


# The note


def get(season: str) -> DateMoves:
	"""Returns a season's note."""
	((note,),) = frappe.db.sql(READ_SQL, {"season": season})
	return read(note)


def read(note: str | None) -> DateMoves:
	"""Returns the note that a season's column holds."""
	return DateMoves(**json.loads(note)) if note else DateMoves()


def get_open() -> dict[str, DateMoves]:
	"""Returns {season: note} of the seasons some of whose dates are to be moved."""
	notes = {season: read(note) for season, note in frappe.db.sql(OPEN_SQL)}
	return {season: note for season, note in notes.items() if note.is_open}


def note_change(season: str, old_end: date | None = None, old_hour: int | None = None) -> None:
	"""Notes that a season had another end, or its days another hour, until now. The caller commits the change with it."""
	limits.rest_briefly()
	_write(season, _locked(season).with_change(old_end, old_hour))


def note_run(season: str, seen: DateMoves) -> bool:
	"""Notes how far a run is. Says whether the calendar is still the one that it has seen. Commits."""
	with database.transaction():
		if _locked(season).version != seen.version:
			return False
		_write(season, seen)
	return True


def _locked(season: str) -> DateMoves:
	((note,),) = frappe.db.sql(LOCKED_SQL, {"season": season})
	return read(note)


def _write(season: str, note: DateMoves) -> None:
	frappe.db.sql(WRITE_SQL, {"season": season, "note": json.dumps(vars(note))})


# The rows


def end_of_page(season: str, after: str, rows: int) -> str | None:
	"""Returns the name of the row that comes so many rows after another; None if there are fewer."""
	found = frappe.db.sql(END_OF_PAGE_SQL, {"season": season, "after": after, "rows": rows})
	return found[0][0] if found else None


def get_page(season: str, after: str, last: str, first_moved: datetime) -> list[MovableRecord]:
	"""Returns the records between two names, `last` included, whose date is not before `first_moved`."""
	values = {"season": season, "after": after, "last": last, "first_moved": first_moved}
	return [MovableRecord(*row) for row in frappe.db.sql(PAGE_SQL, values)]


def lock(season: str, names: Sequence[str]) -> list[MovableRecord]:
	"""Locks rows until the transaction ends, and returns those that are there."""
	return [
		MovableRecord(*row)
		for start in range(0, len(names), LOCK_NAMES)
		for row in frappe.db.sql(LOCK_SQL, {"season": season, "names": names[start : start + LOCK_NAMES]})
	]


def move(season: str, dates: Mapping[datetime, list[str]]) -> None:
	"""Gives the rows of these names, which `lock` has locked, the dates that come before them."""
	for due, names in dates.items():
		for start in range(0, len(names), LOCK_NAMES):
			values = {"season": season, "due": due, "names": names[start : start + LOCK_NAMES]}
			frappe.db.sql(MOVE_SQL, values)


def get_waiting(season: str) -> list[str]:
	"""Returns the names of a season's submissions in the outbox, parked or not."""
	return [name for (name,) in frappe.db.sql(WAITING_SQL, {"season": season})]


def count_from(season: str, first: datetime, exact_rows: int, sample_rows: int) -> tuple[int, bool]:
	"""Returns (how many records are due at `first` or later, whether this is an estimate).

	In a season of more than `exact_rows` records, a share of the learners stands for all, with about `sample_rows`.
	"""
	rows = tables.estimate_rows(TRACKER, season)
	values = {"season": season, "first": first}
	if rows <= exact_rows:
		((count,),) = database.query(COUNT_FROM_SQL.format(index="schedule"), values)
		return count, False
	how_many = -(-rows // sample_rows)
	share = row_names.shares(how_many)[how_many // 2]
	statement = (
		COUNT_FROM_SQL.format(index="PRIMARY") + " AND name >= %(share_first)s AND name < %(share_last)s"
	)
	bounds = {f"share_{key}": value for key, value in share.items()}
	((count,),) = database.query(statement, values | bounds)
	return count * how_many, True
