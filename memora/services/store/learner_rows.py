"""Reads all rows of a learner, page by page, by primary key: however many there are, PAGE_ROWS of them are held at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import frappe

from memora.services.store import database, erasures, row_names, tables
from memora.services.store.database import Cursor
from memora.services.store.records import RECORD_FIELDS, JournalEntry, MemoryRecord, overlay, values_of

PAGE_ROWS = 2000

Row = dict[str, Any]

ANSWERS = "Player Review Log"
TRACKER = "tabPlayer Memory Tracker"
ARCHIVE = "tabArchived Memory Tracker"

SEASONS_SQL = """
	SELECT DISTINCT season FROM `{table}` WHERE name BETWEEN %(first)s AND %(last)s ORDER BY season"""
PAGE_SQL = """
	SELECT name, {columns} FROM `{table}`
	WHERE season = %(season)s AND name > %(after)s AND name <= %(last)s ORDER BY name LIMIT %(limit)s"""
WAITING_SQL = """
	SELECT season, payload FROM `tabReview Outbox` WHERE name BETWEEN %(first)s AND %(last)s ORDER BY season"""
PLACES_SQL = """
	SELECT name, subject, topic FROM `tabQuestion Status`
	WHERE name IN %(names)s AND subject IS NOT NULL AND topic IS NOT NULL"""
DAYS_SQL = "SELECT day, season, answers, practised, learnt FROM `tabDaily Learner` WHERE player IN %(ids)s ORDER BY name"
ADMISSIONS_SQL = (
	"SELECT admitted_at FROM `tabSafe Mode Admission` WHERE player IN %(ids)s ORDER BY admitted_at"
)

ANSWER_COLUMNS = ("season", "submission_id", *(f.name for f in fields(JournalEntry)), "creation")
RECORD_COLUMNS = ("season", *RECORD_FIELDS)
ARCHIVE_COLUMNS = (*RECORD_COLUMNS, "archived_at")


def iterate_answers(ids: Sequence[str]) -> Iterator[Row]:
	"""Yields her answers, season by season, in the order of their names."""
	for learner in ids:
		yield from _iterate(f"tab{ANSWERS}", ANSWER_COLUMNS, learner)


def iterate_records(ids: Sequence[str]) -> Iterator[Row]:
	"""Yields her records, season by season: the tracker's, overlaid with what waits in her outbox to be folded.

	Subject and topic are those that the question has now.
	"""
	for learner in ids:
		waiting = _waiting(learner)
		for row in _iterate(TRACKER, RECORD_COLUMNS, learner, _placed):
			newer = waiting.pop((row["season"], row["question_id"]), None)
			yield _newest(row, newer) if newer else row
		yield from _placed([_row(season, record) for (season, _question), record in waiting.items()])


def _placed(rows: Sequence[Row]) -> list[Row]:
	"""Returns rows with the subject and topic that their questions have now."""
	places = _places([row["question_id"] for row in rows]) if rows else {}
	return [{**row, **places.get(row["question_id"], {})} for row in rows]


def _places(question_ids: Sequence[str]) -> dict[str, Row]:
	"""Returns {question_id: {subject, topic}}, as far as the question source has told."""
	rows = database.query(PLACES_SQL, {"names": tuple(question_ids)})
	return {name: {"subject": subject or None, "topic": topic or None} for name, subject, topic in rows}


def _waiting(learner: str) -> dict[tuple[str, str], MemoryRecord]:
	"""Returns {(season, question_id): record} of her outbox. Read before the tracker: a fold moves its records there."""
	first, last = row_names.names_of_learner(learner)
	payloads: dict[str, list[tuple[str]]] = {}
	for season, payload in database.query(WAITING_SQL, {"first": first, "last": last}):
		payloads.setdefault(season, []).append((payload,))
	found = {season: overlay(rows) for season, rows in payloads.items()}
	return {(season, q): record for season, records in found.items() for q, record in records.items()}


def _newest(row: Row, waiting: MemoryRecord) -> Row:
	stored = row["reps"], row["last_review_date"]
	newest = _row(row["season"], waiting) if waiting.age >= stored else row
	return _placed([newest])[0]


def _row(season: str, record: MemoryRecord) -> Row:
	return {"season": season, **dict(zip(RECORD_FIELDS, values_of(record), strict=True))}


def iterate_archive(ids: Sequence[str]) -> Iterator[Row]:
	"""Yields her records of archived seasons, and those that are on their way to the archive."""
	staging = [t for t in erasures.find_other_tables() if t.startswith(tables.STAGING)]
	for learner in ids:
		yield from _iterate(ARCHIVE, ARCHIVE_COLUMNS, learner)
		for table in staging:
			for row in _iterate(table, RECORD_COLUMNS, learner):
				yield {**row, "archived_at": None}


def _iterate(
	table: str, columns: Sequence[str], learner: str, change: Callable[[list[Row]], list[Row]] | None = None
) -> Iterator[Row]:
	"""Yields a learner's rows, as `change` makes each page of them."""
	first, last = row_names.names_of_learner(learner)
	statement = PAGE_SQL.format(table=table, columns=", ".join(columns))
	seasons = database.query(SEASONS_SQL.format(table=table), {"first": first, "last": last})
	with database.connection() as own, own.cursor() as cursor:
		for (season,) in seasons:
			values = {"season": season, "after": first, "last": last, "limit": PAGE_ROWS}
			while page := read_page(cursor, statement, values):
				rows = [dict(zip(columns, row, strict=True)) for _name, *row in page]
				yield from change(rows) if change else rows
				values["after"] = page[-1][0]


def read_page(cursor: Cursor, statement: str, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
	"""Returns the next PAGE_ROWS rows."""
	cursor.execute(statement, values)
	return cursor.fetchall()


def get_days(ids: Sequence[str]) -> list[Row]:
	"""Returns her figures of the last learning days: how much she answered, and what she practised."""
	return [dict(row) for row in frappe.db.sql(DAYS_SQL, {"ids": ids}, as_dict=True)]


def get_admissions(ids: Sequence[str]) -> list[Row]:
	"""Returns when her reads were admitted in Safe Mode, within the last minute. The server's clock in UTC."""
	return [dict(row) for row in frappe.db.sql(ADMISSIONS_SQL, {"ids": ids}, as_dict=True)]
