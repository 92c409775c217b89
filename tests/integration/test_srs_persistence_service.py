"""SRSPersistenceService as in the seeds, for callers that schedule on their own."""

from datetime import datetime, timedelta

import frappe
import pytest
from frappe.utils import background_jobs

from memora.exceptions import JournalUnavailable
from memora.services.figures.activity import sum_up
from memora.services.figures.activity_rebuild import rebuild_activity
from memora.services.folding.folds import drain, fold
from memora.services.learning import plain_names
from memora.services.srs_persistence import SRSPersistenceService, persist_review_batch
from memora.services.store import database, row_names
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_learner, make_records, make_season, site_now
from tests.integration.submitting import answers, days_ago, read, submit
from tests.integration.test_submission_repeats import lock_name
from tests.integration.waiting import wait_until

WAITING_SQL = """
	SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User lock'"""
DUE = datetime(2026, 1, 21)
GOOD = {"question_id": "q-123", "new_stability": 2.5, "new_next_review_date": DUE}
BAD = {
	"no question": {"new_stability": 2.5, "new_next_review_date": DUE},
	"question null": {**GOOD, "question_id": None},
	"question empty": {**GOOD, "question_id": ""},
	"question a number": {**GOOD, "question_id": 7},
	"question a formula": {**GOOD, "question_id": "=1+1"},
	"no stability": {"question_id": "q-1", "new_next_review_date": DUE},
	"stability zero": {**GOOD, "new_stability": 0},
	"stability negative": {**GOOD, "new_stability": -1},
	"stability NaN": {**GOOD, "new_stability": float("nan")},
	"stability infinite": {**GOOD, "new_stability": float("inf")},
	"stability a word": {**GOOD, "new_stability": "long"},
	"no date": {"question_id": "q-1", "new_stability": 2.5},
	"date null": {**GOOD, "new_next_review_date": None},
	"date a word": {**GOOD, "new_next_review_date": "tomorrow"},
	"a text": "q-1",
	"null": None,
}


@pytest.fixture
def service() -> SRSPersistenceService:
	return SRSPersistenceService()


def test_the_example_of_the_seeds():
	player = make_learner(name="user@learners.example").name
	make_season(season_name="2024-2025")
	service = SRSPersistenceService()
	responses = [
		{
			"question_id": "q-123",
			"new_stability": 2.5,
			"new_next_review_date": datetime(2026, 1, 21),
			"subject": "mathematics",
			"topic": "algebra",
		}
	]
	result = service.persist_review_batch(
		responses=responses, user="user@learners.example", season="2024-2025"
	)
	assert result == {"success": True, "processed_count": 1, "failed_count": 0, "errors": []}
	(row,) = state.rows("Player Memory Tracker")
	assert row.name == row_names.tracker_name(player, "2024-2025", "q-123")
	assert (row.player, row.season, row.question_id) == (player, "2024-2025", "q-123")
	assert (row.stability, row.next_review_date) == (2.5, datetime(2026, 1, 21))
	assert (row.subject, row.topic, row.reps) == ("mathematics", "algebra", 1)
	assert (row.lapses, row.state, row.creation) == (0, "Review", row.last_review_date)


def test_dates_may_be_texts(service, player, season):
	service.persist_review_batch([{**GOOD, "new_next_review_date": "2026-01-21 04:00:00"}], player, season)
	assert state.tracker(player)["q-123"].next_review_date == datetime(2026, 1, 21, 4)


def test_a_stability_of_less_than_a_day_is_stored(service, player, season):
	assert service.persist_review_batch([{**GOOD, "new_stability": 0.25}], player, season)["success"]
	assert state.tracker(player)["q-123"].stability == 0.25


