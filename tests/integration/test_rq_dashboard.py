"""rq-dashboard as `./dev start --rq-dashboard` runs it, and behind a password as in docs/rq-dashboard.md."""

import pytest

from devtools import processes
from memora.services.folding import queueing
from memora.services.store import row_names
from tests.integration.client import Client
from tests.integration.submitting import answers, submit

LOGIN = ("operator", "secret-of-the-tests")


@pytest.fixture(scope="module")
def dashboard(site) -> Client:
	env = dict(zip(("RQ_DASHBOARD_USERNAME", "RQ_DASHBOARD_PASSWORD"), LOGIN, strict=True))
	with processes.rq_dashboard(env=env) as handle:
		yield Client(handle.url)


def test_it_shows_the_queue_and_a_job_in_it(dashboard, player, season):
	dashboard.session.auth = LOGIN
	submit(player, answers(1), "s-1")
	key = row_names.submission_key(player, season, "s-1")
	queues = dashboard.request("GET", "/0/data/queues.json").json()["queues"]
	(queue,) = [queue for queue in queues if queue["name"].endswith(":srs_write")]
	assert queue["count"] == 1
	path = f"/0/data/jobs/{queue['name']}/queued/20/asc/1.json"
	assert [job["id"] for job in dashboard.request("GET", path).json()["jobs"]] == [queueing.job_id_of(key)]
	job = dashboard.request("GET", f"/0/data/job/{queueing.job_id_of(key)}.json")
	assert (job.status_code, job.json()["status"]) == (200, "queued")


@pytest.mark.parametrize("login", [None, ("operator", "wrong"), ("", "")])
def test_it_asks_for_the_password(dashboard, login):
	dashboard.session.auth = login
	assert dashboard.request("GET", "/").status_code == 401
	assert dashboard.request("GET", "/0/data/queues.json").status_code == 401
