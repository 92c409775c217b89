"""Compares what journal, tracker and cache hold of a learner with each other, and with what HTTP acknowledged."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import frappe

from benchmarks.classroom import GET_REVIEW, Learner
from memora.services import site_time
from memora.services.cache import loading
from memora.services.cache.schedules import Schedules
from memora.services.store import tracker

# These statements look rows up by column. The app looks them up by row name, so a wrong row name shows here.
JOURNAL_SQL = """
	SELECT question_id, kind, rating, reviewed_at, stability_after, difficulty_after, next_review_date_after
	FROM `tabPlayer Review Log` WHERE season = %s AND player = %s ORDER BY reviewed_at"""
TRACKER_SQL = """
	SELECT question_id, reps, lapses, last_review_date, stability, difficulty, next_review_date
	FROM `tabPlayer Memory Tracker` WHERE season = %s AND player = %s"""
OUTBOX_SQL = "SELECT COUNT(*) FROM `tabReview Outbox` WHERE season = %s AND player = %s"

Row = dict[str, Any]


@dataclass(frozen=True)
class Account:
	"""One learner, with what each store holds of her."""

	user: str
	acknowledged: Counter[str]  # answers by question, counted when HTTP acknowledged them
	journal: dict[str, list[Row]]  # by question, oldest first
	tracker: dict[str, Row]
	scores: dict[str, float]
	waiting: int  # submissions in the outbox
	due_redis: int
	due_mariadb: int
	due_http: int

	@property
	def moving(self) -> dict[str, list[Row]]:
		"""The journal without practice, which moves no record."""
		moving = {q: [row for row in rows if row["kind"] != "Practice"] for q, rows in self.journal.items()}
		return {question_id: rows for question_id, rows in moving.items() if rows}

	@property
	def answers_journalled(self) -> int:
		return sum(map(len, self.journal.values()))

	@property
	def answers_folded(self) -> int:
		return sum(row["reps"] for row in self.tracker.values())


def account(season: str, learner: Learner) -> Account:
	"""Returns what each store holds of a learner now.

	Redis is read before the request over HTTP, because a request repairs a wrong schedule.
	A schedule that is not whole says nothing about what is due, so it is loaded first.
	"""
	schedules, of_learner = Schedules(), (season, learner.id)
	loading.load_due(schedules, learner.id, season)
	scores = schedules.read_all(learner.id, season)
	due_redis = schedules.count_due(learner.id, season)
	frappe.db.rollback()  # ends the snapshot of an earlier comparison
	now = site_time.naive_now()
	journal: dict[str, list[Row]] = {}
	for row in frappe.db.sql(JOURNAL_SQL, of_learner, as_dict=True):
		journal.setdefault(row["question_id"], []).append(row)
	return Account(
		user=learner.user,
		acknowledged=learner.acknowledged.copy(),
		journal=journal,
		tracker={row["question_id"]: row for row in frappe.db.sql(TRACKER_SQL, of_learner, as_dict=True)},
		scores=scores,
		waiting=frappe.db.sql(OUTBOX_SQL, of_learner)[0][0],
		due_redis=due_redis,
		due_mariadb=tracker.get_due(learner.id, season, now, limit=1)[1],
		due_http=learner.client.look(GET_REVIEW)["total_due"],
	)


def disagreements(account: Account) -> Iterator[str]:
	"""Yields a sentence for each disagreement, with learner, question and values."""
	if account.waiting:
		yield f"{account.user}: {account.waiting} submissions still wait in the outbox"
	if not account.due_http == account.due_redis == account.due_mariadb:
		yield (
			f"{account.user}: due over HTTP {account.due_http}, in Redis {account.due_redis}, "
			f"in MariaDB {account.due_mariadb}"
		)
	for what, values in _stories(account):
		yield from _different(account.user, what, values)


def _stories(account: Account) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
	"""Yields (what, {store: {question: value}}). The two stores must hold equal values for every question."""
	journal, tracker = account.moving, account.tracker
	yield "answers", {"HTTP": dict(account.acknowledged), "journal": _each(account.journal, len)}
	yield "repetitions", {"journal": _each(journal, len), "tracker": _each(tracker, lambda row: row["reps"])}
	yield "lapses", {"journal": _each(journal, _lapses), "tracker": _each(tracker, lambda row: row["lapses"])}
	yield "first sights", {"journal": _each(journal, _first_sights), "tracker": dict.fromkeys(tracker, 1)}
	for of_answer, of_record in (
		("reviewed_at", "last_review_date"),
		("stability_after", "stability"),
		("difficulty_after", "difficulty"),
		("next_review_date_after", "next_review_date"),
	):
		last = {question: rows[-1][of_answer] for question, rows in journal.items()}
		yield of_record, {"journal": last, "tracker": {q: row[of_record] for q, row in tracker.items()}}
	due = _each(tracker, lambda row: site_time.to_epoch(row["next_review_date"]))
	yield "due moments", {"tracker": due, "Redis": account.scores}


def _each(of_questions: dict[str, Any], value: Callable[[Any], Any]) -> dict[str, Any]:
	return {question_id: value(of_question) for question_id, of_question in of_questions.items()}


def _lapses(rows: list[Row]) -> int:
	"""Counts the answers Again. The first answer is left out: not knowing a new question is no lapse."""
	return sum(row["rating"] == "Again" for row in rows[1:])


def _first_sights(rows: list[Row]) -> int:
	"""Returns 1 if only the first answer is journalled as Learn, and another number if not."""
	kinds = [row["kind"] for row in rows]
	return kinds.count("Learn") if kinds[0] == "Learn" else 0


def _different(user: str, what: str, stores: dict[str, dict[str, Any]]) -> Iterator[str]:
	(one, left), (other, right) = stores.items()
	for question_id in sorted(left.keys() | right.keys()):
		if left.get(question_id) != right.get(question_id):
			yield (
				f"{user}, {question_id}, {what}: {left.get(question_id)} in {one}, "
				f"{right.get(question_id)} in {other}"
			)
