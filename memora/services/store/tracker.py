"""The tracker: one row for each learner's record of each question she has answered in a season.

A record lives in the outbox from the moment its answer is journalled until the answer is folded into the
tracker. So reads of a learner's records overlay the tracker with her outbox, in one snapshot: a fold moves a
record from outbox to tracker in a single transaction.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter

import frappe

from memora.exceptions import SeasonStateError, quoting
from memora.services.store import database, learners, question_status, row_names
from memora.services.store.question_status import (
	IS_LIVE_SQL,
	IS_SELECTED_SQL,
	JOIN_SQL,
	SUBJECT_SQL,
	TOPIC_SQL,
)
from memora.services.store.records import (
	RECORD_COLUMNS,
	MemoryRecord,
	OutboxRow,
	overlay,
	unpack_records,
	values_of,
)

UPSERT_ROWS = 1000  # a statement of about 300 KB, far below any max_allowed_packet
KEEPS = "IF(VALUES(reps) > reps OR (VALUES(reps) = reps AND VALUES(last_review_date) >= last_review_date)"
# Records as learners see them: under the subject and topic that their questions have now.
PRESENT_COLUMNS = RECORD_COLUMNS.replace("subject, topic", f"{SUBJECT_SQL}, {TOPIC_SQL}").replace(
	"creation", "t.creation"
)
# A learner's records of a few questions, and her outbox, in one statement. All records make one row, since
# the driver's cost grows with rows and columns, not with bytes. The tracker's rows have the form of an outbox
# payload.
FEW_RECORDS = 200  # far below group_concat_max_len (1 MiB), where MariaDB would cut the row
RECORDS_JSON = f"""CONCAT('{{"records":', JSON_ARRAYAGG(JSON_ARRAY({PRESENT_COLUMNS})), '}}')"""
STORED_RECORDS_JSON = RECORDS_JSON.replace(PRESENT_COLUMNS, RECORD_COLUMNS)  # as the rows have them
RECORDS_BY_NAME_SQL = f"""
	SELECT {RECORDS_JSON} FROM `tabPlayer Memory Tracker` t {JOIN_SQL}
	WHERE t.season = %(season)s AND t.name IN %(names)s
	UNION ALL SELECT payload FROM `tabReview Outbox`
	WHERE name BETWEEN %(first)s AND %(last)s AND season = %(season)s"""
# A learner's records of any number of questions, or all her records of a season: one row for each record.
RECORDS_BY_MANY_NAMES_SQL = RECORDS_BY_NAME_SQL.replace("JSON_ARRAYAGG", "JSON_ARRAY")
RECORDS_OF_LEARNER_SQL = RECORDS_BY_MANY_NAMES_SQL.replace(
	"t.name IN %(names)s", "t.name BETWEEN %(first)s AND %(last)s"
)
# The dates of what she is asked.
DATES_SQL = f"""
	SELECT t.question_id, t.next_review_date FROM `tabPlayer Memory Tracker` t {JOIN_SQL}
	WHERE t.season = %(season)s AND t.name BETWEEN %(first)s AND %(last)s AND {IS_LIVE_SQL}"""
# Many questions make one row of 256, since the driver's cost grows with rows.
ALL_SEEN_SQL = """
	SELECT JSON_ARRAYAGG(question_id) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s
	AND (%(before)s IS NULL OR creation < %(before)s) GROUP BY SUBSTR(name, 17, 2)"""
FIRST_SEEN_OF_SQL = """
	SELECT question_id, creation FROM `tabPlayer Memory Tracker` WHERE season = %(season)s AND name IN %(names)s"""
PENDING_SQL = """
	SELECT payload FROM `tabReview Outbox`
	WHERE name BETWEEN %(first)s AND %(last)s AND season = %(season)s"""
DUE_WHERE = f"""
	FROM `tabPlayer Memory Tracker` t {JOIN_SQL}
	WHERE t.player = %(player)s AND t.season = %(season)s AND t.next_review_date <= %(now)s
	AND t.name NOT IN %(pending)s AND {IS_SELECTED_SQL}"""
# The dates of the first due records come in the order of the index. Only the records of these dates are
# sorted, by date and then by the bytes of question_id, as Redis sorts equal scores. To sort all that is due
# would cost a learner's whole backlog, and the index does not hold question_id. Equal dates are common: most
# of a day falls due at the day's start.
DUE_SQL = f"""
	SELECT {RECORDS_JSON.replace("JSON_ARRAYAGG", "JSON_ARRAY")} FROM (
		SELECT DISTINCT next_review_date AS due_date FROM (
			SELECT t.next_review_date {DUE_WHERE} ORDER BY t.next_review_date LIMIT %(limit)s
		) AS first_due
	) AS dates
	STRAIGHT_JOIN `tabPlayer Memory Tracker` t ON t.next_review_date = due_date {JOIN_SQL}
	WHERE t.player = %(player)s AND t.season = %(season)s
	AND t.name NOT IN %(pending)s AND {IS_SELECTED_SQL}
	ORDER BY due_date, CAST(t.question_id AS BINARY) LIMIT %(limit)s"""
DUE_COUNT_SQL = f"SELECT COUNT(*) {DUE_WHERE}"
NEXT_DUE_SQL = f"""
	SELECT t.next_review_date {DUE_WHERE.replace("<=", ">")} ORDER BY t.next_review_date LIMIT 1"""
# The newest answer wins, by MemoryRecord.age. MariaDB assigns from left to right, so the columns that decide
# come last.
UPSERT_HEAD_SQL = f"""
	INSERT INTO `tabPlayer Memory Tracker`
	(name, player, season, {RECORD_COLUMNS}) VALUES """
UPSERT_TAIL_SQL = " ON DUPLICATE KEY UPDATE " + ", ".join(
	f"{column} = {KEEPS}, VALUES({column}), {column})"
	for column in (
		*("subject", "topic", "stability", "difficulty", "state", "lapses", "next_review_date"),
		*("last_review_date", "reps"),
	)
)
OVERWRITE_TAIL_SQL = " ON DUPLICATE KEY UPDATE " + ", ".join(
	f"{column} = VALUES({column})" for column in RECORD_COLUMNS.split(", ")
)
# One record, from the tracker or from the archive, as the desk's form shows it.
MEMORY_SQL = f"SELECT player, season, {RECORD_COLUMNS} FROM `tab{{doctype}}` WHERE name = %s"
# For writers of the tracker that have no outbox row. An archive run either waits for this lock, or is seen
# here.
TAKES_RECORDS_SQL = """
	SELECT 1 FROM `tabGame Subscription Season`
	WHERE name = %(season)s AND archive_started_at IS NULL LOCK IN SHARE MODE"""
HAS_ANSWERS_SQL = "SELECT 1 FROM `tabPlayer Memory Tracker` LIMIT 1"


def get_records(learner: str, season: str, question_ids: Iterable[str]) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of a learner's records, tracker overlaid with outbox; one query.

	The result also holds all records of her outbox, whether asked for or not.
	"""
	names = [row_names.tracker_name(learner, season, q) for q in question_ids] or [""]
	statement = RECORDS_BY_NAME_SQL if len(names) <= FEW_RECORDS else RECORDS_BY_MANY_NAMES_SQL
	return overlay(frappe.db.sql(statement, row_names.of_learner(learner, season, names=names)))


