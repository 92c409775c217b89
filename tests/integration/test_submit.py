"""submit_review_session in-process: journal, outbox, cache and job of one submission."""

import json
from datetime import datetime, timedelta

import frappe
import pytest

from memora.services import site_time
from memora.services.folding.folds import fold
from memora.services.learning import scheduling
from memora.services.learning.answers import Response
from memora.services.store import row_names
from tests.integration import state
from tests.integration.factories import (
	bank_questions,
	lift_limits,
	make_learner,
	make_questions,
	make_records,
	site_now,
)
from tests.integration.submitting import answers, days_ago, ids, read, submit

SEASON = "Game Subscription Season"


def expected_due(player: str, season: str, question_id: str, quality: int) -> datetime:
	"""Naive site time at which the core asks again after a first answer now."""
	zone = site_time.site_zone()
	outcome = scheduling.review(
		None,
		quality,
		site_time.now(),
		seed=row_names.tracker_name(player, season, question_id),
		calendar=scheduling.LearningCalendar(zone),
		season_end=frappe.db.get_value(SEASON, season, "end_date"),
	)
	return outcome.memory.due.replace(tzinfo=None)


def test_the_answer_has_the_fields_of_the_design(player, season):
	question_id = bank_questions()[0]
	result = submit(player, answers(1), "my-id")
	assert result.pop("persistence_job_id").endswith(row_names.submission_key(player, season, "my-id"))
	assert result == {
		"status": "success",
		"processed": 1,
		"rejected": [],
		"submission_id": "my-id",
		"is_degraded": False,
		"season": season,
		"schedule": {question_id: str(expected_due(player, season, question_id, 4))},
		"answers": {
			question_id: {
				"practice": False,
				"is_correct": True,
				"graded_by": "Learner",
				"right_options": [],
				"answer": f"It is {question_id}.",
				"explanation": None,
			}
		},
	}
	assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("quality", range(6))
def test_a_first_answer_is_journalled_as_learnt(player, season, quality):
	question_id = bank_questions()[0]
	before = site_now()
	submit(player, [Response(question_id, quality, 2345)], "s-1")
	(row,) = state.journal(player)
	assert row.name == row_names.journal_name(player, season, "s-1", question_id)
	assert (row.player, row.season, row.question_id, row.submission_id) == (
		player,
		season,
		question_id,
		"s-1",
	)
	assert (row.kind, row.source, row.quality, row.response_time_ms) == ("Learn", "Normal", quality, 2345)
	assert row.rating == scheduling.RATINGS[scheduling.Quality(quality)].name
	assert before <= row.reviewed_at <= site_now()
	assert (row.stability_before, row.difficulty_before, row.predicted_recall) == (0, 0, 0)
	assert row.next_review_date_before is None
	assert row.next_review_date_after == expected_due(player, season, question_id, quality)
	assert row.stability_after > 0


def test_a_later_answer_is_journalled_as_review_with_what_was_before(player):
	(record,) = make_records(player, stability=10.5, difficulty=5.5, reps=3)
	submit(player, answers(1, quality=1))
	(row,) = state.journal(player)
	assert (row.kind, row.rating) == ("Review", "Again")
	assert (row.stability_before, row.difficulty_before) == (10.5, 5.5)
	assert row.next_review_date_before == record.next_review_date
	assert 0 < row.predicted_recall < 1
	assert row.stability_after < 10.5 < 24 * row.difficulty_after


def test_a_submission_waits_in_the_outbox_until_it_is_folded(player, season):
	result = submit(player, answers(3))
	(row,) = state.outbox(player)
	assert row.name == row_names.submission_key(player, season, result["submission_id"])
	assert (row.player, row.season) == (player, season)
	assert state.tracker(player) == {}
	fold(row.name)
	assert state.outbox(player) == []
	stored = state.tracker(player)
	assert {q: str(r.next_review_date) for q, r in stored.items()} == result["schedule"]
	assert all((r.reps, r.lapses, r.state, r.season) == (1, 0, "Review", season) for r in stored.values())


def test_tracker_and_journal_say_the_same(player):
	make_records(player, 2, stability=7.25)
	submit(player, answers(3, quality=5))
	fold(state.outbox(player)[0].name)
	stored = state.tracker(player)
	for row in state.journal(player):
		tracked = stored[row.question_id]
		assert tracked.stability == row.stability_after
		assert tracked.difficulty == row.difficulty_after
		assert tracked.next_review_date == row.next_review_date_after
		assert tracked.last_review_date == row.reviewed_at


def test_subject_and_topic_come_from_the_source_at_first_sight_and_stay(player):
	(name,) = make_questions(subject="History", topic="Rome")
	submit(player, answers(questions=[name]))
	fold(state.outbox(player)[0].name)
	row = state.tracker(player)[name]
	assert (row.subject, row.topic) == ("History", "History: Rome")
	submit(player, answers(questions=[name]))
	fold(state.outbox(player)[0].name)
	assert state.tracker(player)[name].subject == "History"


def test_folding_keeps_the_moment_of_the_first_answer(player):
	(record,) = make_records(player)
	submit(player, answers(1))
	fold(state.outbox(player)[0].name)
	assert state.tracker(player)[record.question_id].creation == record.creation


def test_a_schedule_in_redis_follows_the_answers(player, season):
	make_records(player, 4)
	read(player)
	submit(player, answers(2))
	assert state.is_loaded(player, season)
	assert state.cached(player, season) == state.scores(player, season)
	assert ids(read(player)) == bank_questions()[2:4]


