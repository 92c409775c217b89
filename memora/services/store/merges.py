"""Gives the rows of one learner to another: they keep their names but for the id that these begin with.

The caller holds both learners' locks, so nobody but a fold writes rows of theirs, and commits. What is there is read on a
connection of our own: it sees what was committed after the caller's transaction began, and locks nothing. What is changed is
named row by row: a range would lock the gaps in which other learners' answers are about to be written.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import frappe

from memora.services.store import database, row_names, tables, tracker
from memora.services.store.database import query
from memora.services.store.records import (
	JOURNAL_COLUMNS,
	RECORD_COLUMNS,
	JournalEntry,
	MemoryRecord,
	overlay,
	values_of,
)

TRACKER, JOURNAL, ARCHIVE, OUTBOX = (f"tab{doctype}" for doctype in (*tables.INDEXES, "Review Outbox"))
NAMED_ROWS = (
	500  # in one statement: MariaDB makes a join of a list of 1,000, which reads and locks the whole table
)
OF_SEASON = "WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"
NEW_NAME = f"CONCAT(%(into)s, SUBSTRING({{}}name, {2 * row_names.KEY_BYTES + 1}))"

SEASONS_SQL = "SELECT DISTINCT season FROM `{table}` WHERE name BETWEEN %(first)s AND %(last)s"
# An archive run either waits for this lock, or is seen here
SEASON_SQL = """
	SELECT archive_started_at IS NOT NULL, archived_at IS NOT NULL FROM `tabGame Subscription Season`
	WHERE name = %(season)s LOCK IN SHARE MODE"""
NAMES_SQL = f"SELECT name FROM `{{table}}` {OF_SEASON}"
# By primary key: of a small table MariaDB would read, and lock, all rows
LOCK_SQL = f"SELECT name FROM `{OUTBOX}` FORCE INDEX (PRIMARY) WHERE name IN %(names)s FOR UPDATE"
# Two submissions of one ID: sent from one device under both accounts. Their rows would have one name.
SAME_ANSWERS_SQL = f"""
	SELECT old.name, old.submission_id, old.quality = new.quality AND old.chosen <=> new.chosen
	FROM `{JOURNAL}` old JOIN `{JOURNAL}` new ON new.name = {NEW_NAME.format("old.")} AND new.season = old.season
	WHERE old.season = %(season)s AND old.name BETWEEN %(first)s AND %(last)s"""
SHARED_SQL = f"""
	SELECT old.name FROM `{{table}}` old JOIN `{{table}}` new
	ON new.name = {NEW_NAME.format("old.")} AND new.season = old.season
	WHERE old.season = %(season)s AND old.name BETWEEN %(first)s AND %(last)s"""
DELETE_SQL = "DELETE FROM `{table}` WHERE season = %(season)s AND name IN %(names)s"
MOVE_SQL = f"""
	UPDATE `{{table}}` SET name = {NEW_NAME.format("")}, player = %(into)s
	WHERE season = %(season)s AND name IN %(names)s"""
MOVE_TO_SQL = """
	UPDATE `{table}` SET name = %(new_name)s, player = %(into)s WHERE season = %(season)s AND name = %(name)s"""
PENDING_SQL = f"SELECT payload FROM `{OUTBOX}` {OF_SEASON}"
RECORDS_SQL = {
	table: f"SELECT {tracker.STORED_RECORDS_JSON} FROM `{table}` {OF_SEASON}".replace("ARRAYAGG", "ARRAY")
	for table in (TRACKER, ARCHIVE)
}
ENTRIES_SQL = f"SELECT name, {JOURNAL_COLUMNS} FROM `{JOURNAL}` {OF_SEASON}"
OVERWRITE_SQL = f"INSERT INTO `{{table}}` (name, player, season, {RECORD_COLUMNS}) VALUES "
NOTES_SQL = (
	"UPDATE `tabSafe Mode Admission` SET player = %(into)s WHERE player = %(learner)s",
	"UPDATE `tabAnki Import` SET learner = %(into)s WHERE learner = %(learner)s",
)


class SeasonState(NamedTuple):
	"""Whether a season's archiving has begun, and whether it has ended."""

	is_begun: bool
	is_archived: bool


