"""A first answer is taken to what a lesson of this day could show, and to nothing else."""

import sys
from datetime import timedelta
from typing import ClassVar

import frappe
import pytest
from frappe.tests.utils import patch_hooks

from memora.services.folding import folds
from memora.services.learning import lessons, submissions
from memora.services.learning.answers import Response
from tests.integration import state
from tests.integration.client import message
from tests.integration.connections import at_once
from tests.integration.factories import lift_limits, make_learner, make_questions, make_records, site_now
from tests.integration.submitting import answers, at, days_ago, ids, submit

LESSON = "memora.api.sessions.get_lesson_session"
SUBMIT = "memora.api.reviews.submit_review_session"
DAY_START = 4


def fold() -> None:
	folds.drain(site_now())


def allow(new_per_day: int) -> None:
	frappe.get_single("Memora Settings").update({"new_per_day": new_per_day}).save()
	frappe.db.commit()


def refused(player: str, *question_ids: str) -> str:
	"""Sends answers of which none is taken. Returns the one reason."""
	with state.nothing_changes():
		result = submit(player, answers(questions=list(question_ids)))
	assert (result["processed"], result["schedule"]) == (0, {})
	assert [rejection["question_id"] for rejection in result["rejected"]] == list(question_ids)
	(reason,) = {rejection["reason"] for rejection in result["rejected"]}
	return reason


def rejected(result: dict) -> list[str]:
	return [rejection["question_id"] for rejection in result["rejected"]]


# No more than new_per_day


def test_first_answers_beyond_new_per_day_are_refused(player):
	allow(3)
	names = make_questions(5)
	result = submit(player, answers(questions=names[:3]))
	assert (result["processed"], result["rejected"]) == (3, [])
	fold()
	assert "at most 3 new questions a day" in refused(player, names[3])
	assert submit(player, answers(questions=names[:1]))["processed"] == 1  # which she knows


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_of_several_the_first_are_taken(player, is_folded):
	allow(3)
	names = make_questions(6)
	submit(player, answers(questions=names[2:3]))
	if is_folded:
		fold()
	result = submit(player, answers(questions=[names[3], names[0], names[1], names[4]]))
	assert (result["schedule"].keys(), rejected(result)) == ({names[3], names[0]}, [names[1], names[4]])


def test_new_questions_of_other_days_and_learners_do_not_count(player):
	allow(1)
	names = make_questions(3)
	with days_ago(1):
		submit(player, answers(questions=names[:1]))
	submit(make_learner().name, answers(questions=names[:1]))
	assert submit(player, answers(questions=names[1:2]))["processed"] == 1
	assert "at most 1" in refused(player, names[2])


def test_a_new_day_begins_at_its_hour_and_not_at_midnight(player):
	allow(1)
	names = make_questions(3)
	day = (site_now() - timedelta(days=3)).replace(hour=0, minute=0, second=0)
	taken = []
	for hours, name in ((23, names[0]), (24 + DAY_START - 0.1, names[1]), (24 + DAY_START + 0.1, names[1])):
		with at(day + timedelta(hours=hours)):
			taken.append(submit(player, answers(questions=[name]))["processed"])
	assert taken == [1, 0, 1]


def test_two_devices_learn_no_more_than_one(player):
	allow(1)
	names = make_questions(2)
	results = at_once(*[lambda name=name: submit(player, answers(questions=[name])) for name in names])
	assert sorted(result["processed"] for result in results) == [0, 1]
	assert len(state.journal(player)) == 1


def test_the_same_first_answer_of_two_devices_counts_once(player):
	(name,) = make_questions()
	results = at_once(*[lambda: submit(player, answers(questions=[name]))] * 4)
	assert sorted(r["answers"][name]["practice"] for r in results) == [False, True, True, True]
	fold()
	assert state.tracker(player)[name].reps == 1


def test_safe_mode_lets_nobody_learn_more(player, no_redis):
	allow(1)
	names = make_questions(2)
	assert submit(player, answers(questions=names[:1]))["is_degraded"]
	assert "at most 1" in submit(player, answers(questions=names[1:]))["rejected"][0]["reason"]
	assert submit(player, answers(questions=names[:1]))["answers"][names[0]]["practice"]


# Nothing before its time


def test_what_other_questions_come_before_is_not_taught_yet(player):
	allow(3)
	names = make_questions(7)
	assert "not taught yet" in refused(player, names[3], names[6])
	result = submit(player, answers(questions=[names[6], names[2], names[3]]))
	assert (result["schedule"].keys(), rejected(result)) == ({names[2]}, [names[6], names[3]])
	assert submit(player, answers(questions=[names[3]]))["processed"] == 1  # the next one


def test_what_is_not_taught_yet_uses_up_nothing(player):
	allow(2)
	names = make_questions(5)
	result = submit(player, answers(questions=[names[4], names[3], names[1], names[0]]))
	assert (result["schedule"].keys(), rejected(result)) == ({names[1], names[0]}, [names[4], names[3]])


def test_a_lesson_of_today_can_be_answered_in_any_order(player):
	allow(4)
	names = make_questions(9, subject="Long")
	frappe.db.rollback()
	shown = ids(lessons.read_lesson(player, None, "Long", 10))
	assert shown == names[:4]
	for question_id in reversed(shown):
		assert submit(player, answers(questions=[question_id]))["processed"] == 1
		fold()


