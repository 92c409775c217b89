"""get_lesson_session: questions a learner has never seen in the season."""

import frappe
import pytest

from memora.services.folding.folds import fold
from memora.services.learning import lessons
from tests.integration import state
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_questions,
	make_records,
	make_season,
	make_topic,
)
from tests.integration.submitting import answers, days_ago, ids, submit

ALL = [*bank_questions("Bank Biology"), *bank_questions("Bank Geography")]  # by subject, then topic


def lesson(player: str, topic: str | None = None, subject: str | None = None, limit: int = 10) -> dict:
	frappe.db.rollback()
	return lessons.read_lesson(player, topic, subject, limit)


def allow(new_per_day: int) -> None:
	frappe.get_single("Memora Settings").update({"new_per_day": new_per_day}).save()
	frappe.db.commit()


def test_a_lesson_gives_new_questions_in_the_order_of_teaching(player, season):
	session = lesson(player)
	assert ids(session) == ALL[:10]
	assert (session["season"], session["new_left_today"]) == (season, 20)
	assert (
		session["questions"][0].items()
		>= {
			"question_id": ALL[0],
			"subject": "Bank Biology",
			"topic": "Bank Biology: Cells",
			"question": f"<p>What is {ALL[0]}?</p>",
			"answer": f"It is {ALL[0]}.",
		}.items()
	)


def test_topics_follow_their_position(player):
	late, early = make_questions(subject="Z", topic="A"), make_questions(subject="Z", topic="B")
	frappe.db.set_value("Game Topic", "Z: A", "position", 2)
	frappe.db.commit()
	assert ids(lesson(player, subject="Z")) == [*early, *late]


def test_a_lesson_of_a_topic_or_a_subject(player):
	assert ids(lesson(player, topic="Bank Geography: Asia", limit=2)) == bank_questions()[15:17]
	assert ids(lesson(player, subject="Bank Geography", limit=2)) == bank_questions()[:2]
	assert ids(lesson(player, topic="Bank Geography: Asia", subject="Bank Biology")) == []
	assert ids(lesson(player, topic="No such topic")) == []


def test_a_subject_without_questions(player):
	make_topic("Empty", "Nothing")
	frappe.db.commit()
	assert ids(lesson(player, subject="Empty")) == []


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_what_was_seen_is_not_new(player, is_folded):
	submit(player, answers(questions=ALL[:3]))
	if is_folded:
		fold(state.outbox(player)[0].name)
	session = lesson(player)
	assert ids(session) == ALL[3:13]
	assert session["new_left_today"] == 17


def test_what_others_have_seen_is_new(player):
	submit(make_learner().name, answers(questions=ALL[:3]))
	assert ids(lesson(player)) == ALL[:10]


def test_what_was_seen_in_another_season_is_new(player):
	make_records(player, question_ids=ALL[:3], season=make_season().name)
	assert ids(lesson(player)) == ALL[:10]


def test_questions_that_are_not_enabled_are_not_taught(player):
	names = make_questions(3, subject="Short")
	frappe.db.set_value("Game Question", names[1], "enabled", 0)
	frappe.db.commit()
	assert ids(lesson(player, subject="Short")) == [names[0], names[2]]


def test_a_day_has_so_many_new_questions(player):
	allow(5)
	session = lesson(player)
	assert (ids(session), session["new_left_today"]) == (ALL[:5], 5)
	submit(player, answers(questions=ALL[:4]))
	session = lesson(player)
	assert (ids(session), session["new_left_today"]) == (ALL[4:5], 1)
	submit(player, answers(questions=ALL[4:6]))  # a client may answer more than it was given
	session = lesson(player)
	assert (ids(session), session["new_left_today"]) == ([], 0)


def test_a_day_may_have_had_more_than_are_allowed_by_now(player):
	submit(player, answers(questions=ALL[:4]))
	allow(2)
	session = lesson(player)
	assert (ids(session), session["new_left_today"]) == ([], 0)


def test_reviews_are_not_new_questions(player):
	make_records(player, question_ids=ALL[:5])
	submit(player, answers(questions=ALL[:5]))
	assert lesson(player)["new_left_today"] == 20


def test_what_was_learnt_on_earlier_learning_days_does_not_count(player):
	with days_ago(1):
		submit(player, answers(questions=ALL[:7]))
	submit(player, answers(questions=ALL[7:10]))
	assert lesson(player)["new_left_today"] == 17


def test_no_new_questions_at_all(player):
	allow(0)
	session = lesson(player)
	assert (session["questions"], session["new_left_today"]) == ([], 0)


def test_the_last_questions(player):
	names = make_questions(4, subject="Short")
	make_records(player, question_ids=names[:3])
	assert ids(lesson(player, subject="Short")) == names[3:]


@pytest.mark.parametrize("seen", [0, 3, 4, 5, 8, 11, 12])
def test_new_questions_are_found_behind_known_ones(player, seen):
	names = make_questions(12, subject="Long")
	if seen:
		make_records(player, question_ids=names[:seen])
	assert ids(lesson(player, subject="Long", limit=3)) == names[seen:][:3]


def test_without_an_active_season_a_message_says_so(player, season):
	frappe.db.set_value("Game Subscription Season", season, "is_active", 0)
	frappe.db.commit()
	session = lesson(player)
	assert (session["questions"], session["new_left_today"], session["season"]) == ([], 0, None)
	assert session["message"] == f"Season {season} is not open for learning."


def test_a_lesson_changes_nothing(player):
	with state.nothing_changes():
		lesson(player)
