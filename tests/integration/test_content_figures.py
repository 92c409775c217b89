"""Figures and reports say what is asked now, under the present names of subjects."""

import frappe
import pytest

from memora.services.figures import activity, activity_rebuild, due_forecast, survey
from memora.services.learning import content_changes
from tests.integration.factories import (
	make_questions,
	make_record,
	make_records,
	make_waiting_submission,
	site_now,
)
from tests.integration.folding import drain
from tests.integration.submitting import answers, days_ago, read, submit
from tests.integration.test_content import ASTRO, GEO, SUBJECT, commit, disable


@pytest.fixture
def due(player) -> list[str]:
	"""Ten due questions of one subject, forgotten again and again."""
	names = make_questions(10, subject=GEO, topic="T")
	make_records(player, question_ids=names, subject=GEO, topic="Geo: T", lapses=9)
	return names


def rename(old: str, new: str, merge: bool = False) -> None:
	commit(lambda: frappe.rename_doc(SUBJECT, old, new, merge=merge, force=True))


def by_subject(season: str) -> dict[str, int]:
	"""Answers of today by subject, once all that waits is added up."""
	drain()
	activity.sum_up()
	today = activity.site_time.learning_day()
	return {subject: counts.answers for subject, counts in activity.by_subject(season, today, today).items()}


def stored_subjects() -> list[str]:
	return sorted(frappe.get_all("Daily Activity Subject", pluck="subject"))


@pytest.mark.parametrize("where", ["waiting", "folded", "added up"])
def test_figures_follow_the_name_of_a_subject(player, season, due, where):
	submit(player, answers(questions=due[:3]))
	if where != "waiting":
		drain()
	if where == "added up":
		activity.sum_up()
	rename(GEO, "Geography")
	submit(player, answers(questions=due[3:5]))
	assert by_subject(season) == {"Geography": 5}
	assert stored_subjects() == ["Geography"]


def test_figures_of_subjects_that_are_merged_are_added(player, season, due):
	others = make_questions(4, subject=ASTRO, topic="T")
	submit(player, answers(questions=[*due[:3], *others[:1]]))
	assert by_subject(season) == {ASTRO: 1, GEO: 3}
	submit(player, answers(questions=due[3:5]))
	rename(GEO, ASTRO, merge=True)
	assert by_subject(season) == {ASTRO: 6}
	assert stored_subjects() == [ASTRO]


def test_renamed_twice_and_back(player, season, due):
	for number, (old, new) in enumerate([(GEO, "Geography"), ("Geography", "Earth"), ("Earth", GEO)]):
		submit(player, answers(questions=[due[number]]))
		rename(old, new)
	submit(player, answers(questions=[due[3]]))
	assert by_subject(season) == {GEO: 4}


def test_a_new_subject_of_a_former_name_has_figures_of_its_own(player, season, due):
	submit(player, answers(questions=due[:3]))
	assert by_subject(season) == {GEO: 3}
	rename(GEO, "Geography")
	submit(player, answers(questions=make_questions(2, subject=GEO, topic="New")))
	assert by_subject(season) == {GEO: 2, "Geography": 3}


def test_counted_again_the_days_have_the_present_names(player, season, due):
	with days_ago(1):
		submit(player, answers(questions=due[:3]))
	by_subject(season)
	rename(GEO, "Geography")
	activity_rebuild.rebuild_activity(season)
	assert stored_subjects() == ["Geography"]


def test_a_host_app_tells_of_a_subjects_name(player, season, due):
	submit(player, answers(questions=due[:2]))
	commit(lambda: content_changes.note_subject_rename(GEO, "Hers"))
	assert by_subject(season) == {"Hers": 2}


def test_leeches_are_what_is_asked_under_its_present_subject(player, season, due):
	commit(lambda: disable(due[0]))
	rename(GEO, "Geography")
	found = survey.find_leeches(season)
	assert (found.by_subject, {row.subject for row in found.rows}) == ({"Geography": 9}, {"Geography"})
	assert len(survey.find_leeches(season, subject="geography").rows) == 9
	assert not survey.find_leeches(season, subject=GEO).rows


def test_the_overview_counts_as_due_what_is_asked(player, season, due):
	commit(lambda: disable(due[0]))
	(row,) = survey.survey_learners(season).rows
	assert (row.questions, row.due) == (10, 9)


def test_the_forecast_leaves_out_what_is_withdrawn(player, season, due):
	due_forecast.compute_daily_forecast()
	assert frappe.db.get_value("Due Forecast", season, "records") == 10
	commit(lambda: disable(due[0]))
	due_forecast.compute_daily_forecast()
	forecast = due_forecast.get_forecast(season)
	assert forecast.records == 9
	before = forecast.computed_at
	due_forecast.compute_daily_forecast()
	assert due_forecast.get_forecast(season).computed_at == before  # nothing has changed


@pytest.mark.parametrize("place", ["folded", "waiting"])
def test_the_subject_is_the_same_in_either_case(player, season, due, place):
	if place == "waiting":
		records = [make_record(q, subject=GEO, reps=3, next_review_date=site_now()) for q in due[:3]]
		make_waiting_submission(player, season, *records)
	assert {read(player, subject)["total_due"] for subject in (GEO, GEO.lower(), GEO.upper())} == {10}