def test_each_topic_has_its_own_order(player):
	allow(2)
	one, other = (make_questions(4, subject="Two", topic=topic) for topic in ("A", "B"))
	result = submit(player, answers(questions=[one[0], other[0], one[2]]))
	assert (result["schedule"].keys(), rejected(result)) == ({one[0], other[0]}, [one[2]])


def test_what_she_knows_of_the_topic_does_not_come_before(player):
	allow(2)
	names = make_questions(8)
	make_records(player, question_ids=[names[0], names[1], names[3]])
	assert "not taught yet" in refused(player, names[5])
	assert submit(player, answers(questions=[names[4], names[2]]))["processed"] == 2


def test_what_she_has_learnt_stays_hers_wherever_it_stands_now(player):
	allow(1)
	names = make_questions(5)
	make_records(player, question_ids=[names[4]])
	assert submit(player, answers(questions=[names[4]]))["processed"] == 1


def test_a_topic_of_another_subject_by_now_is_taught(player):
	"""The questions may still name the old subject."""
	(name,) = make_questions(subject="Old")
	frappe.get_doc({"doctype": "Game Subject", "subject_name": "Moved"}).insert()
	frappe.db.set_value("Game Topic", "Old: Topic", "subject", "Moved")
	frappe.db.commit()
	assert submit(player, answers(questions=[name]))["processed"] == 1


class HostQuestions:
	"""A host app's questions. Two subjects have a topic of one name."""

	CONTENT: ClassVar = {
		**{f"q-{n}": {"subject": "One", "topic": "Topic"} for n in range(5)},
		**{f"other-{n}": {"subject": "Other", "topic": "Topic"} for n in range(2)},
		"loose": {},
		"strange": {"topic": ["Topic"]},
		"gone": {"withdrawn": True},
	}

	@classmethod
	def get_questions(cls, question_ids):
		return {q: cls.CONTENT[q] for q in question_ids if q in cls.CONTENT}

	@classmethod
	def find_questions(cls, subject, topic, offset, limit):
		found = [q for q, content in cls.CONTENT.items() if cls.is_in(content, subject, topic)]
		return found[offset : offset + limit]

	@staticmethod
	def is_in(content, subject, topic):
		return subject in (None, content.get("subject")) and topic in (None, content.get("topic"))


@pytest.fixture
def host(monkeypatch):
	monkeypatch.setitem(sys.modules, "memora.host_app", sys.modules[__name__])
	with patch_hooks({"memora_question_source": ["memora.host_app.HostQuestions"]}):
		yield


@pytest.mark.parametrize("name", ["loose", "strange"])
def test_a_question_whose_source_names_no_topic_may_be_answered(host, player, name):
	allow(2)
	assert submit(player, answers(questions=[name]))["processed"] == 1


def test_what_a_host_app_has_withdrawn_takes_no_answer(host, player):
	assert "no such question" in refused(player, "gone")
	make_records(player, question_ids=["gone"])
	assert "withdrawn" in refused(player, "gone")


def test_a_host_apps_order_of_teaching_counts(host, player):
	allow(2)
	assert "not taught yet" in refused(player, "q-2", "q-4")
	assert submit(player, answers(questions=["other-1", "q-1"]))["processed"] == 2


# Repeats


@pytest.mark.parametrize("later", ["at once", "folded", "after others", "the next day"])
def test_a_repeat_rejects_what_was_refused_at_first(player, later):
	allow(2)
	names = make_questions(6)
	sent = answers(questions=[names[0], names[2], names[5], names[1], "no-such-question"])
	with days_ago(1):
		first = submit(player, sent, "s-1")
		assert rejected(first) == [names[2], names[5], "no-such-question"]
	if later != "at once":
		fold()
	if later == "after others":
		submit(player, answers(questions=[names[2]]))
	with days_ago(0 if later == "the next day" else 1):
		again = submit(player, sent, "s-1")
	assert (again["status"], again["rejected"]) == ("already_processed", first["rejected"])
	assert again["schedule"] == first["schedule"]


def test_a_repeat_rejects_what_was_too_much_for_that_day(player):
	allow(2)
	one, other = (make_questions(2, subject="Two", topic=topic) for topic in ("A", "B"))
	sent = answers(questions=[one[0], other[0], one[1], other[1]])
	first = submit(player, sent, "s-1")
	assert rejected(first) == [one[1], other[1]]
	again = submit(player, sent, "s-1")
	assert (again["status"], again["rejected"]) == ("already_processed", first["rejected"])


def test_a_repeat_without_season_is_one(player, season):
	sent = answers(questions=make_questions(2))
	first = submissions.submit(player, sent, "s-1", season)
	again = submissions.submit(player, sent, "s-1")
	assert (again["status"], again["schedule"]) == ("already_processed", first["schedule"])


def test_practice_is_no_way_to_learn(player):
	names = make_questions(2)
	with state.nothing_changes():
		result = submit(player, [Response(names[0], 5, practice=True)])
	assert "not been learnt yet" in result["rejected"][0]["reason"]


def test_a_lesson_can_be_answered_whole(client):
	lesson = message(client.get(LESSON, limit=50))
	sent = [{"question_id": q["question_id"], "quality": 4} for q in lesson["questions"]]
	assert message(client.post(SUBMIT, responses=sent))["processed"] == lesson["new_left_today"] == 20
	assert message(client.get(LESSON))["new_left_today"] == 0


def test_without_limits_everything_may_be_answered(player):
	lift_limits()
	assert submit(player, answers(questions=make_questions(50)[10:]))["processed"] == 40
