"""A season carries on from another: what learners know from there starts with that memory."""

from dataclasses import replace
from datetime import timedelta

import frappe
import pytest

from memora.services.figures.memory_view import get_memory_view
from memora.services.learning import lessons
from memora.services.learning.answers import Response
from memora.services.operations import switching
from memora.services.operations.replay import replay_season
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import earlier_records, row_names, seasons, swap, tracker
from memora.services.store.records import MemoryRecord
from tests.integration import state
from tests.integration.choices import keys_of, make_choice
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.submitting import answers, days_ago, submit
from tests.integration.test_budgets import counted
from tests.integration.test_submission_repeats import fold_all

SEASON, JOURNAL, DAILY = "Game Subscription Season", "Player Review Log", "Daily Activity"
KNOWN, NEW = bank_questions()[:2]


@pytest.fixture
def following(season) -> str:
	"""The active season, which carries on from the season before."""
	following = make_season(carries_on_from=season).name
	switching.switch_season(following)
	return following


def make_known(player: str, season: str, **values) -> MemoryRecord:
	"""A record of a question that was reviewed 30 days ago, and has been well known since."""
	defaults = {"stability": 80.0, "difficulty": 4.0, "reps": 7, "lapses": 2, "question_ids": [KNOWN]}
	return make_records(player, season=season, **{**defaults, **values})[0]


def lesson(player: str, **more) -> dict:
	frappe.db.rollback()
	return lessons.read_lesson(player, None, "Bank Geography", 2, preview=True, **more)


def stored(player: str, season: str) -> MemoryRecord:
	frappe.db.rollback()
	return tracker.get_all_records(player, season)[KNOWN]


def archive(season: str) -> None:
	frappe.db.set_value(SEASON, season, "end_date", frappe.utils.add_days(site_now().date(), -1))
	frappe.db.commit()
	assert SRSArchiver().archive_season(season)["success"]


@pytest.mark.parametrize("is_archived", [False, True], ids=["live", "archived"])
@pytest.mark.parametrize("quality", [1, 4], ids=["forgotten", "recalled"])
def test_the_first_answer_goes_on_from_the_memory_of_the_season_before(
	player, season, following, is_archived, quality
):
	before = make_known(player, season)
	if is_archived:
		archive(season)
	result = submit(player, answers(quality=quality))
	fold_all(player)
	record = stored(player, following)
	assert (record.reps, record.lapses) == (1, 0)
	assert str(record.next_review_date) == result["schedule"][KNOWN]
	assert record.difficulty != before.difficulty
	assert (record.stability > 100) if quality == 4 else (2 < record.stability < before.stability)
	entry = next(row for row in state.rows(JOURNAL) if row.season == following)
	assert entry.kind == "Learn"
	assert (entry.stability_before, entry.difficulty_before) == (before.stability, before.difficulty)
	assert 0.8 < entry.predicted_recall < 1
	report = replay_season(following)
	assert (report.differences, report.newer, report.from_before) == (0, 0, 0)
	assert [row.reviews for row in state.rows(DAILY)] in ([], [0])


def test_a_question_that_she_does_not_know_starts_as_ever(player, season, following):
	make_known(player, season)
	submit(player, answers(questions=[NEW]))
	entry = next(row for row in state.rows(JOURNAL) if row.question_id == NEW)
	assert (entry.kind, entry.stability_before, entry.predicted_recall) == ("Learn", 0, 0)


def test_without_a_season_to_carry_on_from_every_question_is_new(player, season):
	make_known(player, season)
	switching.switch_season(make_season().name)
	assert [question["known"] for question in lesson(player)["questions"]] == [False, False]
	submit(player, answers())
	assert state.rows(JOURNAL)[0].predicted_recall == 0


def test_the_nearest_season_that_knows_the_question_counts(player, season):
	middle = make_season(carries_on_from=season).name
	last = make_season(carries_on_from=middle).name
	make_known(player, season, stability=10.0)
	switching.switch_season(last)
	assert lesson(player)["questions"][0]["known"]
	make_known(player, middle, stability=90.0)
	submit(player, answers())
	assert state.rows(JOURNAL)[0].stability_before == 90


def test_what_is_not_folded_yet_counts(player, season):
	old = make_known(player, season, stability=10.0)
	newer = replace(old, stability=50.0, reps=old.reps + 1)
	make_waiting_submission(player, season, newer)
	switching.switch_season(make_season(carries_on_from=season).name)
	submit(player, answers())
	assert [row.stability_before for row in state.rows(JOURNAL)] == [50]


def test_what_is_on_its_way_to_the_archive_counts(player, season, following):
	make_known(player, season)
	frappe.db.set_value(SEASON, season, "archive_started_at", site_now())
	frappe.db.commit()
	assert lesson(player)["questions"][0]["known"]  # the run has not come so far
	frappe.db.rollback()
	swap.take_out(season)
	assert lesson(player)["questions"][0]["known"]
	frappe.db.rollback()
	swap.put_in(season, site_now(), lambda rows: None)
	assert lesson(player)["questions"][0]["known"]


