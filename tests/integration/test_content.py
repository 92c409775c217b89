"""What the question source changes: learners are asked what is asked now, under the subject it has now, by every way."""

from datetime import timedelta

import frappe
import pytest

from memora.services.cache import loading
from memora.services.cache.schedules import Schedules
from memora.services.learning import content_changes, lessons
from memora.services.store import question_status
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.factories import (
	make_questions,
	make_record,
	make_records,
	make_topic,
	make_waiting_submission,
	site_now,
)
from tests.integration.folding import drain
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_budgets import counted

QUESTION, TOPIC, SUBJECT = "Game Question", "Game Topic", "Game Subject"
GEO, ASTRO = "Geo", "Astro"


@pytest.fixture
def due(player) -> list[str]:
	"""Twenty-five due questions, the oldest first."""
	names = make_questions(25, subject=GEO, topic="T")
	make_records(player, question_ids=names, subject=GEO, topic="Geo: T")
	return names


@pytest.fixture
def key(player, season) -> str:
	"""Of her schedule."""
	return Schedules().keys.schedule(player, season)


def delete(name: str) -> None:
	frappe.delete_doc(QUESTION, name)


def set_enabled(name: str, enabled: int) -> None:
	frappe.get_doc(QUESTION, name).update({"enabled": enabled}).save()


def disable(name: str) -> None:
	set_enabled(name, 0)


def total(player: str, subject: str | None = None) -> int:
	return read(player, subject)["total_due"]


def commit(change, *arguments) -> None:
	change(*arguments)
	frappe.db.commit()


@pytest.mark.parametrize("withdraw", [delete, disable])
def test_what_is_withdrawn_is_not_due_by_any_way(source, player, due, withdraw):
	source(player)
	for name in due[:20]:
		withdraw(name)
	frappe.db.commit()
	for subject in (None, GEO, GEO.lower()):
		for limit in (1, 3, 20):
			session = read(player, subject, limit)
			assert ids(session) == due[20:][:limit]
			assert session["total_due"] == 5
	for name in due[20:]:
		commit(withdraw, name)
	session = read(player)
	assert (session["questions"], session["total_due"], session["next_due"]) == ([], 0, None)


def test_what_falls_due_next_is_asked(source, player):
	names = make_questions(3)
	now = site_now().replace(microsecond=0)
	make_records(player, question_ids=names, next_review_date=lambda i: now + timedelta(days=1 + i))
	source(player)
	commit(disable, names[0])
	assert read(player)["next_due"] == str(now + timedelta(days=2))
	commit(set_enabled, names[0], 1)
	assert read(player)["next_due"] == str(now + timedelta(days=1))


def test_what_waits_to_be_folded_is_withdrawn_and_moved_too(source, player, season):
	names = make_questions(3, subject=GEO, topic="T")
	records = [make_record(name, i, 3, subject=GEO, topic="Geo: T") for i, name in enumerate(names)]
	make_waiting_submission(player, season, *records)
	topic = make_topic(ASTRO, "Stars")
	source(player)
	disable(names[0])
	frappe.get_doc(QUESTION, names[1]).update({"topic": topic}).save()
	frappe.db.commit()
	assert ids(read(player)) == names[1:]
	assert ids(read(player, ASTRO.upper())) == names[1:2]
	assert ids(read(player, GEO.lower())) == names[2:]


def test_what_comes_back_is_due_again(source, player, due):
	source(player)
	for name in due[:3]:
		disable(name)
	delete(due[3])
	frappe.db.commit()
	assert total(player) == 21
	for name in due[:3]:
		set_enabled(name, 1)
	frappe.db.commit()
	assert ids(read(player))[:4] == [*due[:3], due[4]]
	again = {"doctype": QUESTION, "topic": "Geo: T", "question": "q", "answer": "a"}
	frappe.get_doc(again).insert(set_name=due[3])
	frappe.db.commit()
	assert ids(read(player))[:4] == due[:4]
	assert total(player) == 25


