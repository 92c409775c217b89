"""Learners with rows of their own, by id, and what becomes of their accounts."""

from datetime import datetime, timedelta
from typing import Any

import frappe

from memora.services.store import figure_tables, journal, learners, outbox, tracker
from memora.services.store.records import JournalEntry, MemoryRecord, pack_records, values_of
from memora.services.store.row_names import digest
from tests.integration.factories import site_now

DAY_SQL = figure_tables.LEARNER_SQL + "(%s, %s, %s, %s, %s, %s, %s, %s)"


def become_learner(user: str) -> str:
	"""Makes a learner of a User; her id."""
	found = learners.create(user, site_now())
	assert found
	return found


def rename(old: str, new: str, **more: Any) -> None:
	frappe.rename_doc("User", old, new, force=True, show_alert=False, **more)
	frappe.db.commit()


def other_address(user: str) -> str:
	return f"new-{user}"


def put_tracker(
	learner: str, season: str, *records: MemoryRecord, doctype: str = "Player Memory Tracker"
) -> None:
	for record in records:
		values = (tracker_name(learner, season, record.question_id), learner, season, *values_of(record))
		statement = tracker.UPSERT_HEAD_SQL.replace("Player Memory Tracker", doctype)
		frappe.db.sql(statement + f"({', '.join(['%s'] * len(values))})", values)
	frappe.db.commit()


def tracker_name(learner: str, season: str, question_id: str) -> str:
	return learner + digest(season, question_id)


def key_of(learner: str, season: str, submission_id: str) -> str:
	return learner + digest(season, submission_id)


def put_answers(learner: str, season: str, submission_id: str, *entries: JournalEntry) -> str:
	key = key_of(learner, season, submission_id)
	journal.insert(key, learner, season, submission_id, entries, site_now())
	frappe.db.commit()
	return key


def put_waiting(learner: str, season: str, submission_id: str, *records: MemoryRecord) -> str:
	key = key_of(learner, season, submission_id)
	outbox.insert(key, learner, season, pack_records(records), [], site_now())
	frappe.db.commit()
	return key


def answer(question_id: str, at: datetime, **overrides: Any) -> JournalEntry:
	"""An answer in the journal that moved the memory."""
	values = {
		"question_id": question_id,
		"kind": "Review",
		"quality": 4,
		"rating": "Good",
		"response_time_ms": 0,
		"reviewed_at": at,
		"stability_before": 2.0,
		"difficulty_before": 5.0,
		"next_review_date_before": at,
		"predicted_recall": 0.9,
		"stability_after": 4.0,
		"difficulty_after": 5.0,
		"next_review_date_after": at + timedelta(days=4),
		"source": "Review",
	}
	return JournalEntry(**values | overrides)


def sessions(user: str) -> list[str]:
	frappe.db.rollback()
	return [sid for (sid,) in frappe.db.sql("SELECT sid FROM tabSessions WHERE user = %s", (user,))]
