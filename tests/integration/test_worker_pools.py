"""Pools of workers, which fork for each job or, on Frappe 16, do one job after the other in the same process."""

import os
import signal
import time
from collections.abc import Iterator

import frappe
import pytest
from frappe.utils import background_jobs
from rq import Worker
from rq.job import Job
from rq.registry import StartedJobRegistry

from devtools import processes
from devtools.paths import MAIN_SITE
from memora.services.folding import folds, queueing
from memora.services.store import database
from tests.frappe_versions import HAS_WORKERS_WITHOUT_FORKS
from tests.integration import leftovers, state
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_records
from tests.integration.submitting import answers, read, submit
from tests.integration.test_sweeper import make_older
from tests.integration.waiting import wait_until

FORKS, FORKS_NOT = {}, {"FRAPPE_BACKGROUND_WORKERS_NOFORK": "1"}
SECONDS_TO_BE_ABANDONED = 62  # after its beginning RQ takes a job of one second for abandoned
HOLD_SQL = "SELECT 1 FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE"


@pytest.fixture(scope="module", params=[FORKS, FORKS_NOT], ids=["forks", "forks not"])
def pool(site, request) -> Iterator[processes.Handle]:
	"""One worker. Frappe 15 has only workers that fork."""
	with processes.worker_pool(["srs_write"], env={**leftovers.ENV, **request.param}) as handle:
		yield handle
	for worker in listed():
		worker.register_death()  # of those that were killed


def listed() -> list[Worker]:
	return Worker.all(connection=background_jobs.get_redis_conn())


def workers() -> set[int]:
	"""Process ids of the workers that are up."""
	return {worker.pid for worker in listed() if is_up(worker.pid)}


def is_up(pid: int) -> bool:
	try:
		os.kill(pid, 0)
	except ProcessLookupError:
		return False
	return True


def wait_until_folded(player: str) -> None:
	wait_until(lambda: not state.outbox(player), "the outbox to be empty")


def ended(job: Job) -> str:
	wait_until(lambda: job.get_status() in ("finished", "failed"), "the job's end")
	return job.get_status()


def test_what_a_job_leaves_behind_reaches_no_other(pool, season):
	(worker,) = workers()
	first, second = make_learner().name, make_learner().name
	fold_one(first, season)
	left = frappe.enqueue(leftovers.leave, queue="srs_write", season=season)
	assert ended(left) == "failed"
	assert "left in the middle" in left.latest_result().exc_string
	fold_one(second, season)
	assert ended(of_other_site()) == "finished"
	fold_one(first, season)
	assert workers() == {worker}
	assert [row.name for row in state.rows("Review Outbox")] == []
	assert not database.is_locked(leftovers.LOCK)


def fold_one(player: str, season: str) -> None:
	read(player)
	submit(player, answers(5))
	wait_until_folded(player)
	state.assert_agreement(player, season)


def of_other_site() -> Job:
	"""A fold on the bench's other site, of a submission that it does not have."""
	arguments = {"responses": [], "user": "Administrator", "season": "", "submission": leftovers.KEY}
	job = {"site": MAIN_SITE, "method": queueing.JOB, "event": None, "job_name": "", "kwargs": arguments}
	return background_jobs.get_queue("srs_write").enqueue_call(
		"frappe.utils.background_jobs.execute_job", kwargs={**job, "user": "Administrator"}
	)


def test_the_fold_of_a_worker_that_is_killed_is_done_by_others(pool, player, season):
	make_records(player, 3)
	(worker,) = workers()
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute(HOLD_SQL, (player,))
		submit(player, answers(3))
		wait_until(lambda: not state.queue_redis().exists(queueing.job_waits_key()), "the fold to begin")
		os.kill(worker, signal.SIGKILL)
		wait_until(lambda: workers() and worker not in workers(), "another worker")
		connection.rollback()
	make_older(player, 120)
	# a work-horse goes on without its worker; of a worker that does not fork, MariaDB first has to notice the end
	wait_until(lambda: folds.sweep_outbox() or not state.outbox(player), "the fold")
	state.assert_agreement(player, season)
	assert {row.reps for row in state.tracker(player).values()} == {2}
	fold_one(make_learner().name, season)


def test_after_a_job_out_of_time_a_worker_does_the_next(pool, player, season):
	due = "2026-01-21 04:00:00"
	response = {"question_id": "q-7", "new_stability": 2.5, "new_next_review_date": due}
	with database.learner_lock(player):
		job = frappe.enqueue(
			queueing.JOB, queue="srs_write", responses=[response], user=player, season=season, timeout=1
		)
		wait_until(lambda: job.get_status() == "started", "the job to start")
		other = make_learner().name
		submit(other, answers(3))
		wait_until_folded(other)
		state.assert_agreement(other, season)
	assert state.tracker(player) == {}


def test_after_a_job_that_hangs_outside_of_mariadb_a_worker_does_the_next(pool, season, request):
	(worker,) = workers()
	job = frappe.enqueue(leftovers.hang, queue="srs_write", timeout=1)
	fold_one(make_learner().name, season)
	if HAS_WORKERS_WITHOUT_FORKS and request.node.callspec.params["pool"] == FORKS_NOT:
		assert workers() != {worker}  # it has quit, and tells nobody how its job ended
		assert job.get_status() == "started"
		started = StartedJobRegistry(queue=background_jobs.get_queue("srs_write"))
		started.cleanup(timestamp=int(time.time()) + SECONDS_TO_BE_ABANDONED)
	else:
		assert workers() == {worker}
	assert ended(job) == "failed"