def test_a_known_question_is_updated(service, player, season):
	(before,) = make_records(player, reps=3, lapses=1, difficulty=6.5)
	response = {"question_id": before.question_id, "new_stability": 40.0, "new_next_review_date": DUE}
	assert service.persist_review_batch([response], player, season)["success"]
	(row,) = state.tracker(player).values()
	assert (row.stability, row.next_review_date, row.reps, row.lapses) == (40.0, DUE, 4, 1)
	assert (row.difficulty, row.subject, row.topic) == (6.5, before.subject, before.topic)
	assert row.creation == before.creation


def test_a_loaded_schedule_in_redis_follows(service, player, season):
	make_records(player, 2)
	read(player)
	service.persist_review_batch([GOOD], player, season)
	assert "q-123" in state.cached(player, season)
	assert state.cached(player, season) == state.scores(player, season)


def test_the_same_result_again_within_the_window_changes_nothing(service, player, season):
	service.persist_review_batch([GOOD], player, season)
	before = state.everything()
	again = service.persist_review_batch([GOOD], player, season)
	assert again["success"]
	assert state.everything() == before


def test_the_same_result_after_the_window_counts(service, player, season):
	service.persist_review_batch([GOOD], player, season)
	older = site_now() - timedelta(seconds=SRSPersistenceService.IDEMPOTENCY_WINDOW + 1)
	frappe.db.sql("UPDATE `tabPlayer Memory Tracker` SET last_review_date = %s", (older,))
	frappe.db.commit()
	service.persist_review_batch([GOOD], player, season)
	assert state.tracker(player)["q-123"].reps == 2


@pytest.mark.parametrize(
	"change",
	[{"new_stability": 2.6}, {"new_stability": 2.500001}, {"new_next_review_date": DUE + timedelta(days=1)}],
)
def test_another_result_within_the_window_is_never_skipped(service, player, season, change):
	service.persist_review_batch([GOOD], player, season)
	service.persist_review_batch([{**GOOD, **change}], player, season)
	row = state.tracker(player)["q-123"]
	assert row.reps == 2
	assert row.stability == change.get("new_stability", 2.5)
	assert row.next_review_date == change.get("new_next_review_date", DUE)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_result_that_can_not_be_read_is_counted_and_the_others_are_stored(service, player, season, bad):
	good = {**GOOD, "question_id": "q-9"}
	result = service.persist_review_batch([good, bad], player, season)
	assert (result["success"], result["processed_count"], result["failed_count"]) == (False, 1, 1)
	(error,) = result["errors"]
	assert "2" in error
	assert state.tracker(player).keys() == {"q-9"}


def test_results_wait_for_an_answer_of_hers(service, player, season, monkeypatch):
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(player),))
		with state.nothing_changes(), pytest.raises(JournalUnavailable):
			service.persist_review_batch([GOOD], player, season)


def test_archiving_that_begins_while_results_wait_refuses_them(service, player, season):
	def is_waiting() -> bool:
		frappe.db.rollback()
		return bool(frappe.db.sql(WAITING_SQL))

	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(player),))
		waiting = in_other_connection(lambda: service.persist_review_batch([GOOD], player, season))
		wait_until(is_waiting, "the results to wait")
		sql = "UPDATE `tabGame Subscription Season` SET archive_started_at = NOW() WHERE name = %s"
		cursor.execute(sql, (season,))
		connection.commit()
	assert not waiting.result(30)["success"]
	assert state.tracker(player) == {}


def test_nothing_to_persist(service, player, season):
	with state.nothing_changes():
		result = service.persist_review_batch([], player, season)
	assert result == {"success": True, "processed_count": 0, "failed_count": 0, "errors": []}


@pytest.mark.parametrize("user", ["nobody@learners.example", "", None])
def test_an_unknown_user_is_named(service, season, user):
	with state.nothing_changes():
		result = service.persist_review_batch([GOOD, GOOD], user, season)
	assert (result["success"], result["processed_count"], result["failed_count"]) == (False, 0, 2)
	assert str(user) in result["errors"][0]
	assert not frappe.local.message_log  # the result says it


