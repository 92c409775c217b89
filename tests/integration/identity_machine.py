"""Any sequence of answers, changes of accounts and erasures, beside a model in plain dictionaries.

The model knows people. An account's address may change, be swapped with another's, or be given to somebody new. What a
person has learnt is what she herself has answered.
"""

import signal
from collections import defaultdict
from datetime import datetime
from itertools import count
from typing import Any

import frappe
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memora.api import reviews as doors
from memora.exceptions import LearnerHasAnswers
from memora.services.folding import folds
from memora.services.learning import learners, reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import erasing
from memora.services.store import tracker
from tests.integration import cleaning, dying_eraser, factories, state, whole_site
from tests.integration.cleaning import srs_redis
from tests.integration.stateful_model import DATES, SEASON, parsed

ADDRESSES = [f"person{n}-{factories.RUN}@{factories.DOMAIN}" for n in range(4)]
SPARE = f"spare-{factories.RUN}@{factories.DOMAIN}"
QUESTIONS = 4  # few, so that answers meet
LIMIT = 50
LONG_AGO_DAYS = 400

anybody = st.integers(0, len(ADDRESSES) - 1)
some_answers = st.dictionaries(st.integers(0, QUESTIONS - 1), st.integers(0, 5), min_size=1, max_size=3)


class Person:
	"""Somebody who learns. `learnt` has the dates that her answers to each question led to, in the order of answering."""

	def __init__(self, address: str, id: str) -> None:
		self.address, self.id = address, id
		self.learnt: dict[str, list[datetime]] = defaultdict(list)
		self.jobs: list[str] = []

	@property
	def memory(self) -> dict[str, tuple[int, datetime]]:
		"""{question: (repetitions, due)}."""
		return {question: (len(dates), dates[-1]) for question, dates in self.learnt.items()}


