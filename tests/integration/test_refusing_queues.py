"""Queues that answer, but take no jobs: they are full, or they ask for a login."""

from collections.abc import Iterator
from pathlib import Path

import frappe
import pytest
from frappe.utils import background_jobs, get_bench_id
from frappe.utils.redis_queue import RedisQueue

from memora.services.folding import queueing
from tests.frappe_versions import QUEUES_ARE_BOUNDED
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner
from tests.integration.folding import drain
from tests.integration.redis_server import RedisServer
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, submit
from tests.integration.test_http import refused
from tests.integration.write_jobs import RETRY, make_parked

MANY = 1000


def fill(name: str) -> list[bytes]:
	"""Has many jobs wait. Returns their ids."""
	ids = [f"elsewhere-{number}".encode() for number in range(MANY)]
	state.queue_redis().rpush(background_jobs.get_queue(name).key, *ids)
	return ids


def waiting(name: str) -> list[bytes]:
	return state.queue_redis().lrange(background_jobs.get_queue(name).key, 0, -1)


def test_a_learner_does_not_notice_a_full_queue(client, player, season):
	before = fill("srs_write")
	answer = {"question_id": bank_questions()[0], "quality": 4}
	reply = client.post("memora.api.reviews.submit_review_session", responses=[answer])
	result = message(reply)
	assert "_server_messages" not in reply.json()
	assert (result["status"], result["is_degraded"]) == ("success", False)
	assert len(state.outbox(player)) == 1
	job = result["persistence_job_id"]
	assert waiting("srs_write") == before + ([] if QUEUES_ARE_BOUNDED else [job.encode()])
	asked = client.get("memora.api.reviews.get_persistence_status", job_id=job)
	assert message(asked)["status"] == "queued"
	drain()
	state.assert_agreement(player, season)


def test_a_manager_is_told_of_a_full_queue(web, player, season):
	manager = Client(web.url, make_learner(["Memora Manager"]).token)
	parked = make_parked(player, season)
	before = {name: fill(name) for name in ("long", "srs_write")}
	replies = [
		manager.post("memora.api.srs.rebuild_season_cache", season=season),
		manager.post(RETRY, name=parked),
	]
	if not QUEUES_ARE_BOUNDED:
		assert [reply.status_code for reply in replies] == [200, 200]
		return
	for reply in replies:
		refused(reply, 503, "QueueUnavailable", "Too many jobs wait in the queue")
	assert {name: waiting(name) for name in before} == before


@pytest.fixture
def guarded(tmp_path: Path, queue_url) -> Iterator[dict[str, str]]:
	"""A queue whose users `bench create-rq-users` has made. Yields the bench's settings for it."""
	lines, users = RedisQueue.gen_acl_list(set_admin_password=True)
	(tmp_path / "acl").write_text("\n".join(lines) + "\n")
	server = RedisServer(tmp_path / "redis")
	server.start("--aclfile", str(tmp_path / "acl"))
	queue_url(server.url)
	user, password = users["bench"]
	yield {"rq_username": user, "rq_password": password}
	server.kill()


def submit_with(player: str, **login: str) -> str | None:
	"""A submission's job id on a bench with this login to the queue."""
	with site_config(use_rq_auth=1, **login):
		frappe.local.conf.update(frappe.get_site_config())
		return submit(player, answers(1))["persistence_job_id"]


def test_a_queue_that_asks_for_a_login_gets_it(guarded, player):
	job_id = submit_with(player, **guarded)
	assert job_id
	with site_config(use_rq_auth=1, **guarded):
		assert background_jobs.get_queue(queueing.QUEUE).get_job_ids() == [job_id]
	assert len(state.outbox(player)) == 1


def test_a_queue_that_refuses_the_login_is_no_queue(guarded, player, season):
	assert submit_with(player, **{**guarded, "rq_password": "wrong"}) is None
	assert state.outbox(player) == []
	state.assert_agreement(player, season)


def test_a_bench_whose_user_has_no_other_name_logs_in_by_its_id():
	assert queueing._login() == {}
	frappe.local.conf.update(use_rq_auth=1, rq_password="secret")
	assert queueing._login() == {"username": get_bench_id(), "password": "secret"}
	frappe.local.conf.rq_username = "other"
	assert queueing._login() == {"username": "other", "password": "secret"}
