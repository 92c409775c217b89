"""The tracker, rebuilt from the journal: no difference after real answers, any damage found and mended."""

import json

import frappe
import pytest

from memora.exceptions import SeasonStateError
from memora.services.cache import loading
from memora.services.folding import folds
from memora.services.learning import submissions
from memora.services.learning.answers import Response
from memora.services.operations import replay as service
from memora.services.operations.replay import replay_season
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import journal as journal_store
from tests.integration import bench_commands, factories
from tests.integration.connections import raw_connection
from tests.integration.state import cached, is_loaded, rows, scores, tracker
from tests.integration.submitting import days_ago

QUESTIONS = 4
ROUNDS = 3  # each question is answered so often

SET_SQL = "UPDATE `tabPlayer Memory Tracker` SET {} = %s WHERE player = %s AND question_id = %s"


@pytest.fixture
def questions() -> list[str]:
	return factories.bank_questions()[:QUESTIONS]


@pytest.fixture
def answered(player, questions) -> str:
	"""A learner whose answers are all in the tracker; her schedule is cached."""
	for days, quality in ((2, 1), (1, 4), (0, 0))[:ROUNDS]:
		with days_ago(days):
			submit(player, {question: quality for question in questions})
	fold()
	loading.load_due(SRSRedisManager().schedules, player, factories.STANDING_SEASON)
	return player


def submit(player: str, answers: dict[str, int]) -> None:
	submissions.submit(player, [Response(q, quality) for q, quality in answers.items()])


def fold() -> None:
	folds.drain(factories.site_now())
	frappe.db.commit()


def replay(season: str, *options: str) -> tuple[int, dict]:
	"""(exit code, report) of the bench command."""
	args = ["--site", frappe.local.site, "memora", "replay", "--season", season, "--json", *options]
	done = bench_commands.run(*args)
	assert done.stdout, done.stderr
	return done.exit_code, json.loads(done.stdout)


def damage(player: str, question: str, column: str, value: object) -> None:
	frappe.db.sql(SET_SQL.format(column), (value, player, question))
	frappe.db.commit()


def test_answers_and_folds_leave_no_difference(answered, season, questions):
	report = replay_season(season)
	assert (report.learners, report.answers, report.questions) == (1, ROUNDS * QUESTIONS, QUESTIONS)
	assert (report.differences, report.unjournalled, report.repaired) == (0, 0, 0)


def test_what_waits_in_the_outbox_counts(answered, season, questions):
	submit(answered, {questions[0]: 5})
	assert replay_season(season).differences == 0


def test_answers_of_many_days_count(player, season, questions):
	for days in range(12, 0, -1):
		with days_ago(days):
			submit(player, {questions[0]: 4})
	fold()
	assert tracker(player)[questions[0]].reps == 12
	assert replay_season(season).differences == 0


def test_an_answer_that_came_too_late_counts_no_repetition(player, season, questions):
	"""The journal has it, but it changed no record. A repair counts it no more than the answer itself did."""
	with days_ago(3):
		submit(player, dict.fromkeys(questions, 4))
	submit(player, dict.fromkeys(questions, 4))
	with days_ago(1):
		submit(player, {questions[0]: 0})
	fold()
	# Today such an answer is practice. Journals of earlier versions have it as a review, without a recall.
	late = {"kind": "Practice", "question_id": questions[0]}
	assert [row.predicted_recall for row in rows("Player Review Log", **late)] == [0]
	frappe.db.sql("UPDATE `tabPlayer Review Log` SET kind = 'Review' WHERE kind = 'Practice'")
	frappe.db.commit()
	before = tracker(player)
	assert replay_season(season).differences == 0
	damage(player, questions[0], "reps", 1)
	damage(player, questions[0], "lapses", 1)
	assert replay_season(season, repair=True).repaired == 1
	assert tracker(player) == before


@pytest.mark.parametrize("page_rows", [1, 3, ROUNDS * QUESTIONS, 5000])
def test_the_journal_is_read_in_pages_of_any_size(answered, season, questions, monkeypatch, page_rows):
	other = factories.make_learner().name
	submit(other, dict.fromkeys(questions, 4))
	fold()
	monkeypatch.setattr(journal_store, "PAGE_ROWS", page_rows)
	read = [(learner, e.question_id, e.reviewed_at) for learner, e in journal_store.iterate_journal(season)]
	stored = [(r.player, r.question_id, r.reviewed_at) for r in rows("Player Review Log")]
	assert read == stored
	assert list(journal_store.journal_by_learner(season, other)) == [
		(other, [e for learner, e in journal_store.iterate_journal(season) if learner == other])
	]
	assert (replay_season(season).learners, replay_season(season).differences) == (2, 0)


