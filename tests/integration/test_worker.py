"""A real worker, which takes the jobs of submissions and folds them."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import frappe
import pytest
from rq.job import Job

from devtools import processes
from memora.services.folding import queueing
from memora.services.operations import write_queue
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import row_names
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records, make_season, site_now
from tests.integration.submitting import answers, as_sent, read, submit
from tests.integration.test_http import SUBMIT
from tests.integration.waiting import wait_until


@pytest.fixture(scope="module")
def worker(site):
	with processes.worker(["srs_write"]) as handle:
		yield handle


def wait_until_folded(*players: str) -> None:
	wait_until(lambda: not any(state.outbox(player) for player in players), "the outbox to be empty")


def test_a_worker_folds_what_was_answered(worker, player, season):
	make_records(player, 3)
	read(player)
	result = submit(player, answers(5))
	wait_until_folded(player)
	state.assert_agreement(player, season)
	assert {q: str(row.next_review_date) for q, row in state.tracker(player).items()} == result["schedule"]
	wait_until(
		lambda: SRSPersistenceService().get_persistence_status(result["persistence_job_id"])["status"]
		== "finished",
		"the job's status",
	)


def test_a_worker_folds_what_came_over_http(worker, web, season):
	learners = [make_learner() for _ in range(3)]
	for round_ in range(3):
		for learner in learners:
			client = Client(web.url, learner.token)
			message(client.post(SUBMIT, responses=as_sent(answers(4, quality=3 + round_ % 3))))
	wait_until_folded(*(learner.name for learner in learners))
	for learner in learners:
		state.assert_agreement(learner.name, season)
		assert len(state.journal(learner.name)) == 12
		assert {row.reps for row in state.tracker(learner.name).values()} == {1}  # one counts on a day


def test_a_job_for_what_is_folded_already_changes_nothing(worker, player):
	result = submit(player, answers(2), "s-1")
	wait_until_folded(player)
	before = state.tracker(player)
	key = row_names.submission_key(player, result["season"], "s-1")
	job = frappe.enqueue(
		queueing.JOB,
		queue="srs_write",
		responses=[],
		user=player,
		season=result["season"],
		submission=key,
	)
	wait_until(lambda: job.get_status(refresh=True) in ("finished", "failed"), "the job's end")
	assert job.get_status() == "finished"
	assert state.tracker(player) == before


def test_a_worker_takes_the_jobs_of_callers_that_schedule_on_their_own(worker, player, season):
	due = site_now().replace(microsecond=0) + timedelta(days=3)
	job = frappe.enqueue(
		queueing.JOB,
		queue="srs_write",
		responses=[{"question_id": "q-1", "new_stability": 2.5, "new_next_review_date": due}],
		user=player,
		season=season,
	)
	wait_until(lambda: job.get_status(refresh=True) in ("finished", "failed"), "the job's end")
	assert job.get_status() == "finished"
	assert state.tracker(player)["q-1"].next_review_date == due


# Late jobs of the seeds' form. Nobody reads what a job returns: it fails, and keeps the answers. Case r7.

DUE = "2027-01-01 04:00:00"
RESULT = {"question_id": "q-1", "new_stability": 9.0, "new_next_review_date": DUE}


def late(**arguments) -> Job:
	job = frappe.enqueue(queueing.JOB, queue="srs_write", **arguments)
	wait_until(lambda: job.get_status(refresh=True) in ("finished", "failed"), "the job's end")
	return job


def name_of(job: Job) -> str:
	return job.id[-len(str(uuid4())) :]  # what precedes differs from one Frappe to the next


def assert_failed(job: Job, why: str, responses: list[dict]) -> None:
	frappe.db.rollback()
	assert job.get_status() == "failed"
	assert job.kwargs["kwargs"]["responses"] == responses
	found = write_queue.get_write_job(name_of(job))
	assert (found.status, found.arguments["responses"]) == ("failed", responses)
	assert why in found.error
	assert frappe.db.exists("Error Log", {"error": ("like", f"%{why}%")})


@pytest.mark.parametrize(
	"why, change",
	[
		("UnknownLearner", {"user": "gone@learners.example"}),
		("UnknownSeason", {"season": "gone"}),
	],
)
def test_a_late_job_for_nobody_fails_with_its_answers(worker, player, season, why, change):
	manager = make_learner(roles=["Memora Manager"]).user
	frappe.db.delete("Error Log")
	frappe.db.commit()
	for _job in range(2):
		job = late(**{"responses": [RESULT], "user": player, "season": season, **change})
		assert_failed(job, why, [RESULT])
	assert not state.tracker(player)
	(told,) = state.rows("Notification Log", for_user=manager)
	assert why in told.email_content


def test_a_late_job_for_a_season_that_is_being_archived_fails_and_can_be_retried(worker, player):
	season = make_season().name
	archiving = partial(frappe.db.set_value, "Game Subscription Season", season, "archive_started_at")
	archiving(site_now())
	frappe.db.commit()
	job = late(responses=[RESULT], user=player, season=season)
	assert_failed(job, "SeasonStateError", [RESULT])
	archiving(None)
	frappe.db.commit()
	write_queue.retry_write_job(name_of(job))
	wait_until(lambda: job.get_status(refresh=True) == "finished", "the job's end")
	assert [row.season for row in state.tracker(player).values()] == [season]


def test_a_job_stores_what_can_be_read_once_and_fails_with_the_rest(worker, player, season):
	unreadable = {"question_id": "q-2", "new_stability": 9.0}
	responses = [RESULT, unreadable]
	job = late(responses=responses, user=player, season=season)
	assert_failed(job, "InvalidResponses", responses)
	assert state.tracker(player).keys() == {"q-1"}
	frappe.db.sql(
		"UPDATE `tabPlayer Memory Tracker` SET last_review_date = %s", (site_now() - timedelta(days=1),)
	)
	frappe.db.commit()
	before = state.tracker(player), state.journal(player)
	job.requeue()
	wait_until(lambda: job.get_status(refresh=True) == "failed", "the job's end")
	assert (state.tracker(player), state.journal(player)) == before