def get_all_records(learner: str, season: str) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of all of a learner's records in a season, with her outbox; one query."""
	return overlay(frappe.db.sql(RECORDS_OF_LEARNER_SQL, row_names.of_learner(learner, season)))


def get_due(
	learner: str, season: str, now: datetime, limit: int, subject: str | None = None
) -> tuple[list[MemoryRecord], int]:
	"""Returns at most `limit` records due at `now`, oldest first, and how many are due in all.

	Records of one date come by question_id, in the order of a schedule in Redis. `now` is naive site time;
	`subject` None means all subjects. What the question source has withdrawn is left out.
	"""
	pending = _get_waiting(learner, season)
	names = [row_names.tracker_name(learner, season, q) for q in pending] or [""]
	values = row_names.of_learner(learner, season, now=now, subject=subject, pending=names, limit=limit)
	stored = [record for (payload,) in frappe.db.sql(DUE_SQL, values) for record in unpack_records(payload)]
	total = frappe.db.sql(DUE_COUNT_SQL, values)[0][0] if len(stored) == limit else len(stored)
	fresh = _selected((r for r in pending.values() if r.next_review_date <= now), subject)
	due = sorted([*stored, *fresh], key=lambda r: (r.next_review_date, r.question_id))
	return due[:limit], total + len(fresh)


def get_next_due(learner: str, season: str, now: datetime, subject: str | None = None) -> datetime | None:
	"""Returns when (naive site time) the next record falls due after `now`; None if none does."""
	pending = _get_waiting(learner, season)
	names = [row_names.tracker_name(learner, season, q) for q in pending] or [""]
	values = row_names.of_learner(learner, season, now=now, subject=subject, pending=names)
	stored = [due for (due,) in frappe.db.sql(NEXT_DUE_SQL, values)]
	fresh = _selected((r for r in pending.values() if r.next_review_date > now), subject)
	return min([*stored, *(record.next_review_date for record in fresh)], default=None)


