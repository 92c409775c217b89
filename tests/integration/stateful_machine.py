"""Any sequence of answers, folds, reads and losses of Redis, beside a model in plain dictionaries.

The model takes the dates from what submissions answer (scheduling has tests of its own). From these dates the model
predicts journal, memory and cache, and what each read shows.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import frappe
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memora.exceptions import SubmissionConflict
from memora.services import site_time
from memora.services.cache import loading
from memora.services.figures import activity
from memora.services.folding import folds
from memora.services.learning import bookmarks, reviews, submissions
from memora.services.learning.answers import Response
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import outdated_schedules
from tests.integration import factories, state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import at_once, in_other_connection
from tests.integration.stateful_model import (
	DATES,
	QUESTIONS,
	SEASON,
	Player,
	closed_port,
	interrupted_load,
	parsed,
)

LIMIT = 50

who = st.integers(0, 1)
some_answers = st.dictionaries(st.integers(0, QUESTIONS - 1), st.integers(0, 5), min_size=1, max_size=3)
JOURNAL_SQL = """
	SELECT player, submission_id, question_id, quality FROM `tabPlayer Review Log` WHERE player IN %(players)s"""


class Machine(RuleBasedStateMachine):
	def __init__(self) -> None:
		super().__init__()
		factories.lift_limits()
		self.questions = factories.bank_questions()[:QUESTIONS]
		self.zone = site_time.site_zone()
		self.serial = count(1)
		self.players = [Player(factories.learner_id(f"model {n}")) for n in range(2)]
		for player in self.players:
			factories.ensure_learner(player.name)
		self.redis = srs_redis()
		self.server = SRSRedisManager().schedules.gateway.server
		self.server.breaker.open_seconds = 0  # every call may ask again

	def teardown(self) -> None:
		"""Whatever was not read on the way is read now; then all goes, so that no run depends on another."""
		try:
			for player in self.players:
				self.check_read(player)
				self.check_cache()
		finally:
			frappe.db.rollback()
			for player in self.players:
				bookmarks.forget(player.name)
			for table in (*DATES, "Review Outbox"):
				frappe.db.delete(table, {"player": ("in", [player.name for player in self.players])})
			for table in state.FIGURES:
				frappe.db.delete(table)
			frappe.db.commit()
			self.redis.flushdb()

	# Answers

	@rule(who=who, answers=some_answers)
	def submit(self, who, answers):
		self.accepted(self.players[who], self.named(answers))

	@precondition(lambda self: any(p.memory for p in self.players))
	@rule(who=who, quality=st.integers(0, 5), data=st.data())
	def practise(self, who, quality, data):
		"""The learner answers for practice: the answer is journalled, and nothing else changes."""
		player = self.players[who]
		if not player.memory:
			return
		question, submission = data.draw(st.sampled_from(sorted(player.memory))), f"s{next(self.serial)}"
		response = Response(question, quality, practice=True)
		result = submissions.submit(player.name, [response], submission)
		assert parsed(result["schedule"]) == {question: player.memory[question].due}
		player.practised[submission] = {question: quality}

	@rule(who=who, answers=some_answers)
	def submit_while_redis_is_gone(self, who, answers):
		with self.no_redis():
			result = self.accepted(self.players[who], self.named(answers))
		assert result["is_degraded"]

	@precondition(lambda self: any(p.submissions for p in self.players))
	@rule(data=st.data())
	def submit_again(self, data):
		player, submission = self.one_of_the_submissions(data)
		answers, dates = player.submissions[submission]
		result = self.send(player, answers, submission)
		assert result["status"] == "already_processed"
		assert parsed(result["schedule"]) == dates

	@precondition(lambda self: any(p.submissions for p in self.players))
	@rule(data=st.data(), answers=some_answers)
	def submit_others_under_the_same_id(self, data, answers):
		player, submission = self.one_of_the_submissions(data)
		answers = self.named(answers)
		if answers == player.submissions[submission][0]:
			return
		with pytest.raises(SubmissionConflict):
			self.send(player, answers, submission)
		frappe.db.rollback()

	@precondition(lambda self: any(p.submissions for p in self.players))
	@rule(data=st.data(), answers=some_answers)
	def submit_what_another_learner_has_sent(self, data, answers):
		"""An id is one learner's own."""
		player, submission = self.one_of_the_submissions(data)
		other = next(p for p in self.players if p is not player)
		if submission not in other.submissions:
			self.accepted(other, self.named(answers), submission)

	@rule(who=who, first=some_answers, second=some_answers)
	def two_devices_and_a_reader_at_once(self, who, first, second):
		player = self.players[who]
		before, sent = player.due(), [self.named(first), self.named(second)]
		ids = [f"s{next(self.serial)}" for _ in sent]
		*results, shown = at_once(
			lambda: self.send(player, sent[0], ids[0]),
			lambda: self.send(player, sent[1], ids[1]),
			lambda: reviews.read_reviews(player.name, limit=LIMIT),
		)
		order = sorted(range(2), key=lambda n: self.journalled_at(player, ids[n]))
		for n in order:
			player.learn(ids[n], sent[n], parsed(results[n]["schedule"]))
		seen = {question["question_id"] for question in shown["questions"]}
		assert before - {*sent[0], *sent[1]} <= seen <= before

	@rule(who=who, answers=some_answers)
	def the_same_submission_twice_at_once(self, who, answers):
		player, answers, submission = self.players[who], self.named(answers), f"s{next(self.serial)}"
		results = at_once(*[lambda: self.send(player, answers, submission)] * 2)
		assert sorted(r["status"] for r in results) == ["already_processed", "success"]
		assert results[0]["schedule"] == results[1]["schedule"]
		player.learn(submission, answers, parsed(results[0]["schedule"]))

	@rule(who=who, answers=some_answers, after_rows=st.booleans())
	def submit_while_the_schedule_is_loaded(self, who, answers, after_rows):
		"""Another process answers while a schedule is being loaded, before or after the rows are read."""
		player, answers = self.players[who], self.named(answers)
		SRSRedisManager().schedules.clear_learner(player.name, SEASON)
		results: list[dict[str, Any]] = []

		def answer_elsewhere() -> None:
			results.append(in_other_connection(lambda: self.send(player, answers, submission)).result(20))

		submission = f"s{next(self.serial)}"
		with interrupted_load(answer_elsewhere, after_rows):
			loading.rehydrate(SRSRedisManager().schedules, player.name, SEASON)
		player.learn(submission, answers, parsed(results[0]["schedule"]))

	# Folds

	@precondition(lambda self: self.waiting())
	@rule(which=st.integers(0, 9))
	def fold(self, which):
		waiting = self.waiting()
		assert folds.fold(waiting[which % len(waiting)])

	@rule()
	def drain(self):
		folds.drain(factories.site_now())
		assert not self.waiting()

	@rule()
	def sum_up(self):
		activity.sum_up()

	@rule(grown_old=st.booleans())
	def sweep(self, grown_old):
		if grown_old:
			frappe.db.sql("UPDATE `tabReview Outbox` SET creation = creation - INTERVAL 2 MINUTE")
			frappe.db.commit()
		waiting = self.waiting()
		assert folds.sweep_outbox() >= (len(waiting) if grown_old else 0)

	# Redis

	@rule()
	def flush(self):
		self.redis.flushdb()

	@rule(who=who, what=st.sampled_from(["both", "marker", "key"]), expires=st.booleans())
	def lose(self, who, what, expires):
		player = self.players[who]
		lost = {"marker": [player.marker], "key": [player.key], "both": [player.marker, player.key]}
		for key in lost[what]:
			if expires:
				self.redis.pexpire(key, 0)
			else:
				self.redis.delete(key)

	@rule(who=who)
	def somebody_else_begins_to_load_and_dies(self, who):
		if not self.redis.exists(self.players[who].marker):
			self.redis.set(self.players[who].marker, "loading:and dead", ex=30)

	# Time

	@precondition(lambda self: any(p.memory for p in self.players))
	@rule(who=who, days=st.integers(1, 10))
	def days_pass(self, who, days):
		"""All that a learner has moves into the past: in the model, in MariaDB and in Redis."""
		player = self.players[who]
		self.drain()
		for table, columns in DATES.items():
			changes = ", ".join(f"{c} = {c} - INTERVAL {days} DAY" for c in columns)
			frappe.db.sql(f"UPDATE `tab{table}` SET {changes} WHERE player = %s", (player.name,))
		frappe.db.commit()
		seconds = timedelta(days=days).total_seconds()  # the site's zone has no clock changes
		for question in self.redis.zrange(player.key, 0, -1):
			self.redis.zincrby(player.key, -seconds, question)
		for memory in player.memory.values():
			memory.due -= timedelta(days=days)
			memory.has_counted_today = False
		for _answers, dates in player.submissions.values():
			dates.update({q: due - timedelta(days=days) for q, due in dates.items()})

	# Reads

	@rule(who=who)
	def read(self, who):
		self.check_read(self.players[who])

	@rule(who=who)
	def read_while_redis_is_gone(self, who):
		with self.no_redis():
			self.check_read(self.players[who], is_degraded=True)

	def check_read(self, player: Player, is_degraded: bool = False) -> None:
		frappe.db.rollback()
		shown = reviews.read_reviews(player.name, limit=LIMIT)
		ids = [question["question_id"] for question in shown["questions"]]
		assert (set(ids), shown["total_due"]) == (player.due(), len(player.due()))
		assert [player.memory[q].due for q in ids] == sorted(player.memory[q].due for q in ids)
		assert shown["is_degraded"] == is_degraded

	# What holds after every step

	@invariant()
	def check_journal(self):
		frappe.db.rollback()
		found = frappe.db.sql(JOURNAL_SQL, {"players": [player.name for player in self.players]})
		expected = {(p.name, *answer): times for p in self.players for answer, times in p.journal.items()}
		assert Counter(found) == expected

	@invariant()
	def check_figures(self):
		"""Each answer is counted once, in the outbox, by a fold, or in Daily Activity; on whatever day it was given."""
		expected = sum(player.journal.total() for player in self.players)
		assert sum(counts.answers for counts in state.activity(with_outbox=True).values()) == expected

	@invariant()
	def check_memory(self):
		for player in self.players:
			expected = {q: (memory.reps, memory.due) for q, memory in player.memory.items()}
			assert self.stored(player) == expected

	@invariant()
	def check_cache(self):
		"""A schedule that is said to be whole is right; what this process distrusts is not believed by it."""
		generation = state.generation()
		for player in self.players:
			marker = self.redis.get(player.marker) or ""
			is_noted = outdated_schedules.get_token(player.name, SEASON)
			if marker.startswith(f"{generation}#") and not (is_noted or self.server.has_missed_writes):
				if not self.redis.exists(player.key):
					continue  # evicted, and not believed
				expected = {
					q: memory.due.replace(tzinfo=self.zone).timestamp() for q, memory in player.memory.items()
				}
				assert dict(self.redis.zrange(player.key, 0, -1, withscores=True)) == expected

	# How it is done

	def named(self, answers: dict[int, int]) -> dict[str, int]:
		return {self.questions[n]: quality for n, quality in answers.items()}

	def send(self, player: Player, answers: dict[str, int], submission: str) -> dict[str, Any]:
		return submissions.submit(player.name, [Response(q, v) for q, v in answers.items()], submission)

	def accepted(self, player: Player, answers: dict[str, int], submission: str = "") -> dict[str, Any]:
		submission = submission or f"s{next(self.serial)}"
		result = self.send(player, answers, submission)
		assert (result["status"], result["rejected"]) == ("success", [])
		assert result["schedule"].keys() == answers.keys()
		player.learn(submission, answers, parsed(result["schedule"]))
		return result

	def one_of_the_submissions(self, data) -> tuple[Player, str]:
		known = [(player, submission) for player in self.players for submission in player.submissions]
		return data.draw(st.sampled_from(known))

	def waiting(self) -> list[str]:
		frappe.db.rollback()
		return [name for (name,) in frappe.db.sql("SELECT name FROM `tabReview Outbox` ORDER BY name")]

	def journalled_at(self, player: Player, submission: str) -> datetime:
		frappe.db.rollback()
		sql = "SELECT MAX(reviewed_at) FROM `tabPlayer Review Log` WHERE player = %s AND submission_id = %s"
		return frappe.db.sql(sql, (player.name, submission))[0][0]

	def stored(self, player: Player) -> dict[str, tuple[int, datetime]]:
		"""The tracker overlaid with the outbox: of several records of a question the one with more repetitions."""
		tracker = (
			"SELECT question_id, reps, next_review_date FROM `tabPlayer Memory Tracker` WHERE player = %s"
		)
		outbox = "SELECT payload FROM `tabReview Outbox` WHERE player = %s"
		rows = list(frappe.db.sql(tracker, (player.name,)))
		for (payload,) in frappe.db.sql(outbox, (player.name,)):
			content = json.loads(payload)
			records = [dict(zip(content["fields"], values, strict=True)) for values in content["records"]]
			rows += [
				(r["question_id"], r["reps"], datetime.fromisoformat(r["next_review_date"])) for r in records
			]
		return {question: (reps, due) for question, reps, due in sorted(rows, key=lambda row: row[1])}

	@contextmanager
	def no_redis(self) -> Iterator[None]:
		"""The process' own client meets a closed port."""
		client = self.server.client
		pool, client.connection_pool = client.connection_pool, closed_port()
		try:
			yield
		finally:
			client.connection_pool = pool
