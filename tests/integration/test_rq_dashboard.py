"""rq-dashboard as `./dev start --rq-dashboard` runs it, and behind a password as in docs/rq-dashboard.md."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import processes
from memora.services.folding import queueing
from memora.services.store import row_names
from tests.integration import leftovers
from tests.integration.client import Client
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_records
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

LOGIN = ("operator", "secret-of-the-tests")
STATES = ("queued", "started", "finished", "failed", "deferred", "scheduled", "canceled")


@pytest.fixture(scope="module")
def dashboard(site) -> Iterator[Client]:
	env = dict(zip(("RQ_DASHBOARD_USERNAME", "RQ_DASHBOARD_PASSWORD"), LOGIN, strict=True))
	with processes.rq_dashboard(env=env) as handle:
		yield Client(handle.url)


@pytest.fixture
def operator(dashboard) -> Client:
	dashboard.session.auth = LOGIN
	return dashboard


def queue() -> str:
	return background_jobs.generate_qname("srs_write")


def got(operator: Client, path: str) -> Any:
	response = operator.request("GET", path)
	assert response.status_code == 200, response.text
	return response.json()


def listed(operator: Client, state: str) -> list[str]:
	jobs = got(operator, f"/0/data/jobs/{queue()}/{state}/20/asc/1.json")["jobs"]
	return [job["id"] for job in jobs]


def status(operator: Client, job_id: str) -> str:
	return got(operator, f"/0/data/job/{job_id}.json")["status"]


def make_job_of_each_state(season: str) -> Iterator[dict[str, str]]:
	"""Yields the id of a job that is finished, one that failed, one that is under way and one that waits."""
	done, slow, last = (make_learner().name for _ in range(3))
	make_records(slow, 1)
	with raw_connection() as connection, connection.cursor() as cursor, worker():
		finished = own_job(done, season)
		wait_until(lambda: finished_job(finished), "a fold")
		failed = frappe.enqueue(leftovers.leave, queue="srs_write", season=season)
		wait_until(lambda: failed.get_status() == "failed", "a job that fails")
		cursor.execute("SELECT 1 FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (slow,))
		started = own_job(slow, season)
		wait_until(lambda: background_jobs.get_job(started).get_status() == "started", "a job under way")
		waiting = own_job(last, season)
		keys = {"finished": finished, "started": started, "queued": waiting}
		yield {state: queueing.job_id_of(key) for state, key in keys.items()} | {"failed": failed.id}
		connection.rollback()


def worker() -> AbstractContextManager[processes.Handle]:
	return processes.worker(["srs_write"], env=leftovers.ENV)


def finished_job(key: str) -> bool:
	return background_jobs.get_job(key).get_status() == "finished"


def own_job(player: str, season: str) -> str:
	"""The key of a submission that has a job of its own."""
	background_jobs.get_redis_conn().delete(queueing.job_waits_key())
	submit(player, answers(1), "s-1")
	return row_names.submission_key(player, season, "s-1")


jobs = pytest.fixture(make_job_of_each_state)


def test_it_shows_the_queue_and_each_job_in_it(operator, jobs):
	(shown,) = [one for one in got(operator, "/0/data/queues.json")["queues"] if one["name"] == queue()]
	assert (shown["count"], shown["started_job_registry_count"], shown["failed_job_registry_count"]) == (
		1,
		1,
		1,
	)
	for state in STATES:
		assert listed(operator, state) == [job for at, job in jobs.items() if at == state], state
		page = operator.request("GET", f"/0/view/jobs/{queue()}/{state}/20/asc/1")
		assert page.status_code == 200, state
	for state, job in jobs.items():
		assert status(operator, job) == state
		assert operator.request("GET", f"/0/view/job/{job}").status_code == 200
	failed = got(operator, f"/0/data/job/{jobs['failed']}.json")
	assert "left in the middle" in failed["exc_info"]
	workers = got(operator, "/0/data/workers.json")["workers"]
	busy = [worker["current_job"]["job_id"] for worker in workers if worker["state"] == "busy"]
	assert busy == [jobs["started"]]


def test_it_requeues_and_deletes(operator, jobs):
	assert operator.request("POST", f"/job/{jobs['failed']}/requeue").status_code == 200
	assert listed(operator, "queued") == [jobs["queued"], jobs["failed"]]
	assert listed(operator, "failed") == []
	assert operator.request("POST", f"/job/{jobs['queued']}/delete").status_code == 200
	assert listed(operator, "queued") == [jobs["failed"]]
	assert operator.request("POST", f"/queue/{queue()}/finished/empty").status_code == 200
	assert listed(operator, "finished") == []


@pytest.mark.parametrize("login", [None, ("operator", "wrong"), ("", "")])
def test_it_asks_for_the_password(dashboard, login):
	dashboard.session.auth = login
	assert dashboard.request("GET", "/").status_code == 401
	assert dashboard.request("GET", "/0/data/queues.json").status_code == 401