def test_history_and_records_of_what_is_withdrawn_stay(player, due, season):
	submit(player, answers(questions=due[:1]))
	drain()
	journal, tracker = state.rows("Player Review Log"), state.rows("Player Memory Tracker")
	commit(disable, due[0])
	read(player)
	assert (state.rows("Player Review Log"), state.rows("Player Memory Tracker")) == (journal, tracker)
	(rejected,) = submit(player, answers(questions=due[:1]))["rejected"]
	assert rejected["reason"] == "This question has been withdrawn."


# Subjects


def test_a_subject_that_is_renamed_is_known_by_its_new_name(source, player, due):
	source(player)
	frappe.rename_doc(SUBJECT, GEO, "Earth")
	frappe.db.commit()
	assert (total(player, "Earth"), total(player, GEO), total(player)) == (25, 0, 25)
	assert {q["subject"] for q in read(player)["questions"]} == {"Earth"}


def test_an_answer_refreshes_the_subject(player, due):
	frappe.rename_doc(SUBJECT, GEO, "Earth")
	frappe.db.commit()
	submit(player, answers(questions=due[:1]))
	drain()
	stored = {row.question_id: row.subject for row in state.rows("Player Memory Tracker")}
	assert (stored[due[0]], stored[due[1]]) == ("Earth", GEO)


def test_subjects_that_are_merged_are_one(source, player, due):
	others = make_questions(2, subject=ASTRO, topic="S")
	make_records(player, question_ids=others, subject=ASTRO, topic="Astro: S")
	source(player)
	frappe.rename_doc(SUBJECT, GEO, ASTRO, merge=True)
	frappe.db.commit()
	assert (total(player, ASTRO), total(player, GEO)) == (27, 0)


def test_a_question_moves_with_its_topic(source, player, due):
	make_topic(ASTRO, "S")
	source(player)
	commit(lambda: frappe.get_doc(QUESTION, due[0]).update({"topic": "Astro: S"}).save())
	assert (total(player, ASTRO), total(player, GEO)) == (1, 24)
	commit(lambda: frappe.get_doc(TOPIC, "Geo: T").update({"subject": ASTRO}).save())
	assert (total(player, ASTRO), total(player, GEO)) == (25, 0)
	assert frappe.db.get_value(QUESTION, due[1], "subject") == ASTRO


def test_topics_are_renamed_and_merged(source, player, due):
	others = make_questions(2, subject=ASTRO, topic="S")
	make_records(player, question_ids=others, subject=ASTRO, topic="Astro: S")
	source(player)
	commit(frappe.rename_doc, TOPIC, "Geo: T", "Geo: U")
	assert {q["topic"] for q in read(player, GEO)["questions"]} == {"Geo: U"}
	commit(lambda: frappe.rename_doc(TOPIC, "Geo: U", "Astro: S", merge=True))
	assert (total(player, ASTRO), total(player, GEO)) == (27, 0)


def test_a_subject_with_questions_is_not_deleted(due):
	for doctype, name in ((SUBJECT, GEO), (TOPIC, "Geo: T")):
		with pytest.raises(frappe.LinkExistsError):
			frappe.delete_doc(doctype, name)
		frappe.db.rollback()


# Without a word


def test_what_nobody_tells_of_is_noticed_within_the_hour(source, player, due):
	content_changes.compare_with_source()
	assert question_status.get_version() == 0
	source(player)
	read(player)
	frappe.db.set_value(QUESTION, {"name": ("in", due[22:])}, "enabled", 0)
	frappe.db.delete(QUESTION, {"name": due[21]})
	frappe.db.set_value(QUESTION, due[20], "topic", make_topic(ASTRO, "S"))
	frappe.db.commit()
	assert content_changes.compare_with_source() == 5
	assert content_changes.compare_with_source() == 0
	assert (total(player), total(player, ASTRO), total(player, GEO)) == (21, 1, 20)
	frappe.db.set_value(QUESTION, {"name": ("in", due[22:])}, "enabled", 1)
	frappe.db.commit()
	assert content_changes.compare_with_source() == 3
	assert total(player) == 24


