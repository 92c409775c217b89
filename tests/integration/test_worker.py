"""A real worker, which takes the jobs of submissions and folds them."""

from datetime import timedelta

import frappe
import pytest

from devtools import processes
from memora.services.folding import queueing
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import row_names
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records, site_now
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