def test_each_page_of_the_journal_shows_what_was_committed_by_then(answered, season, monkeypatch):
	"""A walk through a whole season is no single transaction: partitions could not be made meanwhile."""
	monkeypatch.setattr(journal_store, "PAGE_ROWS", 1)
	walk = journal_store.iterate_journal(season)
	next(walk)
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		cursor.execute("UPDATE `tabPlayer Review Log` SET quality = 5")
	assert {entry.quality for _learner, entry in walk} == {5}


def test_one_learner(answered, season, questions):
	other = factories.make_learner().name
	submit(other, {questions[0]: 4})
	fold()
	damage(other, questions[0], "stability", 7)
	assert replay_season(season, answered).differences == 0
	assert replay_season(season, other).differences == 1
	assert replay_season(season).learners == 2


DAMAGE = {
	"stability": 99.5,
	"difficulty": 9.5,
	"state": "Learning",
	"reps": 2,
	"lapses": 17,
	"next_review_date": "2026-01-01 04:00:00",
	"last_review_date": "2026-01-01 05:00:00.123456",
	"creation": "2099-01-01 05:00:00",
}


@pytest.mark.parametrize("column", DAMAGE)
def test_a_damaged_value_is_found_and_mended(answered, season, questions, column):
	before = tracker(answered)
	damage(answered, questions[1], column, DAMAGE[column])
	report = replay_season(season)
	assert (report.differences, report.repaired) == (1, 0)
	assert f"{questions[1]}: {column} is" in report.examples[0]
	assert replay_season(season, repair=True).repaired == 1
	assert tracker(answered) == before
	assert replay_season(season).differences == 0


def test_a_missing_row_is_found_and_mended(answered, season, questions):
	before = tracker(answered)
	frappe.db.delete("Player Memory Tracker", {"player": answered, "question_id": questions[2]})
	frappe.db.commit()
	report = replay_season(season)
	assert report.differences == 1
	assert report.examples == [f"{answered}, {questions[2]}: is not in the tracker"]
	replay_season(season, repair=True)
	assert tracker(answered) == before


def test_a_whole_tracker_is_rebuilt(answered, season, questions):
	before = tracker(answered)
	frappe.db.delete("Player Memory Tracker", {"season": season})
	frappe.db.commit()
	assert replay_season(season, repair=True).repaired == QUESTIONS
	assert tracker(answered) == before


def test_a_repair_drops_the_cached_schedule(answered, season, questions):
	assert is_loaded(answered, season)
	damage(answered, questions[0], "next_review_date", "2026-01-01 04:00:00")
	replay_season(season)
	assert is_loaded(answered, season)
	replay_season(season, repair=True)
	assert not is_loaded(answered, season)
	loading.load_due(SRSRedisManager().schedules, answered, season)
	assert cached(answered, season) == scores(answered, season)


def test_a_repair_leaves_a_season_alone_that_is_being_archived(answered, season, questions):
	damage(answered, questions[0], "stability", 55)
	before = tracker(answered)
	frappe.db.set_value("Game Subscription Season", season, "archive_started_at", factories.site_now())
	frappe.db.commit()
	with pytest.raises(SeasonStateError, match=season):
		replay_season(season, repair=True)
	assert tracker(answered) == before


def test_rows_that_no_answer_explains_stay(answered, season, questions):
	other = factories.bank_questions()[QUESTIONS]
	factories.make_records(answered, question_ids=[other])
	before = tracker(answered)
	report = replay_season(season, repair=True)
	assert (report.unjournalled, report.differences, report.repaired) == (1, 0, 0)
	assert tracker(answered) == before


def test_a_repair_keeps_what_the_journal_does_not_settle(answered, season, questions):
	damage(answered, questions[0], "topic", "A topic of long ago")
	damage(answered, questions[0], "stability", 55)
	replay_season(season, repair=True)
	assert tracker(answered)[questions[0]].topic == "A topic of long ago"


def test_answers_given_while_it_runs_are_no_differences(answered, season, questions, monkeypatch):
	"""She answers between the look at her journal and the look at her tracker."""
	check = service._check

	def answering(player, entries, report):
		submit(player, {questions[0]: 4})
		check(player, entries, report)

	monkeypatch.setattr(service, "_check", answering)
	assert replay_season(season).differences == 0


def test_the_command_exits_with_1_until_all_is_mended(answered, season, questions):
	damage(answered, questions[0], "stability", 77.5)
	code, report = replay(season)
	assert (code, report["differences"], report["repaired"]) == (1, 1, 0)
	code, report = replay(season, "--learner", answered, "--repair")
	assert (code, report["differences"], report["repaired"]) == (0, 1, 1)
	code, report = replay(season)
	assert (code, report["differences"], report["answers"]) == (0, 0, ROUNDS * QUESTIONS)
