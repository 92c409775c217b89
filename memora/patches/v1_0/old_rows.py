"""Converts rows from before the tables were partitioned. Pure: no database, no clock.

Frappe has added the columns that an old table lacked. A number in such a column is 0, which means that it is not known.
"""

from datetime import datetime, timedelta

from memora.services.learning import scheduling
from memora.services.store import row_names
from memora.services.store.conversion import Row, Rules

STATES = ("Learning", "Review", "Relearning")
LONGEST_DAYS = 36500  # the longest interval of fsrs


def memory(row: Row, now: datetime) -> Row:
	"""Converts a tracker row.

	A missing date of the last review becomes the row's creation. A missing date of the next review becomes the day on
	which recall has fallen to 90 %. A missing stability becomes the interval in days between the two dates; without a date
	of the next review, the stability of a question that is first answered Good. A missing difficulty becomes that of a
	question that is first answered Good.
	"""
	last = _moment(row, "last_review_date", "creation", "modified") or now
	due = _moment(row, "next_review_date")
	stability = _stability(row, last, due)
	return {
		**row,
		"name": row_names.tracker_name(row["player"], row["season"], row["question_id"]),
		"stability": stability,
		"difficulty": _difficulty(row),
		"state": row["state"] if row["state"] in STATES else "Review",
		"reps": max(row["reps"] or 0, 1),
		"lapses": max(row["lapses"] or 0, 0),
		"next_review_date": due or last + timedelta(days=min(stability, LONGEST_DAYS)),
		"last_review_date": last,
		"creation": min(_moment(row, "creation") or last, last),
	}


def archived(row: Row, now: datetime) -> Row:
	"""Converts an archive row. A row without `archived_at` counts as archived when it was last changed."""
	return {
		**memory(row, now),
		"archived_at": _moment(row, "archived_at", "modified", "creation") or now,
		"eligible_for_deletion": row["eligible_for_deletion"] or 0,
	}


def journalled(row: Row, now: datetime) -> Row:
	"""Converts a journal row. A row without a submission becomes a submission of its own."""
	submission_id = row["submission_id"] or row["name"]
	reviewed_at = _moment(row, "reviewed_at", "creation") or now
	key = (row["player"], row["season"], submission_id, row["question_id"])
	return {
		**row,
		"name": row_names.journal_name(*key),
		"submission_id": submission_id,
		"reviewed_at": reviewed_at,
		"creation": _moment(row, "creation") or reviewed_at,
	}


def _moment(row: Row, *columns: str) -> datetime | None:
	"""Returns the first date in the columns, or None. A zero date is read as None, and is no date."""
	return next((row[column] for column in columns if isinstance(row[column], datetime)), None)


def _stability(row: Row, last: datetime, due: datetime | None) -> float:
	stored = float(row["stability"] or 0)
	interval_days = (due - last) / timedelta(days=1) if due else 0
	return next((days for days in (stored, interval_days) if days > 0), scheduling.initial_stability())


def _difficulty(row: Row) -> float:
	stored = float(row["difficulty"] or 0)
	return stored if 1 <= stored <= 10 else scheduling.initial_difficulty()


RULES = {
	"Player Memory Tracker": Rules(memory, ("player", "question_id"), ("last_review_date", "reps")),
	"Player Review Log": Rules(
		journalled,
		("player", "IF(LENGTH(submission_id) > 0, submission_id, name)", "question_id"),
		("reviewed_at",),
	),
	"Archived Memory Tracker": Rules(archived, ("player", "question_id"), ("last_review_date", "reps")),
}