def test_a_schedule_that_is_not_in_redis_is_loaded_by_the_next_read(player, season):
	make_records(player, 4)
	submit(player, answers(2))
	assert not state.is_loaded(player, season)
	assert ids(read(player)) == bank_questions()[2:4]
	assert state.cached(player, season) == state.scores(player, season)


def test_fifty_answers_are_taken(player):
	lift_limits()
	names = make_questions(50)
	result = submit(player, answers(questions=names))
	assert (result["processed"], result["rejected"]) == (50, [])
	assert list(result["schedule"]) == names
	assert len(state.journal(player)) == 50
	assert len(state.outbox(player)) == 1


def test_an_unmeasured_time_is_no_obstacle(player):
	submit(player, [Response(bank_questions()[0], 4, None)])
	assert state.journal(player)[0].response_time_ms == 0


def test_a_submission_without_an_id_gets_one(player):
	first, second = submit(player, answers(1)), submit(player, answers(1))
	assert first["submission_id"] != second["submission_id"]
	assert len(state.journal(player)) == 2


def test_an_unknown_question_is_rejected_and_the_others_are_processed(player):
	known = bank_questions()[:2]
	result = submit(player, answers(questions=[known[0], "no such question", known[1], "nor this"]))
	assert (result["status"], result["processed"]) == ("success", 2)
	assert [r["question_id"] for r in result["rejected"]] == ["no such question", "nor this"]
	assert all(r["reason"] for r in result["rejected"])
	assert result["schedule"].keys() == set(known)
	assert {row.question_id for row in state.journal(player)} == set(known)


def test_nothing_is_stored_when_every_question_is_rejected(player):
	with state.nothing_changes():
		result = submit(player, answers(questions=["nope", "neither"]))
	assert (result["status"], result["processed"], result["schedule"]) == ("success", 0, {})
	assert [r["question_id"] for r in result["rejected"]] == ["nope", "neither"]
	assert result["persistence_job_id"] is None


@pytest.mark.parametrize("change", [str.upper, "{} ".format])
def test_a_question_id_is_taken_literally(player, change):
	"""MariaDB's collation takes these for the question; a second record of it would never be asked right."""
	question_id = change(bank_questions()[0])
	with state.nothing_changes():
		result = submit(player, answers(questions=[question_id]))
	assert [r["question_id"] for r in result["rejected"]] == [question_id]


def test_a_question_of_anothers_schedule_is_unknown(player):
	make_records(make_learner().name, question_ids=["hers"], is_known=False)
	result = submit(player, answers(questions=["hers"]))
	assert [r["question_id"] for r in result["rejected"]] == ["hers"]


def test_answers_change_nothing_of_another_learner(player, season):
	other = make_learner().name
	make_records(other, 3)
	read(other)
	before = (state.tracker(other), state.cached(other, season))
	make_records(player, 3)
	submit(player, answers(3))
	fold(state.outbox(player)[0].name)
	assert (state.tracker(other), state.cached(other, season)) == before
	assert state.journal(other) == []


def test_a_second_answer_builds_on_the_first_before_it_is_folded(player):
	with days_ago(1):
		submit(player, answers(1))
	submit(player, answers(1, quality=1))
	first, second = sorted(state.journal(player), key=lambda row: row.reviewed_at)
	assert (first.kind, second.kind) == ("Learn", "Review")
	assert second.stability_before == first.stability_after
	for row in state.outbox(player):
		fold(row.name)
	(tracked,) = state.tracker(player).values()
	assert (tracked.reps, tracked.lapses) == (2, 1)


def test_folds_in_the_wrong_order_lead_to_the_same(player):
	for days, quality in ((2, 4), (1, 1), (0, 5)):
		with days_ago(days):
			submit(player, answers(2, quality=quality))
	expected = state.scores(player, read(player)["season"])
	for row in sorted(state.outbox(player), key=lambda row: row.creation, reverse=True):
		fold(row.name)
	assert state.scores(player, read(player)["season"]) == expected
	assert {row.reps for row in state.tracker(player).values()} == {3}


def test_an_answer_older_than_the_last_one_is_journalled_and_moves_nothing(player, season):
	"""A clock was set back, or a fold of a later answer came first."""
	(record,) = make_records(
		player,
		reps=4,
		last_review_date=site_now() + timedelta(hours=1),
		next_review_date=site_now() - timedelta(minutes=1),
	)
	result = submit(player, answers(1, quality=0))
	assert result["schedule"] == {record.question_id: str(record.next_review_date)}
	for row in state.outbox(player):
		fold(row.name)
	(tracked,) = state.tracker(player).values()
	assert (tracked.reps, tracked.stability) == (4, record.stability)
	(row,) = state.journal(player)
	assert row.rating == "Again"
	assert row.next_review_date_after == record.next_review_date


def test_due_dates_are_the_start_of_a_learning_day_on_the_wall_of_the_site(player):
	result = submit(player, answers(5))
	dues = [datetime.fromisoformat(due) for due in result["schedule"].values()]
	assert {due.time().isoformat() for due in dues} == {"04:00:00"}


def test_the_day_starts_when_the_settings_say(player):
	frappe.get_single("Memora Settings").update({"day_start_hour": 9}).save()
	frappe.db.commit()
	(due,) = submit(player, answers(1))["schedule"].values()
	assert datetime.fromisoformat(due).hour == 9


def test_no_date_goes_past_the_end_of_the_season(player, season):
	end = frappe.utils.getdate(frappe.utils.add_days(frappe.utils.getdate(), 5))
	frappe.db.set_value(SEASON, season, "end_date", end)
	frappe.db.commit()
	make_records(player, 3, stability=200)
	result = submit(player, answers(3, quality=5))
	assert {datetime.fromisoformat(due).date() for due in result["schedule"].values()} == {end}
