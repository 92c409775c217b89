"""The season changes while learners answer: each answer counts once, in the season it was given in."""

from datetime import timedelta

import frappe
import pytest

from memora.exceptions import NoActiveSeason, SeasonOver, SeasonStateError, SubmissionConflict, UnknownSeason
from memora.services.learning import submissions
from memora.services.store import journal as journal_store
from memora.services.store import tracker
from memora.services.store.submissions import write_submission
from tests.integration import state
from tests.integration.factories import bank_questions, make_records, make_season, site_now
from tests.integration.submitting import answers, submit
from tests.integration.test_budgets import counted
from tests.integration.test_submission_repeats import fold_all

SEASON = "Game Subscription Season"
JOURNAL = "Player Review Log"


@pytest.fixture
def next_season() -> str:
	return make_season().name


def set_active(name: str, is_active: int) -> None:
	frappe.get_doc(SEASON, name).update({"is_active": is_active}).save()
	frappe.db.commit()


def change_to(old: str, new: str) -> None:
	set_active(old, 0)
	set_active(new, 1)


def give(player: str, season: str, submission_id: str | None = None, **more):
	return submissions.submit(player, answers(1, **more), submission_id, season)


def journal(player: str) -> list[tuple[str, str]]:
	return [(row.season, row.kind) for row in state.rows(JOURNAL) if row.player == player]


# The same submission again


@pytest.mark.parametrize("is_folded", [False, True], ids=["waiting", "folded"])
def test_a_repeat_in_the_next_season_answers_the_first_result(player, season, next_season, is_folded):
	first = submit(player, answers(2), "s-1")
	if is_folded:
		fold_all(player)
	change_to(season, next_season)
	again = submit(player, answers(2), "s-1")
	assert again["status"] == "already_processed"
	same = ("processed", "season", "schedule", "answers")
	assert {key: again[key] for key in same} == {key: first[key] for key in same}
	assert journal(player) == [(season, "Learn")] * 2


def test_a_repeat_is_known_between_two_seasons_and_of_a_season_that_is_archived(player, season, next_season):
	submit(player, answers(1), "s-1")
	fold_all(player)
	set_active(season, 0)
	assert submit(player, answers(1), "s-1")["status"] == "already_processed"
	frappe.db.set_value(SEASON, season, {"archive_started_at": site_now(), "archived_at": site_now()})
	set_active(next_season, 1)
	for named in (None, season, next_season):
		again = give(player, named, "s-1")
		assert (again["status"], again["season"]) == ("already_processed", season)
	assert journal(player) == [(season, "Learn")]


def test_other_answers_under_an_id_of_the_season_before_are_a_conflict(player, season, next_season):
	submit(player, answers(1), "s-1")
	change_to(season, next_season)
	with pytest.raises(SubmissionConflict, match="s-1"):
		submit(player, answers(1, quality=1), "s-1")
	assert journal(player) == [(season, "Learn")]


def test_looking_into_all_seasons_costs_one_query(player, season, next_season):
	make_records(player, 21)
	submit(player, answers(1), "s-1")
	costs = []
	for submission_id, questions in ((None, bank_questions()[1:11]), ("s-2", bank_questions()[11:21])):
		with counted() as queries:
			assert submit(player, answers(questions=questions), submission_id)["processed"] == 10
		costs.append(queries.total)
	assert costs[1] - costs[0] == 1


def test_a_process_that_has_just_begun_finds_what_the_season_before_has_stored(player, season, next_season):
	submit(player, answers(1), "s-1")
	change_to(season, next_season)
	journal_store._seasons.clear()
	assert submit(player, answers(1), "s-1")["season"] == season


# Answers that come late


def test_answers_of_the_season_before_count_where_they_were_given(player, season, next_season):
	make_records(player, 1)
	change_to(season, next_season)
	result = give(player, season, "s-1")
	assert (result["status"], result["season"], result["processed"]) == ("success", season, 1)
	fold_all(player)
	record = tracker.get_all_records(player, season)[bank_questions()[0]]
	assert record.reps == 2
	assert result["schedule"] == {record.question_id: str(record.next_review_date)}
	assert tracker.get_all_records(player, next_season) == {}
	assert journal(player) == [(season, "Review")]


def test_answers_that_name_no_season_belong_to_the_active_one(player, season, next_season):
	make_records(player, 1)
	change_to(season, next_season)
	assert submit(player, answers(1))["season"] == next_season
	assert journal(player) == [(next_season, "Learn")]


def test_between_two_seasons_answers_of_the_last_one_count(player, season):
	set_active(season, 0)
	with state.nothing_changes(), pytest.raises(NoActiveSeason):
		submit(player, answers(1))
	# closed by the document, so the season says so itself, although it has no answer yet
	assert give(player, season)["season"] == season


@pytest.mark.parametrize("days", [0, 3])
def test_after_the_time_of_grace_they_are_refused_by_name(player, season, next_season, days):
	frappe.get_single("Memora Settings").update({"grace_days": days}).save()
	change_to(season, next_season)
	if days:
		assert give(player, season, "s-1")["processed"] == 1
	closed_at = site_now() - timedelta(days=days, seconds=1)
	frappe.db.set_value(SEASON, season, "closed_at", closed_at)
	frappe.db.commit()
	with state.nothing_changes(), pytest.raises(SeasonOver) as caught:
		give(player, season, "s-2")
	assert caught.value.http_status_code == 409
	assert season in str(caught.value)
	assert frappe.utils.formatdate(closed_at) in str(caught.value)
	if days:
		assert give(player, season, "s-1")["status"] == "already_processed"


def test_once_archiving_has_begun_they_are_refused(player, season, next_season):
	change_to(season, next_season)
	frappe.db.set_value(SEASON, season, "archive_started_at", site_now())
	frappe.db.commit()
	with state.nothing_changes(), pytest.raises(SeasonOver, match="archived"):
		give(player, season)


def test_archiving_that_begins_while_they_are_stored_refuses_them(player, season, next_season):
	"""The first look may be out of date by then: the statement that stores them looks again."""
	change_to(season, next_season)
	frappe.db.set_value(SEASON, season, "archive_started_at", site_now())
	frappe.db.commit()
	with pytest.raises(SeasonStateError, match="takes no answers"):
		write_submission(player, season, "s-1", [], [], site_now(), grace_days=14)
	frappe.db.rollback()


def test_a_season_that_was_never_open_takes_none(player, season, next_season):
	with state.nothing_changes(), pytest.raises(SeasonStateError, match="not open"):
		give(player, next_season)
	with state.nothing_changes(), pytest.raises(UnknownSeason, match="nowhere"):
		give(player, "nowhere")


def test_a_season_says_since_when_it_is_closed(season):
	before = site_now()
	set_active(season, 0)
	closed_at = frappe.db.get_value(SEASON, season, "closed_at")
	assert before <= closed_at <= site_now()
	document = frappe.get_doc(SEASON, season)
	document.closed_at = None
	document.save()
	assert document.closed_at == closed_at
	set_active(season, 1)
	assert frappe.db.get_value(SEASON, season, "closed_at") is None


def test_a_season_that_was_closed_beside_its_document_is_closed_since_somebody_asked(player, season):
	make_records(player, 1)
	frappe.db.set_value(SEASON, season, "is_active", 0)
	frappe.db.commit()
	before = site_now()
	assert give(player, season)["processed"] == 1
	assert frappe.db.get_value(SEASON, season, "closed_at") >= before