class Machine(RuleBasedStateMachine):
	def __init__(self) -> None:
		super().__init__()
		factories.lift_limits()
		factories.set_limits(user_seconds=0, requests_per_minute=100_000)
		factories.make_learner(["System Manager"])  # Frappe deletes no User if there is none
		self.questions = factories.bank_questions()[:QUESTIONS]
		self.people: list[Person] = []
		self.gone: list[str] = []  # ids of those who were erased
		self.serial = count(1)

	def teardown(self) -> None:
		try:
			self.check_reads()
			for learner in self.gone:
				assert whole_site.find(learner) == []
		finally:
			frappe.db.rollback()
			cleaning.remove_what_a_test_made()
			cleaning.begin()

	def person(self, number: int) -> Person | None:
		return self.people[number % len(self.people)] if self.people else None

	def free_addresses(self) -> list[str]:
		return [address for address in ADDRESSES if address not in {p.address for p in self.people}]

	# People

	@precondition(lambda self: self.free_addresses())
	@rule(number=anybody)
	def somebody_new_comes(self, number):
		free = self.free_addresses()
		address = free[number % len(free)]
		person = Person(address, factories.make_learner(name=address, api_key=None).name)
		assert person.id not in {*self.gone, *(p.id for p in self.people)}
		self.people.append(person)

	@precondition(lambda self: self.people)
	@rule(who=anybody, answers=some_answers)
	def answer(self, who, answers):
		person = self.person(who)
		responses = [Response(self.questions[n], quality) for n, quality in answers.items()]
		learner, season, _outdated = learners.sit_down(person.address)
		result = submissions.submit(learner, responses, f"s{next(self.serial)}", season=season)
		for question, due in parsed(result["schedule"]).items():
			if not result["answers"][question]["practice"]:
				person.learnt[question].append(due)
		person.jobs.append(result["persistence_job_id"])

	# Accounts

	@precondition(lambda self: self.people and self.free_addresses())
	@rule(who=anybody, where=anybody)
	def rename(self, who, where):
		free = self.free_addresses()
		self._rename(self.person(who), free[where % len(free)])

	@precondition(lambda self: len(self.people) > 1)
	@rule(who=anybody)
	def swap_two_addresses(self, who):
		one, other = self.person(who), self.person(who + 1)
		addresses = other.address, one.address
		self._rename(one, SPARE)
		self._rename(other, addresses[1])
		self._rename(one, addresses[0])

	def _rename(self, person: Person, address: str) -> None:
		frappe.rename_doc("User", person.address, address, force=True, show_alert=False)
		frappe.db.commit()
		person.address = address

	@precondition(lambda self: len(self.people) > 1)
	@rule(who=anybody)
	def merge(self, who):
		leaving, staying = self.person(who), self.person(who + 1)
		order = self._order(leaving, staying)
		frappe.rename_doc("User", leaving.address, staying.address, merge=True, force=True, show_alert=False)
		frappe.db.commit()
		for question, dates in leaving.learnt.items():
			both = [*staying.learnt[question], *dates]
			staying.learnt[question] = sorted(both, key=lambda due: due != order.get(question), reverse=True)
		staying.jobs += leaving.jobs
		self.people.remove(leaving)

	def _order(self, *people: Person) -> dict[str, datetime]:
		"""{question: the date that the newest answer of these people led to}."""
		frappe.db.rollback()
		rows = [row for person in people for row in state.journal(person.id) if row.kind != "Practice"]
		return {r.question_id: r.next_review_date_after for r in sorted(rows, key=lambda r: r.reviewed_at)}

	@precondition(lambda self: self.people)
	@rule(who=anybody)
	def delete(self, who):
		person = self.person(who)
		if person.jobs:
			with pytest.raises(LearnerHasAnswers):
				frappe.delete_doc("User", person.address, force=True)
			frappe.db.rollback()
			return
		frappe.delete_doc("User", person.address, force=True)
		frappe.db.commit()
		self.people.remove(person)

	@precondition(lambda self: self.people)
	@rule(who=anybody, dies_at=st.sampled_from([None, None, *erasing.ERASING, dying_eraser.LAST]))
	def erase(self, who, dies_at):
		"""The account stays, and is somebody's who has learnt nothing. A run that is killed is done again."""
		person = self.person(who)
		if dies_at:
			assert dying_eraser.run(person.address, dies_at).returncode == -signal.SIGKILL
			frappe.db.rollback()
		assert "error" not in erasing.run(person.address, erasing.ERASE, "Command")
		self._is_new(person)

	def _is_new(self, person: Person) -> None:
		self.gone.append(person.id)
		self.people.remove(person)
		again = Person(person.address, learners.identify(person.address))
		assert again.id != person.id
		self.people.append(again)

	# What goes on meanwhile

	@rule()
	def drain(self):
		folds.drain(factories.site_now())

	@rule()
	def flush(self):
		srs_redis().flushdb()

	# What holds after every step

	@invariant()
	def each_has_what_she_has_answered(self):
		frappe.db.rollback()
		for person in self.people:
			assert learners.look_up(person.address) == person.id
			records = tracker.get_all_records(person.id, SEASON)
			assert {q: (r.reps, r.next_review_date) for q, r in records.items()} == person.memory

	def check_reads(self) -> None:
		"""Long after, by Redis, by MariaDB and in Safe Mode; and what she has sent is hers to ask for."""
		self.drain()
		let_time_pass(LONG_AGO_DAYS)
		srs_redis().flushdb()
		for person in self.people:
			expected = sorted(person.memory)
			assert self.shown(reviews.read_reviews(person.id, limit=LIMIT)) == expected
			assert self.shown(reviews.read_reviews(person.id, "Bank Geography", LIMIT)) == expected
			assert sorted(reviews.find_in_safe_mode(person.id, SEASON, None, LIMIT)) == expected
			self.check_jobs(person)

	def check_jobs(self, person: Person) -> None:
		frappe.set_user(person.address)
		try:
			for job in person.jobs:
				assert doors.get_persistence_status(job)["status"] == "finished"
		finally:
			frappe.set_user("Administrator")

	def shown(self, session: dict[str, Any]) -> list[str]:
		return sorted(question["question_id"] for question in session["questions"])


def let_time_pass(days: int) -> None:
	"""Moves all records and answers into the past."""
	for table, columns in DATES.items():
		changes = ", ".join(f"{c} = {c} - INTERVAL {days} DAY" for c in columns)
		frappe.db.sql(f"UPDATE `tab{table}` SET {changes}")
	frappe.db.commit()
