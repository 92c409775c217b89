"""What an answer counts for: one a day moves the memory, and what may not be answered is refused."""

import json
from datetime import timedelta

import frappe
import pytest

from memora.exceptions import RateLimitExceeded, SeasonStateError
from memora.services import site_time
from memora.services.figures import activity
from memora.services.folding import folds
from memora.services.learning import daily_budget, submissions
from memora.services.learning.answers import Response
from memora.services.operations import replay
from memora.services.store.records import pack_records
from tests.integration import state
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_questions,
	make_record,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.submitting import answers, at, days_ago, read, submit


def fold() -> None:
	folds.drain(site_now())


def allow(**limits: int) -> None:
	frappe.get_single("Memora Settings").update(limits).save()
	frappe.db.commit()


def kinds(player: str) -> list[str]:
	return [row.kind for row in sorted(state.journal(player), key=lambda row: row.reviewed_at)]


# One answer a day


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
@pytest.mark.parametrize("quality", [4, 5])
def test_of_fifteen_answers_on_one_day_the_first_counts(player, season, is_folded, quality):
	first = submit(player, answers(1, quality))
	for _time in range(14):
		if is_folded:
			fold()
		again = submit(player, answers(1, quality))
		assert again["schedule"] == first["schedule"]
		assert again["answers"][bank_questions()[0]]["practice"]
	fold()
	assert kinds(player) == ["Learn"] + ["Practice"] * 14
	(record,) = state.tracker(player).values()
	assert (record.reps, str(record.next_review_date)) == (1, first["schedule"][bank_questions()[0]])
	assert replay.replay_season(season, player).differences == 0
	activity.sum_up()
	(day,) = activity.by_day(season, site_time.learning_day(), site_time.learning_day())
	assert (day.counts.answers, day.counts.reviews, day.counts.recalled) == (15, 0, 0)


def test_a_review_counts_once_a_day_and_again_on_the_next(player):
	make_records(player, 1)
	for days in (1, 0):
		with days_ago(days):
			assert not submit(player, answers(1))["answers"][bank_questions()[0]]["practice"]
			assert submit(player, answers(1))["answers"][bank_questions()[0]]["practice"]
	fold()
	assert kinds(player) == ["Review", "Practice"] * 2
	assert state.tracker(player)[bank_questions()[0]].reps == 3


def test_a_wrong_answer_is_not_taken_back_on_the_same_day(player):
	make_records(player, 1)
	wrong = submit(player, answers(1, quality=1))
	assert submit(player, answers(1, quality=5))["schedule"] == wrong["schedule"]


def test_a_repeat_of_what_became_practice_is_answered_alike(player):
	submit(player, answers(1))
	first = submit(player, answers(1), "s-1")
	again = submit(player, answers(1), "s-1")
	assert (again["status"], again["answers"]) == ("already_processed", first["answers"])


def test_one_counts_in_safe_mode_too(player, no_redis):
	first = submit(player, answers(1))
	assert (first["is_degraded"], first["answers"][bank_questions()[0]]["practice"]) == (True, False)
	again = submit(player, answers(1, quality=5))
	assert (again["schedule"], again["answers"][bank_questions()[0]]["practice"]) == (first["schedule"], True)


def test_practice_takes_nothing_from_the_answer_that_counts(player):
	(record,) = make_records(player, 1)
	assert submit(player, [Response(record.question_id, 5, practice=True)])["processed"] == 1
	assert not submit(player, answers(1))["answers"][record.question_id]["practice"]
	fold()
	assert kinds(player) == ["Practice", "Review"]
	assert state.tracker(player)[record.question_id].reps == 2


@pytest.mark.parametrize("hours", [-0.1, 0.1])
def test_a_day_ends_at_its_hour_and_not_at_midnight(player, hours):
	"""The first answer is given an hour before midnight, the second about when the next learning day begins."""
	(record,) = make_records(player, 1)
	midnight = (site_now() - timedelta(days=3)).replace(hour=0, minute=0, second=0)
	for moment in (midnight - timedelta(hours=1), midnight + timedelta(hours=4 + hours)):
		with at(moment):
			last = submit(player, answers(1))["answers"][record.question_id]
	assert last["practice"] == (hours < 0)


# What is refused


def refused(player: str, question_id: str) -> str:
	with state.nothing_changes():
		result = submit(player, answers(questions=[question_id]))
	assert (result["processed"], result["schedule"]) == (0, {})
	(rejection,) = result["rejected"]
	assert rejection["question_id"] == question_id
	return rejection["reason"]


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_a_question_that_was_withdrawn_takes_no_answer(player, is_known, how):
	(name,) = make_questions()
	if is_known:
		make_records(player, question_ids=[name])
	if how == "disabled":
		frappe.db.set_value("Game Question", name, "enabled", 0)
	else:
		frappe.delete_doc("Game Question", name)
	frappe.db.commit()
	assert ("withdrawn" if is_known else "no such question") in refused(player, name)