def seasons_of(learner: str) -> list[str]:
	"""Returns the seasons in which a learner has rows."""
	tables_ = OUTBOX, TRACKER, JOURNAL, ARCHIVE
	found = [query(SEASONS_SQL.format(table=t), row_names.bounds(learner)) for t in tables_]
	return sorted({season for rows in found for (season,) in rows})


def keep_season(season: str) -> SeasonState:
	"""Makes an archive run of the season wait until the transaction ends."""
	rows = frappe.db.sql(SEASON_SQL, {"season": season})
	return SeasonState(*map(bool, rows[0])) if rows else SeasonState(False, False)


def keep_from_folds(learners: Iterable[str], season: str) -> None:
	"""Waits for folds of these learners' submissions, and keeps others from beginning until the transaction ends."""
	for learner in learners:
		for names in _parts(_names(OUTBOX, learner, season)):
			frappe.db.sql(LOCK_SQL, {"names": names})


def get_records(learner: str, season: str, table: str) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of a learner's rows of a season; those of the tracker with her outbox."""
	values = _of(learner, season)
	pending = query(PENDING_SQL, values) if table == TRACKER else ()
	return overlay([*pending, *query(RECORDS_SQL[table], values)])


def get_answers(learner: str, season: str) -> dict[str, JournalEntry]:
	"""Returns {name: answer} of a learner's answers in a season, in no order of time."""
	return {name: JournalEntry(*fields) for name, *fields in query(ENTRIES_SQL, _of(learner, season))}


def get_equal_answers(learner: str, into: str, season: str) -> set[str]:
	"""Returns the names of a learner's answers that `into` gave, too, in a submission of the same ID."""
	same = query(SAME_ANSWERS_SQL, _of(learner, season, into=into))
	return {name for name, _id, is_equal in same if is_equal}


def move(learner: str, into: str, season: str) -> None:
	"""Gives all rows of a season to another learner, but for the records of questions that the other has a record of.

	No two rows get one name: of two equal answers of equal submissions one is deleted, and answers that differ are kept, as is
	all that waits to be folded.
	"""
	values = _of(learner, season, into=into)
	for table in (TRACKER, ARCHIVE):
		_delete(table, season, [name for (name,) in query(SHARED_SQL.format(table=table), values)])
	same = query(SAME_ANSWERS_SQL, values)
	_delete(JOURNAL, season, [name for name, _id, is_equal in same if is_equal])
	for name, submission_id, is_equal in same:
		if not is_equal:
			key = into + row_names.digest("merged", learner, season, submission_id)
			_move_to(JOURNAL, into, season, name, key + name[len(key) :])
	for (name,) in query(SHARED_SQL.format(table=OUTBOX), values):
		_move_to(OUTBOX, into, season, name, into + row_names.digest("merged", name))
	for table in (OUTBOX, TRACKER, ARCHIVE, JOURNAL):
		for names in _parts(_names(table, learner, season)):
			frappe.db.sql(MOVE_SQL.format(table=table), {"season": season, "into": into, "names": names})


def overwrite(learner: str, season: str, table: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes records, whatever is there."""
	rows = [
		(learner + row_names.digest(season, r.question_id), learner, season, *values_of(r)) for r in records
	]
	for some in _parts(rows):
		database.insert(OVERWRITE_SQL.format(table=table), some, tracker.OVERWRITE_TAIL_SQL)


def move_notes(learner: str, into: str) -> None:
	"""Gives admissions to Safe Mode and imports of decks to another learner."""
	for statement in NOTES_SQL:
		frappe.db.sql(statement, {"learner": learner, "into": into})


def _names(table: str, learner: str, season: str) -> list[str]:
	return sorted(name for (name,) in query(NAMES_SQL.format(table=table), _of(learner, season)))


def _parts(rows: list[Any]) -> Iterator[list[Any]]:
	for start in range(0, len(rows), NAMED_ROWS):
		yield rows[start : start + NAMED_ROWS]


def _delete(table: str, season: str, names: list[str]) -> None:
	for some in _parts(names):
		frappe.db.sql(DELETE_SQL.format(table=table), {"season": season, "names": some})


def _move_to(table: str, into: str, season: str, name: str, new_name: str) -> None:
	values = {"season": season, "into": into, "name": name, "new_name": new_name}
	frappe.db.sql(MOVE_TO_SQL.format(table=table), values)


def _of(learner: str, season: str, **more: Any) -> dict[str, Any]:
	return {"season": season, **row_names.bounds(learner), **more}
