"""Learners, questions and seasons on the fault bench's site; run once per session, in a process of its own.

Prints them as JSON. In every season each learner has answered SEEN questions a month ago, which are due now.
"""

import json
import os
import sys
from datetime import timedelta

import frappe
from frappe.utils.password import set_encrypted_password, update_password

from memora.services import site_time
from memora.services.store import journal, row_names, tracker
from memora.services.store.records import JournalEntry, MemoryRecord
from tests.integration import cleaning, factories

LEARNERS = 20
QUESTIONS, SEEN = 60, 30
API_SECRET = "fault-secret"
SEED_SUBMISSION = "a month ago"


def main(seasons: int) -> None:
	frappe.init(os.environ["MEMORA_SITE"], sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	frappe.local.conf.update(frappe.get_site_config())
	cleaning.empty_site()
	factories.lift_limits()
	questions = factories.make_questions(QUESTIONS, prefix="question")
	learners = dict(_make_learner() for _ in range(LEARNERS))
	names = [factories.make_season(season_name=f"Faults-{n}").name for n in range(1, seasons + 1)]
	records = _records(questions[:SEEN])
	for name in names:
		_seed(name, list(learners), records)
	by_password = factories.make_learner().user, frappe.generate_hash(length=16)
	update_password(*by_password)
	frappe.db.commit()
	print(json.dumps({**_furniture(learners, questions, names), "by_password": by_password}))


def _make_learner() -> tuple[str, str]:
	"""(user, the token to sign in with)."""
	learner = factories.make_learner()
	set_encrypted_password("User", learner.user, API_SECRET, "api_secret")
	return learner.name, f"token {learner.api_key}:{API_SECRET}"


def _furniture(learners: dict[str, str], questions: list[str], seasons: list[str]) -> dict:
	return {
		"time_zone": str(site_time.site_zone()),
		"learners": learners,
		"questions": questions,
		"seasons": seasons,
	}


def _seed(season: str, learners: list[str], records: list[MemoryRecord]) -> None:
	"""Journal and tracker as a submission and its fold leave them."""
	entries = [_entry(record) for record in records]
	for learner in learners:
		key = row_names.submission_key(learner, season, SEED_SUBMISSION)
		journal.insert(key, learner, season, SEED_SUBMISSION, entries, factories.site_now())
		tracker.upsert_records(learner, season, records)
	frappe.db.commit()


def _records(questions: list[str]) -> list[MemoryRecord]:
	then = factories.site_now() - timedelta(days=29)
	dates = {"last_review_date": then, "creation": then}
	return [factories.make_record(q, i, len(questions), **dates) for i, q in enumerate(questions)]


def _entry(record: MemoryRecord) -> JournalEntry:
	return JournalEntry(
		question_id=record.question_id,
		kind="Learn",
		quality=4,
		rating="Good",
		response_time_ms=0,
		reviewed_at=record.last_review_date,
		stability_before=0,
		difficulty_before=0,
		next_review_date_before=None,
		predicted_recall=0,
		stability_after=record.stability,
		difficulty_after=record.difficulty,
		next_review_date_after=record.next_review_date,
		source="Normal",
	)


if __name__ == "__main__":
	main(int(sys.argv[1]))