@pytest.mark.parametrize("place", ["tracker", "on its way", "archive"])
def test_nothing_of_others_and_nothing_of_other_seasons_counts(player, season, place):
	other, past, unrelated = make_learner().name, make_season().name, make_season().name
	known = make_known(player, past, stability=10.0)
	for who, where in ((other, past), (player, unrelated)):
		newer = [replace(known, question_id=q, stability=90.0, reps=9) for q in (KNOWN, NEW)]
		make_known(who, where, question_ids=[KNOWN, NEW], reps=9)
		frappe.db.set_value(SEASON, where, "is_active", 1)  # until that is sent
		make_waiting_submission(who, where, *newer)
		frappe.db.set_value(SEASON, where, "is_active", 0)
	frappe.db.set_value(SEASON, unrelated, "archive_started_at", site_now())  # which concerns nobody here
	frappe.db.commit()
	if place != "tracker":
		swap.take_out(past)
		frappe.db.set_value(SEASON, past, "archive_started_at", site_now())
	if place == "archive":
		swap.put_in(past, site_now(), lambda rows: None)
		frappe.db.set_value(SEASON, past, "archived_at", site_now())
	frappe.db.commit()
	with counted() as queries:
		found = earlier_records.get_earlier(player, [past, season], [NEW, KNOWN])
	assert {question: record.stability for question, record in found.items()} == {KNOWN: 10.0}
	assert queries.total == (1 if place != "on its way" else 2)


def test_a_lesson_says_what_is_known_and_previews_what_an_answer_leads_to(player, season, following):
	make_known(player, season)
	first, second = lesson(player)["questions"]
	assert (first["question_id"], first["known"], second["known"]) == (KNOWN, True, False)
	assert first["preview"]["Good"]["interval_days"] > 60 > second["preview"]["Good"]["interval_days"]
	result = submit(player, answers())
	assert result["schedule"][KNOWN] == first["preview"]["Good"]["next_review_date"]


@pytest.mark.parametrize(("days", "graded_by"), [(0, "Learner"), (30, "Server")])
def test_what_was_told_today_in_the_season_before_is_not_counted_as_graded(
	player, season, following, days, graded_by
):
	question = make_choice()
	make_known(player, season, question_ids=[question], last_review_date=site_now() - timedelta(days=days))
	result = submit(player, [Response(question, chosen=keys_of(question)["Paris"])])
	assert result["answers"][question]["graded_by"] == graded_by


def test_what_is_known_counts_as_new_for_the_day(player, season, following):
	make_known(player, season)
	left = lesson(player)["new_left_today"]
	submit(player, answers())
	assert lesson(player)["new_left_today"] == left - 1


def test_the_second_answer_is_a_review_of_this_season(player, season, following):
	make_known(player, season, last_review_date=site_now() - timedelta(days=90))
	with days_ago(20):
		submit(player, answers())
	submit(player, answers(quality=1))
	fold_all(player)
	record = stored(player, following)
	assert (record.reps, record.lapses) == (2, 1)
	assert [row.kind for row in sorted(state.rows(JOURNAL), key=lambda row: row.reviewed_at)] == [
		"Learn",
		"Review",
	]
	assert replay_season(following).differences == 0
	view = get_memory_view("Player Memory Tracker", row_names.tracker_name(player, following, KNOWN))
	assert [answer["predicted_recall"] is None for answer in view["history"]] == [False, False]


def test_looking_back_costs_one_query_where_there_are_new_questions_and_none_else(player, season, following):
	make_known(player, season, question_ids=bank_questions()[:10])
	make_known(player, following, question_ids=bank_questions()[10:20])

	def cost_of(action) -> int:
		"""The lower of two: what a process keeps for some seconds may have to be read anew once."""
		costs = []
		for _ in range(2):
			with counted() as queries:
				action()
			costs.append(queries.total)
			take_back()
		return min(costs)

	def costs() -> list[int]:
		active = seasons.get_active_season()
		known, new = (lambda qs=qs: submit(player, answers(questions=qs)) for qs in (bank[10:20], bank[:10]))
		return [cost_of(known), cost_of(new), cost_of(lambda: lesson(player, season=active))]

	bank = bank_questions()
	looking = costs()
	frappe.get_doc(SEASON, following).update({"carries_on_from": None}).save()
	frappe.db.commit()
	assert [one - other for one, other in zip(looking, costs(), strict=True)] == [0, 1, 1]


def take_back() -> None:
	"""As if nobody had answered."""
	frappe.db.sql("DELETE FROM `tabReview Outbox`")
	frappe.db.sql("DELETE FROM `tabPlayer Review Log`")
	frappe.db.commit()