def get_dates(learner: str, season: str) -> dict[str, datetime]:
	"""Returns {question_id: next_review_date} of all questions that a learner is asked in a season, with her outbox."""
	dates = dict(frappe.db.sql(DATES_SQL, row_names.of_learner(learner, season)))
	waiting = _get_waiting(learner, season).values()
	return dates | {record.question_id: record.next_review_date for record in _selected(waiting)}


def _get_waiting(learner: str, season: str) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of the questions in a learner's outbox. What waits there may have been overtaken."""
	pending = get_pending(learner, season)
	return get_records(learner, season, pending) if pending else {}


def _selected(records: Iterable[MemoryRecord], subject: str | None = None) -> list[MemoryRecord]:
	"""Returns those of some records whose question is asked, and is of a subject if one is given."""
	records = list(records)
	ids = question_status.select(records, subject)
	return [record for record in records if record.question_id in ids]


def get_all_seen(learner: str, season: str, before: datetime | None = None) -> set[str]:
	"""Returns a learner's questions in the tracker, first answered before a naive site time if one is given; one query.

	Answers that wait in the outbox are not among them. Read the outbox before: a fold moves its records here.
	"""
	rows = frappe.db.sql(ALL_SEEN_SQL, row_names.of_learner(learner, season, before=before))
	return {question_id for (questions,) in rows for question_id in json.loads(questions)}


def get_first_seen_of(learner: str, season: str, question_ids: Iterable[str]) -> dict[str, datetime]:
	"""Returns {question_id: naive site time of her first answer} of these questions, as the tracker has it; one query."""
	names = [row_names.tracker_name(learner, season, q) for q in question_ids]
	if not names:
		return {}
	return dict(frappe.db.sql(FIRST_SEEN_OF_SQL, {"season": season, "names": names}))


def get_pending(learner: str, season: str) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of the records in a learner's outbox."""
	rows = frappe.db.sql(PENDING_SQL, row_names.of_learner(learner, season))
	return overlay(rows)


def get_memory(doctype: str, name: str) -> tuple[str, str, MemoryRecord] | None:
	"""Returns (learner, season, record) of a row of the tracker or of the archive; None without this row."""
	rows = frappe.db.sql(MEMORY_SQL.format(doctype=doctype), (name,))
	return (*rows[0][:2], MemoryRecord(*rows[0][2:])) if rows else None


def keep_from_removal(learner: str, season: str) -> None:
	"""Makes an archive run of the season, and an erasure of the learner, wait until this transaction, which writes records, ends.

	Raises SeasonStateError if an archive run has begun, LearnerIsErased if an erasure has.
	"""
	learners.require_kept(learner)
	keep_from_archiving(season)


def keep_from_archiving(season: str) -> None:
	"""Makes an archive run of the season wait until this transaction ends. Raises SeasonStateError if one has begun."""
	if not frappe.db.sql(TAKES_RECORDS_SQL, {"season": season}):
		frappe.throw(
			quoting(frappe._("Season {0} is being archived or is archived."), season), SeasonStateError
		)


def upsert_records(learner: str, season: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes a learner's records to the tracker. A newer record that is there stays."""
	_upsert([(learner, season, record) for record in records])


def overwrite_records(learner: str, season: str, records: Iterable[MemoryRecord]) -> None:
	"""Writes a learner's records to the tracker, whatever is there. Only for repairs."""
	_upsert([(learner, season, record) for record in records], OVERWRITE_TAIL_SQL)


def upsert_submissions(rows: Iterable[OutboxRow]) -> None:
	"""Writes the records of submissions to the tracker. A newer record that is there stays."""
	_upsert([(row.player, row.season, record) for row in rows for record in row.records])


def _upsert(records: list[tuple[str, str, MemoryRecord]], tail: str = UPSERT_TAIL_SQL) -> None:
	rows = [
		(row_names.tracker_name(learner, season, r.question_id), learner, season, *values_of(r))
		for learner, season, r in records
	]
	rows.sort(key=itemgetter(0))  # by primary key: neighbours on disk, and no two folds can deadlock
	for start in range(0, len(rows), UPSERT_ROWS):
		database.insert(UPSERT_HEAD_SQL, rows[start : start + UPSERT_ROWS], tail)


def has_answers() -> bool:
	"""Says whether the tracker holds any record."""
	return bool(frappe.db.sql(HAS_ANSWERS_SQL))
