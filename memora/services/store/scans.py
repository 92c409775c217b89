"""Scans of a season's tracker, for figures: what is due on each day, leeches, an overview of each learner.

A scan reads one share of the learners, as row_names.shares parts them. The scan of what is due can also read
all learners, from an index alone.
"""

from datetime import date, datetime
from typing import Any

import frappe

from memora.services.store import question_status, row_names

DUE_DAY = """LEAST(GREATEST(
	DATEDIFF(next_review_date - INTERVAL %(day_start_hour)s HOUR, %(today)s), -1), %(days)s)"""
DUE_BY_DAY_SQL = f"""
	SELECT CAST({DUE_DAY} AS INT) AS due_day, COUNT(*) FROM `tabPlayer Memory Tracker` FORCE INDEX (schedule)
	WHERE season = %(season)s GROUP BY due_day"""
DUE_BY_DAY_OF_SHARE_SQL = DUE_BY_DAY_SQL.replace("FORCE INDEX (schedule)", "FORCE INDEX (PRIMARY)").replace(
	"GROUP BY", "AND name >= %(first)s AND name < %(last)s GROUP BY"
)
# Without what is withdrawn. This reads whole rows: only where something is.
DUE_BY_DAY_OF_LIVE_SQL = f"""
	SELECT CAST({DUE_DAY} AS INT) AS due_day, COUNT(*) FROM `tabPlayer Memory Tracker` t FORCE INDEX (PRIMARY)
	{question_status.JOIN_SQL} WHERE {question_status.IS_LIVE_SQL} AND season = %(season)s
	AND t.name >= %(first)s AND t.name < %(last)s GROUP BY due_day"""
LEECHES_WHERE = f"""
	FROM `tabPlayer Memory Tracker` t {question_status.JOIN_SQL}
	WHERE t.season = %(season)s AND t.name >= %(first)s AND t.name < %(last)s AND t.lapses >= %(lapses)s
	AND {question_status.IS_SELECTED_SQL}"""
LEECHES_SQL = f"""
	SELECT t.lapses, t.player, t.question_id, {question_status.SUBJECT_SQL}, {question_status.TOPIC_SQL},
		t.reps, t.stability, t.difficulty, t.next_review_date
	{LEECHES_WHERE} ORDER BY t.lapses DESC, t.name LIMIT %(limit)s"""
LEECH_COUNTS_SQL = f"""
	SELECT COALESCE({question_status.SUBJECT_SQL}, '') AS subject_now, COUNT(*) {LEECHES_WHERE} GROUP BY subject_now"""
LEARNERS_OVERVIEW_SQL = f"""
	SELECT t.player, COUNT(*), CAST(SUM(t.next_review_date <= %(now)s AND {question_status.IS_LIVE_SQL}) AS INT),
	CAST(SUM(t.lapses) AS INT), AVG(t.stability), MIN(t.creation), MAX(t.last_review_date)
	FROM `tabPlayer Memory Tracker` t {question_status.JOIN_SQL}
	WHERE t.season = %(season)s AND t.name >= %(first)s AND t.name < %(last)s GROUP BY t.player"""


def get_due_by_day(
	season: str, today: date, days: int, day_start_hour: int, share: dict[str, str] | None = None
) -> dict[int, int]:
	"""Returns {day: number of records due}, in days after `today`, of a season or of a share of its learners.

	Day -1 counts all records due before `today`, day `days` all records due from that day on. Without a
	share, one scan of an index takes about 0.5 s for a million records; where questions are withdrawn, it
	reads whole rows, and some times as long. A record in the outbox counts with
	its date from before the answer.
	"""
	values = {"season": season, "today": today, "days": days, "day_start_hour": day_start_hour}
	if question_status.is_any_withdrawn():
		statement, share = DUE_BY_DAY_OF_LIVE_SQL, share or row_names.shares(1)[0]
	else:
		statement = DUE_BY_DAY_OF_SHARE_SQL if share else DUE_BY_DAY_SQL
	return dict(frappe.db.sql(statement, values | (share or {})))


def get_leeches(
	season: str, share: dict[str, str], lapses: int, subject: str | None, limit: int
) -> list[tuple[Any, ...]]:
	"""Returns rows of LEECHES_SQL: the records with the most lapses, of a share of the learners."""
	values = {"season": season, **share, "lapses": lapses, "subject": subject, "limit": limit}
	return list(frappe.db.sql(LEECHES_SQL, values))


def count_leeches(season: str, share: dict[str, str], lapses: int, subject: str | None) -> dict[str, int]:
	"""Returns {subject: number of records with at least `lapses` lapses} of a share of the learners."""
	values = {"season": season, **share, "lapses": lapses, "subject": subject}
	return dict(frappe.db.sql(LEECH_COUNTS_SQL, values))


def get_learner_overviews(season: str, share: dict[str, str], now: datetime) -> list[tuple[Any, ...]]:
	"""Returns rows of LEARNERS_OVERVIEW_SQL, one for each learner of a share."""
	return list(frappe.db.sql(LEARNERS_OVERVIEW_SQL, {"season": season, **share, "now": now}))