def test_answers_of_another_season_are_refused(player, season):
	other = make_season().name
	with state.nothing_changes(), pytest.raises(SeasonStateError, match=other):
		submissions.submit(player, answers(1), None, other)
	assert submissions.submit(player, answers(1), None, season)["processed"] == 1


# The budget of a day


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_a_day_has_so_many_answers(player, is_folded):
	allow(answers_per_day=5)
	submit(player, answers(4))
	if is_folded:
		fold()
	submit(player, answers(questions=bank_questions()[4:5]))
	with state.nothing_changes(), pytest.raises(RateLimitExceeded, match="5 questions today"):
		submit(player, answers(questions=bank_questions()[5:6]))
	assert 0 < frappe.flags.pop("retry_after_seconds") <= 24 * 3600
	assert submit(make_learner().name, answers(5))["processed"] == 5


def test_the_budget_is_whole_again_on_the_next_learning_day(player):
	allow(answers_per_day=2)
	with days_ago(1):
		submit(player, answers(2))
	assert submit(player, answers(questions=bank_questions()[2:4]))["processed"] == 2


def test_the_wait_ends_when_the_next_learning_day_begins(player):
	allow(answers_per_day=1)
	submit(player, answers(1))
	with pytest.raises(RateLimitExceeded) as caught:
		submit(player, answers(questions=bank_questions()[1:2]))
	assert caught.value.http_status_code == 429
	then = site_now() + timedelta(seconds=frappe.flags.pop("retry_after_seconds"))
	tomorrow = site_time.learning_day() + timedelta(days=1)
	assert site_time.learning_day(then + timedelta(seconds=2)) == tomorrow


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_a_question_is_practised_so_often_a_day(player, is_folded):
	allow(practice_per_day=2)
	make_records(player, 2)
	one, other = bank_questions()[:2]
	for _time in range(2):
		submit(player, [Response(one, 4, practice=True)])
		if is_folded:
			fold()
	with state.nothing_changes(), pytest.raises(RateLimitExceeded, match="2 times today"):
		submit(player, [Response(one, 4, practice=True)])
	frappe.flags.pop("retry_after_seconds")
	result = submit(player, [Response(one, 4, practice=True), Response(other, 4, practice=True)])
	assert (result["processed"], result["rejected"][0]["question_id"]) == (1, one)
	assert not submit(player, answers(1))["answers"][one]["practice"]  # the one that counts


def test_zero_is_no_limit(player):
	allow(answers_per_day=0, practice_per_day=0)
	for _time in range(25):
		assert submit(player, answers(1))["processed"] == 1


def test_the_budget_needs_no_redis(player, no_redis):
	allow(answers_per_day=1)
	assert submit(player, answers(1))["is_degraded"]
	with pytest.raises(RateLimitExceeded):
		submit(player, answers(questions=bank_questions()[1:2]))
	frappe.flags.pop("retry_after_seconds")


def test_a_learners_outbox_is_bounded(player, season, monkeypatch):
	monkeypatch.setattr(daily_budget, "WAITING_SUBMISSIONS", 3)
	for _time in range(3):
		make_waiting_submission(player, season)
	with state.nothing_changes(), pytest.raises(RateLimitExceeded):
		submit(player, answers(1))
	frappe.flags.pop("retry_after_seconds")
	fold()
	assert submit(player, answers(1))["processed"] == 1
	read(player)


def test_what_an_earlier_version_left_in_the_outbox_is_folded(player, season):
	record = make_record(bank_questions()[0], last_review_date=site_now(), reps=2)
	make_waiting_submission(player, season, record)
	payload = json.loads(pack_records([record]))
	del payload["effort"]
	activity_then = [[str(site_time.learning_day()), "Bank Geography", 1, 1, 1]]
	values = json.dumps(payload), json.dumps(activity_then)
	frappe.db.sql("UPDATE `tabReview Outbox` SET payload = %s, activity = %s", values)
	frappe.db.commit()
	assert submit(player, answers(1))["answers"][record.question_id]["practice"]
	fold()
	assert (state.outbox(player), state.tracker(player)[record.question_id].reps) == ([], 2)
	(counts,) = state.activity().values()
	assert (counts.answers, counts.reviews, counts.graded_reviews) == (2, 1, 0)
	assert [row.answers for row in state.rows("Daily Learner")] == [1]
