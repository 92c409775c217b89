"""The data of the endpoint benchmark: questions and learners of its own. They are removed when the benchmark ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import frappe
from frappe.utils.password import remove_encrypted_password, set_encrypted_password

from benchmarks import site
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.cache import loading
from memora.services.learning import learners
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database, tracker
from memora.services.store.records import MemoryRecord

SUBJECT, TOPIC = "perf", "perf: perf"
OPTIONS = 4
QUESTIONS = 1000  # each one is scheduled for each learner
DUE = 500  # of a learner's questions, at the start of each round
LEARNERS = 8
STABILITY_DAYS, DIFFICULTY = 20.0, 5.0
REPS, LAPSES = 5, 1


@dataclass
class Learner:
	"""A learner, her User and its API key. `cursor` is the number of the question that she answers next."""

	id: str
	user: str
	key: str
	secret: str
	cursor: int = 0
	answered: list[str] = field(default_factory=list)

	def next_questions(self, count: int) -> list[str]:
		"""Returns due questions that she has not answered in this round."""
		ids = [question_id(number) for number in range(self.cursor, self.cursor + count)]
		self.cursor += count
		self.answered += ids
		return ids


@contextmanager
def prepared() -> Iterator[tuple[str, list[Learner]]]:
	"""Makes the questions and the learners for the block. Yields the season and the learners.

	The season is the active one. If no season is active, PERF_SEASON is active during the block.
	"""
	active = site.active_season()
	season = active or site.PERF_SEASON
	is_ours = season == site.PERF_SEASON
	if is_ours:
		site.activate(season)
	_remove(season)  # a killed run may have left data
	try:
		with step(f"Making {QUESTIONS:,} questions, and scheduling all of them for {LEARNERS} learners"):
			learners = _make(season)
		with site.without_limits():
			yield season, learners
	finally:
		with step("Removing the questions and the learners"):
			_remove(season)
			if is_ours:
				site.deactivate(season)


def question_id(number: int) -> str:
	return f"perf-{number:04}"


def make_due_again(season: str, learners: list[Learner]) -> None:
	"""Waits until the answers of this round are folded, and then stores newer records that are due as before.

	A round that began with a backlog in the outbox would read more slowly.
	"""
	site.wait_until_folded(season, [learner.id for learner in learners])
	now = site_time.naive_now()
	earlier = now - timedelta(days=STABILITY_DAYS)  # of several answers on one day only the first would count
	for learner in learners:
		stored = tracker.get_records(learner.id, season, learner.answered)
		records = [
			replace(
				record, reps=record.reps + 1, last_review_date=earlier, next_review_date=_due_at(number, now)
			)
			for number in range(learner.cursor)
			if (record := stored.get(question_id(number)))
		]
		_store(learner.id, season, records)
		learner.cursor, learner.answered = 0, []


# Making


def _make(season: str) -> list[Learner]:
	_insert_questions()
	now = site_time.naive_now()
	made = [_make_learner(number) for number in range(1, LEARNERS + 1)]
	for learner in made:
		_store(learner.id, season, [_record(number, now) for number in range(QUESTIONS)])
		loading.rehydrate(SRSRedisManager().schedules, learner.id, season)
	return made


def _insert_questions() -> None:
	_insert("Game Subject", [{"name": SUBJECT, "subject_name": SUBJECT}])
	numbers = range(QUESTIONS)
	_insert("Game Question", [_question(number) for number in numbers])
	_insert("Game Question Option", [_option(number, idx) for number in numbers for idx in range(OPTIONS)])
	frappe.db.commit()


def _question(number: int) -> dict[str, Any]:
	return {
		"name": question_id(number),
		"topic": TOPIC,  # there is no such topic, so that no lesson of a real learner teaches the question
		"subject": SUBJECT,
		"enabled": 1,
		"question": f"What is <b>{number}</b> times two?",
		"answer": str(2 * number),
		"explanation": "Doubling a number adds it to itself.",
	}


def _option(number: int, idx: int) -> dict[str, Any]:
	parent = {"parent": question_id(number), "parenttype": "Game Question", "parentfield": "options"}
	text = {"option_text": str(2 * number + idx), "is_correct": int(idx == 0)}
	return {"name": f"{question_id(number)}-{idx}", "idx": idx + 1, **parent, **text}


def _insert(doctype: str, rows: list[dict[str, Any]]) -> None:
	now = frappe.utils.now()
	origin = {"owner": "Administrator", "modified_by": "Administrator", "creation": now, "modified": now}
	frappe.db.bulk_insert(doctype, [*rows[0], *origin], [(*row.values(), *origin.values()) for row in rows])


def _make_learner(number: int) -> Learner:
	"""Inserts the rows of a user and a key. A real User document would take half a second."""
	user, key, secret = f"perf{number}@example.com", frappe.generate_hash(length=15), frappe.generate_hash()
	names = {"name": user, "email": user, "username": f"perf{number}"}
	kind = {"first_name": "perf", "full_name": "perf", "enabled": 1, "user_type": "Website User"}
	_insert("User", [{**names, **kind, "api_key": key}])
	set_encrypted_password("User", user, secret, "api_secret")
	frappe.db.commit()
	return Learner(learners.identify(user), user, key, secret)


def _record(number: int, now: datetime) -> MemoryRecord:
	return MemoryRecord(
		question_id=question_id(number),
		subject=SUBJECT,
		topic=TOPIC,
		stability=STABILITY_DAYS,
		difficulty=DIFFICULTY,
		state="Review",
		reps=REPS,
		lapses=LAPSES,
		next_review_date=_due_at(number, now),
		last_review_date=now - timedelta(days=STABILITY_DAYS),
		creation=now - timedelta(days=4 * STABILITY_DAYS),
	)


def _due_at(number: int, now: datetime) -> datetime:
	"""Returns when a question is due. The first DUE fell due an hour ago or earlier, the others fall due from tomorrow on."""
	if number < DUE:
		return now - timedelta(hours=1, minutes=number)
	return now + timedelta(days=1, minutes=number)


def _store(learner: str, season: str, records: list[MemoryRecord]) -> None:
	with database.transaction():
		tracker.upsert_records(learner, season, records)
	scores = {record.question_id: site_time.to_epoch(record.next_review_date) for record in records}
	if not SRSRedisManager().add_batch(learner, season, scores):
		raise Failure(f"Redis did not take the schedule of {learner}")


# Removing


def _remove(season: str) -> None:
	users = [f"perf{number}@example.com" for number in range(1, LEARNERS + 1)]
	found = frappe.get_all("Memora Learner", {"user": ("in", users)}, pluck="name")
	site.delete_answers(season, found)
	frappe.db.delete("Memora Learner", {"user": ("in", users)})
	questions = [question_id(number) for number in range(QUESTIONS)]
	frappe.db.delete("Game Question Option", {"parenttype": "Game Question", "parent": ("in", questions)})
	frappe.db.delete("Game Question", {"name": ("in", questions)})
	frappe.db.delete("Game Subject", {"name": SUBJECT})
	for user in users:
		remove_encrypted_password("User", user, "api_secret")
		frappe.db.delete("User", {"name": user})
		frappe.clear_cache(user=user)
	frappe.db.commit()
