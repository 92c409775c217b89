"""Any sequence of answers, changes of content and calendar, switches of the season, and restores of a backup.

What is right is read from the tables themselves: the records of tracker and outbox, and the bank's questions and topics.
Each way to read is held against that after each step.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import frappe
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devtools import mariadb, shell
from devtools.paths import current_bench
from memora.services import settings, site_time
from memora.services.cache import server, settling
from memora.services.learning import content_changes, lessons, reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import moving_dates, switching
from memora.services.store import seasons, tracker
from tests.integration import cleaning, factories, folding, state
from tests.integration.cleaning import srs_redis
from tests.integration.stateful_model import SEASON, parsed

QUESTION, TOPIC, SUBJECT, SEASONS = "Game Question", "Game Topic", "Game Subject", "Game Subscription Season"
TOPICS = {"Numbers": "Sums", "Letters": "Vowels"}
QUESTIONS = 6
LIMIT = 60  # above all questions of the bank
BANK_SQL = """
	SELECT q.name, t.subject FROM `tabGame Question` q JOIN `tabGame Topic` t ON t.name = q.topic WHERE q.enabled = 1"""
TRAVEL_SQL = """
	UPDATE `tabPlayer Memory Tracker` SET next_review_date = next_review_date - INTERVAL %(days)s DAY,
	last_review_date = last_review_date - INTERVAL %(days)s DAY, creation = creation - INTERVAL %(days)s DAY"""

who = st.integers(0, 1)
number = st.integers(0, QUESTIONS - 1)
some_answers = st.dictionaries(number, st.integers(0, 5), min_size=1, max_size=3)


class Machine(RuleBasedStateMachine):
	def __init__(self, folder) -> None:
		super().__init__()
		server.EPOCH_SECONDS = 0  # as if each step came some seconds after the one before
		factories.lift_limits()
		factories.set_limits(user_seconds=0, requests_per_minute=100_000)
		self.serial = count(1)
		self.folder, self.backup = folder, None
		self.players = [factories.learner_id(f"pupil {n}") for n in range(2)]
		self.other = factories.make_season(carries_on_from=SEASON).name
		self.questions: list[str] = []
		for subject, topic in TOPICS.items():
			self.questions += factories.make_questions(
				QUESTIONS // 2, subject=subject, topic=topic, prefix=subject.lower()
			)
		self.sent: list[tuple[str, list[Response], str, dict[str, str]]] = []
		for player in self.players:
			factories.ensure_learner(player)
			for n, (subject, topic) in enumerate(TOPICS.items()):
				known = self.questions[n * QUESTIONS // 2 :][:2]
				factories.make_records(
					player, question_ids=known, subject=subject, topic=f"{subject}: {topic}"
				)

	def teardown(self) -> None:
		try:
			self.check_retries()
		finally:
			server.EPOCH_SECONDS = 5
			cleaning.remove_what_a_test_made()
			cleaning.begin()

	# Answers

	@rule(who=who, answers=some_answers)
	def answer(self, who, answers):
		player, submission = self.players[who], f"s{next(self.serial)}"
		responses = [Response(self.questions[n], quality) for n, quality in answers.items()]
		live = self.live()
		result = submissions.submit(player, responses, submission)
		assert result["schedule"].keys() == {r.question_id for r in responses} & live.keys()
		records = tracker.get_all_records(player, result["season"])
		for question, due in parsed(result["schedule"]).items():
			assert records[question].next_review_date == due
		if result["schedule"]:
			self.sent.append((player, responses, submission, result["schedule"]))

	@precondition(lambda self: self.sent)
	@rule(data=st.data())
	def retry(self, data):
		player, responses, submission, schedule = data.draw(st.sampled_from(self.sent))
		journal = state.rows("Player Review Log")
		result = submissions.submit(player, responses, submission)
		assert (result["status"], result["schedule"].keys()) == ("already_processed", schedule.keys())
		assert state.rows("Player Review Log") == journal

	@rule()
	def fold(self):
		folding.drain()

	@rule(days=st.integers(1, 90))
	def time_passes(self, days):
		folding.drain()
		frappe.db.sql(TRAVEL_SQL, {"days": days})
		frappe.db.commit()
		settling.declare_stale()

	@rule()
	def redis_is_flushed(self):
		srs_redis().flushdb()

	# Content

	@rule(n=number, is_deleted=st.booleans())
	def withdraw(self, n, is_deleted):
		if frappe.db.exists(QUESTION, self.questions[n]):
			if is_deleted:
				frappe.delete_doc(QUESTION, self.questions[n])
			else:
				frappe.get_doc(QUESTION, self.questions[n]).update({"enabled": 0}).save()
		frappe.db.commit()

	@rule(n=number)
	def bring_back(self, n):
		name = self.questions[n]
		if frappe.db.exists(QUESTION, name):
			frappe.get_doc(QUESTION, name).update({"enabled": 1}).save()
		else:
			topic = frappe.get_all(TOPIC, {"topic_name": ("in", [*TOPICS.values()])}, pluck="name")[0]
			frappe.get_doc({"doctype": QUESTION, "topic": topic, "question": "q", "answer": "a"}).insert(
				set_name=name
			)
		frappe.db.commit()

	@rule(n=number, data=st.data())
	def move(self, n, data):
		if frappe.db.exists(QUESTION, self.questions[n]):
			topic = data.draw(st.sampled_from(self.topics()))
			frappe.get_doc(QUESTION, self.questions[n]).update({"topic": topic}).save()
			frappe.db.commit()

	@rule(data=st.data())
	def move_topic(self, data):
		topic = frappe.get_doc(TOPIC, data.draw(st.sampled_from(self.topics())))
		topic.update({"subject": data.draw(st.sampled_from(self.subjects()))}).save()
		frappe.db.commit()

	@rule(data=st.data())
	def rename_subject(self, data):
		old = data.draw(st.sampled_from(self.subjects()))
		frappe.rename_doc(SUBJECT, old, f"Subject {next(self.serial)}", show_alert=False)
		frappe.db.commit()

	@precondition(lambda self: len(self.subjects()) > 1)
	@rule(data=st.data())
	def merge_subjects(self, data):
		old, new = data.draw(st.permutations(self.subjects()))[:2]
		frappe.rename_doc(SUBJECT, old, new, merge=True, show_alert=False)
		frappe.db.commit()

	@rule(n=number, enabled=st.integers(0, 1))
	def change_without_a_word(self, n, enabled):
		frappe.db.set_value(QUESTION, self.questions[n], "enabled", enabled)
		frappe.db.commit()
		content_changes.compare_with_source()

	# The calendar

	@rule(days=st.sampled_from([0, 3, 40, 300]), which=who)
	def move_the_end(self, days, which):
		season = frappe.get_doc(SEASONS, (SEASON, self.other)[which])
		season.update({"end_date": site_time.learning_day() + timedelta(days=days)}).save()
		frappe.db.commit()
		moving_dates.move_dates(season.name)
		for player in self.players:
			dates = tracker.get_dates(player, season.name).values()
			assert all(due.date() <= season.end_date or due <= self.tomorrow() for due in dates)

	@rule(hour=st.sampled_from([3, 4, 6]))
	def start_days_at(self, hour):
		frappe.get_single("Memora Settings").update({"day_start_hour": hour}).save()
		frappe.db.commit()
		for season in (SEASON, self.other):
			moving_dates.move_dates(season)

	@rule()
	def switch(self):
		(closed,) = {SEASON, self.other} - {seasons.require_active_season().name}
		switching.switch_season(closed)

	# Backups

	@precondition(lambda self: not self.backup)
	@rule()
	def back_up(self):
		frappe.db.commit()
		self.backup = self.folder / f"{next(self.serial)}.sql", list(self.sent)
		mariadb.dump(current_bench(), frappe.conf.db_name, self.backup[0])

	@precondition(lambda self: self.backup)
	@rule()
	def restore(self):
		dump, self.sent = self.backup[0], list(self.backup[1])
		self.backup = None
		frappe.db.commit()
		bench = current_bench()
		with mariadb.hasty(bench), dump.open("rb") as statements:
			shell.run(mariadb.client(bench, frappe.conf.db_name), bench.log("sites"), stdin=statements)
		frappe.db.rollback()
		frappe.clear_document_cache("Memora Settings", "Memora Settings")
		settings.forget_settings()

	# What holds

	@invariant()
	def check_reads(self):
		season, live = seasons.require_active_season(), self.live()
		for player in self.players:
			records = tracker.get_all_records(player, season.name)
			asked = [r for r in records.values() if r.question_id in live]
			due = sorted(
				(r for r in asked if r.next_review_date <= factories.site_now()),
				key=lambda r: (r.next_review_date, r.question_id),
			)
			for way in (season, replace(season, enable_redis=False)):
				self.check_read(player, way, None, due)
				for subject in {*live.values()}:
					of_subject = [r for r in due if live[r.question_id] == subject]
					self.check_read(player, way, subject.upper(), of_subject)
			if state.is_loaded(player, season.name):
				assert state.cached(player, season.name) == {
					r.question_id: site_time.to_epoch(r.next_review_date) for r in asked
				}
			taught = lessons.read_lesson(player, None, None, LIMIT)["questions"]
			assert {q["question_id"] for q in taught} == live.keys() - records.keys()

	def check_read(self, player: str, season: Any, subject: str | None, due: Iterable[Any]) -> None:
		frappe.db.rollback()
		session = reviews.read_reviews(player, subject, LIMIT, season=season)
		assert not session["is_degraded"]
		found = [(q["question_id"], q["next_review_date"]) for q in session["questions"]]
		assert found == [(r.question_id, str(r.next_review_date)) for r in due]
		assert session["total_due"] == len(found)
		live = self.live()
		assert all(q["subject"] == live[q["question_id"]] for q in session["questions"])

	def check_retries(self) -> None:
		for player, responses, submission, _schedule in self.sent:
			assert submissions.submit(player, responses, submission)["status"] == "already_processed"

	def live(self) -> dict[str, str]:
		"""{question: subject} of what the bank asks."""
		frappe.db.rollback()
		return dict(frappe.db.sql(BANK_SQL))

	def topics(self) -> list[str]:
		return frappe.get_all(TOPIC, {"topic_name": ("in", [*TOPICS.values()])}, pluck="name")

	def subjects(self) -> list[str]:
		return frappe.get_all(SUBJECT, {"name": ("not in", [*factories.BANK])}, pluck="name")

	def tomorrow(self) -> datetime:
		return factories.site_now() + timedelta(days=2)