def test_a_change_that_is_rolled_back_is_none(player, due):
	disable(due[0])
	frappe.db.rollback()
	frappe.get_doc(QUESTION, due[1]).update({"position": 99}).save()
	frappe.db.commit()
	assert total(player) == 25
	assert question_status.get_version() == 0


# Costs


def test_a_withdrawal_costs_a_read_nothing_and_no_schedule_is_loaded(player, proxy, due, key):
	total(player)
	with proxy.counted() as redis, counted() as queries:
		read(player)
	before = redis.round_trips, queries.total
	disable(due[0])
	delete(due[1])
	frappe.db.commit()
	question_status.get_changes(question_status.get_version())  # read once by each process
	frappe.db.commit()
	srs_redis().zadd(key, {"of this schedule": 4e9})
	with proxy.counted() as redis, counted() as queries:
		assert read(player)["total_due"] == 23
	assert (redis.round_trips, queries.total) == before
	assert "of this schedule" in srs_redis().zrange(key, 0, -1)


def test_what_comes_back_costs_one_query_and_no_load(player, proxy, due, key):
	commit(disable, due[0])
	total(player)
	srs_redis().zadd(key, {"of this schedule": 4e9})
	commit(set_enabled, due[0], 1)
	assert total(player) == 25
	assert "of this schedule" in srs_redis().zrange(key, 0, -1)
	with proxy.counted() as redis:
		read(player)
	assert redis.round_trips == 1


def test_very_many_changes_cost_one_load(player, due, monkeypatch):
	loads = []
	monkeypatch.setattr(
		loading, "rehydrate", lambda *a, f=loading.rehydrate, **k: loads.append(a) or f(*a, **k)
	)
	monkeypatch.setattr(loading, "MOST_CAUGHT_UP", 10)
	total(player)
	loads.clear()
	for enabled in (0, 1):
		for name in due[:20]:
			set_enabled(name, enabled)
		frappe.db.commit()
	assert [total(player) for _ in range(3)] == [25, 25, 25]
	assert len(loads) == 1


def test_new_questions_change_no_version(player, due):
	total(player)
	make_questions(30, subject=GEO, topic="T", prefix="new")
	assert question_status.get_version() == 0
	assert state.rows("Question Status") == []


# At the same time


def test_an_answer_to_what_is_withdrawn_meanwhile_leaves_nothing_behind(player, due, season):
	"""The answer was judged before the withdrawal, and reaches Redis after a read that knew of it."""
	total(player)
	version = question_status.get_version()
	commit(disable, due[0])
	total(player)
	Schedules().reschedule(player, season, {due[0]: 4e9}, version)
	assert total(player) == 24
	assert due[0] not in state.cached(player, season)


def test_what_comes_back_keeps_the_date_of_an_answer_meanwhile(player, due, season):
	"""The reader has read the record from before the answer, and adds it after the answer's date."""
	commit(disable, due[0])
	total(player)
	commit(set_enabled, due[0], 1)
	changes = question_status.get_changes(question_status.get_version())
	schedules = Schedules()
	read_before = schedules.read_due(player, season, 20, changes)
	assert schedules.add(player, season, {due[0]: 4e9})
	assert schedules.catch_up(player, season, read_before, changes.version, [], {due[0]: 1.0})
	assert state.cached(player, season)[due[0]] == 4e9


def test_lessons_leave_out_what_is_withdrawn(player):
	names = make_questions(3, subject=GEO, topic="T")
	commit(disable, names[0])
	assert ids(lessons.read_lesson(player, "Geo: T", None, 10)) == names[1:]


def test_a_schedule_whose_marker_redis_evicted_loses_what_was_withdrawn(player, due, season, key):
	read(player)
	srs_redis().delete(Schedules().keys.pair(player, season)[1])
	commit(disable, due[0])
	assert [read(player)["total_due"] for _time in range(2)] == [24, 24]
	assert not srs_redis().zscore(key, due[0])
