"""Gives the rows of one learner to another: they keep their names but for the id that these begin with.

Everything here reads with locks, and so sees what was committed after the caller's transaction began. The caller holds both
learners' locks, commits, and changes the outbox first: a fold, too, locks the outbox before the tracker.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import frappe

from memora.services.store import database, row_names, tables, tracker
from memora.services.store.records import (
	JOURNAL_COLUMNS,
	RECORD_COLUMNS,
	JournalEntry,
	MemoryRecord,
	overlay,
	values_of,
)

TRACKER, JOURNAL, ARCHIVE, OUTBOX = (f"tab{doctype}" for doctype in (*tables.INDEXES, "Review Outbox"))
OF_SEASON = "WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"
NEW_NAME = f"CONCAT(%(into)s, SUBSTRING({{}}name, {2 * row_names.KEY_BYTES + 1}))"

SEASONS_SQL = "SELECT DISTINCT season FROM `{table}` WHERE name BETWEEN %(first)s AND %(last)s FOR UPDATE"
# An archive run either waits for this lock, or is seen here
SEASON_SQL = """
	SELECT archive_started_at IS NOT NULL, archived_at IS NOT NULL FROM `tabGame Subscription Season`
	WHERE name = %(season)s LOCK IN SHARE MODE"""
# Two submissions of one ID: sent from one device under both accounts. Their rows would have one name.
SAME_ANSWERS_SQL = f"""
	SELECT old.name, old.submission_id, old.quality = new.quality AND old.chosen <=> new.chosen
	FROM `{JOURNAL}` old JOIN `{JOURNAL}` new ON new.name = {NEW_NAME.format("old.")} AND new.season = old.season
	WHERE old.season = %(season)s AND old.name BETWEEN %(first)s AND %(last)s FOR UPDATE"""
SAME_SUBMISSIONS_SQL = f"""
	SELECT old.name FROM `{OUTBOX}` old JOIN `{OUTBOX}` new ON new.name = {NEW_NAME.format("old.")}
	WHERE old.season = %(season)s AND old.name BETWEEN %(first)s AND %(last)s FOR UPDATE"""
RENAME_SQL = "UPDATE `{table}` SET name = %(new_name)s WHERE season = %(season)s AND name = %(name)s"
DELETE_SQL = f"DELETE FROM `{JOURNAL}` WHERE season = %(season)s AND name = %(name)s"
DELETE_SHARED_SQL = f"""
	DELETE old FROM `{{table}}` old JOIN `{{table}}` new ON new.name = {NEW_NAME.format("old.")} AND new.season = old.season
	WHERE old.season = %(season)s AND old.name BETWEEN %(first)s AND %(last)s"""
MOVE_SQL = f"UPDATE `{{table}}` SET name = {NEW_NAME.format('')}, player = %(into)s {OF_SEASON}"
PENDING_SQL = f"SELECT payload FROM `{OUTBOX}` {OF_SEASON} FOR UPDATE"
RECORDS_SQL = {
	table: f"SELECT {tracker.RECORDS_JSON} FROM `{table}` {OF_SEASON} FOR UPDATE".replace("ARRAYAGG", "ARRAY")
	for table in (TRACKER, ARCHIVE)
}
ENTRIES_SQL = (
	f"SELECT {JOURNAL_COLUMNS} FROM `{JOURNAL}` {OF_SEASON} AND question_id IN %(questions)s FOR UPDATE"
)
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
	"""Returns the seasons in which a learner has rows, which are locked until the transaction ends."""
	tables_ = OUTBOX, TRACKER, JOURNAL, ARCHIVE
	found = [frappe.db.sql(SEASONS_SQL.format(table=t), row_names.bounds(learner)) for t in tables_]
	return sorted({season for rows in found for (season,) in rows})


def keep_season(season: str) -> SeasonState:
	"""Makes an archive run of the season wait until the transaction ends."""
	rows = frappe.db.sql(SEASON_SQL, {"season": season})
	return SeasonState(*map(bool, rows[0])) if rows else SeasonState(False, False)


def part_equal_submissions(learner: str, into: str, season: str) -> None:
	"""Sees to it that no row of one learner will have the name of a row of the other.

	Of two equal answers of equal submissions one is deleted; answers that differ, and what waits to be folded, are kept.
	"""
	for (name,) in frappe.db.sql(SAME_SUBMISSIONS_SQL, _of(learner, season, into=into)):
		_rename(OUTBOX, season, name, learner + row_names.digest("merged", name))
	for name, submission_id, is_equal in frappe.db.sql(SAME_ANSWERS_SQL, _of(learner, season, into=into)):
		if is_equal:
			frappe.db.sql(DELETE_SQL, {"season": season, "name": name})
		else:
			key = learner + row_names.digest("merged", learner, season, submission_id)
			_rename(JOURNAL, season, name, key + name[len(key) :])


def get_records(learner: str, season: str, table: str) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of a learner's rows of a season; those of the tracker with her outbox."""
	values = _of(learner, season)
	pending = frappe.db.sql(PENDING_SQL, values) if table == TRACKER else ()
	return overlay([*pending, *frappe.db.sql(RECORDS_SQL[table], values)])


def get_answers(learner: str, season: str, questions: Iterable[str]) -> list[JournalEntry]:
	"""Returns a learner's answers to some questions in a season, in no order of time."""
	rows = frappe.db.sql(ENTRIES_SQL, _of(learner, season, questions=tuple(questions)))
	return [JournalEntry(*fields) for fields in rows]


def move(learner: str, into: str, season: str) -> None:
	"""Gives all rows of a season to another learner, but for the records of questions that the other has a record of."""
	values = _of(learner, season, into=into)
	for table in (TRACKER, ARCHIVE):
		frappe.db.sql(DELETE_SHARED_SQL.format(table=table), values)
	for table in (OUTBOX, TRACKER, ARCHIVE, JOURNAL):
		frappe.db.sql(MOVE_SQL.format(table=table), values)


def overwrite(learner: str, season: str, table: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes records, whatever is there."""
	rows = [
		(learner + row_names.digest(season, r.question_id), learner, season, *values_of(r)) for r in records
	]
	for start in range(0, len(rows), tracker.UPSERT_ROWS):
		some = rows[start : start + tracker.UPSERT_ROWS]
		database.insert(OVERWRITE_SQL.format(table=table), some, tracker.OVERWRITE_TAIL_SQL)


def move_notes(learner: str, into: str) -> None:
	"""Gives admissions to Safe Mode and imports of decks to another learner."""
	for statement in NOTES_SQL:
		frappe.db.sql(statement, {"learner": learner, "into": into})


def _rename(table: str, season: str, name: str, new_name: str) -> None:
	frappe.db.sql(RENAME_SQL.format(table=table), {"season": season, "name": name, "new_name": new_name})


def _of(learner: str, season: str, **more: Any) -> dict[str, Any]:
	return {"season": season, **row_names.bounds(learner), **more}
