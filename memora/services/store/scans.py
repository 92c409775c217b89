"""Scans of a season's tracker, for figures: what is due on each day, leeches, an overview of each learner.

A scan reads one share of the learners, as row_names.shares parts them. The scan of what is due can also read
all learners, from an index alone.
"""

from datetime import date, datetime
from typing import Any

import frappe

DUE_DAY = """LEAST(GREATEST(
	DATEDIFF(next_review_date - INTERVAL %(day_start_hour)s HOUR, %(today)s), -1), %(days)s)"""
DUE_BY_DAY_SQL = f"""
	SELECT CAST({DUE_DAY} AS INT) AS due_day, COUNT(*) FROM `tabPlayer Memory Tracker` FORCE INDEX (schedule)
	WHERE season = %(season)s GROUP BY due_day"""
DUE_BY_DAY_OF_SHARE_SQL = DUE_BY_DAY_SQL.replace("FORCE INDEX (schedule)", "FORCE INDEX (PRIMARY)").replace(
	"GROUP BY", "AND name >= %(first)s AND name < %(last)s GROUP BY"
)
LEECHES_SQL = """
	SELECT lapses, player, question_id, subject, topic, reps, stability, difficulty, next_review_date
	FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s AND lapses >= %(lapses)s
	AND (%(subject)s IS NULL OR subject = %(subject)s)
	ORDER BY lapses DESC, name LIMIT %(limit)s"""
LEECH_COUNTS_SQL = """
	SELECT COALESCE(subject, ''), COUNT(*) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s AND lapses >= %(lapses)s
	AND (%(subject)s IS NULL OR subject = %(subject)s) GROUP BY subject"""
LEARNERS_OVERVIEW_SQL = """
	SELECT player, COUNT(*), CAST(SUM(next_review_date <= %(now)s) AS INT), CAST(SUM(lapses) AS INT),
	AVG(stability), MIN(creation), MAX(last_review_date) FROM `tabPlayer Memory Tracker`
	WHERE season = %(season)s AND name >= %(first)s AND name < %(last)s GROUP BY player"""


def get_due_by_day(
	season: str, today: date, days: int, day_start_hour: int, share: dict[str, str] | None = None
) -> dict[int, int]:
	"""Returns {day: number of records due}, in days after `today`, of a season or of a share of its learners.

	Day -1 counts all records due before `today`, day `days` all records due from that day on. Without a
	share, one scan of an index takes about 0.5 s for a million records. A record in the outbox counts with
	its date from before the answer.
	"""
	values = {"season": season, "today": today, "days": days, "day_start_hour": day_start_hour}
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