@pytest.mark.parametrize("season", ["nowhere", "", None])
def test_an_unknown_season_is_named(service, player, season):
	with state.nothing_changes():
		result = service.persist_review_batch([GOOD], player, season)
	assert (result["success"], result["failed_count"]) == (False, 1)
	assert str(season) in result["errors"][0]


def test_users_and_seasons_are_taken_literally(service, player, season):
	with state.nothing_changes():
		assert not service.persist_review_batch([GOOD], player.upper(), season)["success"]
		assert not service.persist_review_batch([GOOD], player, season.lower())["success"]


def test_a_single_result(service, player, season):
	assert service.persist_single_review(GOOD, player, season) is True
	assert state.tracker(player).keys() == {"q-123"}
	with state.nothing_changes():
		assert service.persist_single_review({"question_id": "q-1"}, player, season) is False
		assert service.persist_single_review(GOOD, "nobody@learners.example", season) is False


def test_two_results_of_one_question_in_a_batch_leave_the_last(service, player, season):
	later = {**GOOD, "new_stability": 9.0}
	assert service.persist_review_batch([GOOD, later], player, season)["success"]
	assert state.tracker(player)["q-123"].stability == 9.0


def test_results_are_journalled_as_external(service, player, season):
	service.persist_review_batch([GOOD], player, season)
	service.persist_review_batch([{**GOOD, "new_stability": 9.0}], player, season)
	first, second = sorted(state.journal(player), key=lambda row: row.reviewed_at)
	for row in (first, second):
		assert (row.kind, row.source, row.quality, row.rating) == ("External", "External", 0, "")
		assert (row.response_time_ms, row.predicted_recall, row.graded_by) == (0, 0, "Learner")
		assert row.next_review_date_after == DUE
		assert not plain_names.is_submission_id(row.submission_id)  # no client can send it
	assert (first.stability_before, first.stability_after, first.next_review_date_before) == (0, 2.5, None)
	assert (second.stability_before, second.stability_after, second.next_review_date_before) == (2.5, 9, DUE)
	(record,) = state.tracker(player).values()
	assert (first.difficulty_before, second.difficulty_before) == (0, record.difficulty)
	assert (second.reviewed_at, second.difficulty_after) == (record.last_review_date, record.difficulty)


def test_results_are_no_answers_of_hers(service, player, season):
	with days_ago(2):
		submit(player, answers(1))
		service.persist_review_batch([GOOD], player, season)
	drain(site_now())
	frappe.db.commit()
	sum_up()
	before = state.activity()
	assert sum(counts[0] for counts in before.values()) == 1
	assert rebuild_activity(season).answers == 1
	assert state.activity() == before


def test_the_job_without_a_submission_does_the_same(player, season):
	result = persist_review_batch(responses=[GOOD], user=player, season=season)
	assert result == {"success": True, "processed_count": 1, "failed_count": 0, "errors": []}
	assert state.tracker(player).keys() == {"q-123"}


def test_the_status_of_a_job(service, player):
	result = submit(player, answers(1))
	job_id = result["persistence_job_id"]
	assert service.get_persistence_status(job_id)["status"] == "queued"
	fold(state.outbox(player)[0].name)
	assert service.get_persistence_status(job_id)["status"] == "finished"


def test_answers_that_wait_are_not_finished_whatever_their_job_is(service, player):
	result = submit(player, answers(1))
	(row,) = state.outbox(player)
	background_jobs.get_job(row.name).set_status("finished")
	assert service.get_persistence_status(result["persistence_job_id"])["status"] == "queued"
	background_jobs.get_job(row.name).set_status("failed")
	assert service.get_persistence_status(result["persistence_job_id"])["status"] == "failed"


@pytest.mark.parametrize("job_id", ["", "unknown", "site::unknown", "f" * 32])
def test_the_status_of_an_unknown_job(service, job_id):
	assert service.get_persistence_status(job_id) is None
