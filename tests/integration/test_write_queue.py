"""SRS Write Job: what operators see of the queue and the outbox over the desk's HTTP interface, and what they retry."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import ports, processes
from memora.services import site_time
from memora.services.folding import folds, queueing
from memora.services.operations import write_queue
from memora.services.store import database, outbox, row_names
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_record, make_records, make_waiting_submission
from tests.integration.redis_proxy import RedisProxy
from tests.integration.submitting import answers, submit
from tests.integration.test_budgets import counted
from tests.integration.test_doctypes import MANAGERS, resource
from tests.integration.test_http import refused
from tests.integration.waiting import wait_until

DOCTYPE = "SRS Write Job"
RETRY = "memora.api.srs.retry_write_job"
_serial = count(1)


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.fixture
def worker(site) -> Iterator[processes.Handle]:
	with processes.worker(["srs_write"]) as handle:
		yield handle


def listed(client: Client, *filters: tuple, **params: Any) -> list[dict[str, Any]]:
	"""The rows of a list over HTTP."""
	response = client.request("GET", resource(DOCTYPE), params={"filters": json.dumps(filters), **params})
	assert response.status_code == 200, response.text
	return response.json()["data"]


def statuses(client: Client, *filters: tuple) -> dict[str, str]:
	rows = listed(client, *filters)
	found = {row["name"]: row["status"] for row in rows}
	assert len(found) == len(rows)
	return found


def shown(client: Client, name: str) -> dict[str, Any]:
	response = client.request("GET", resource(DOCTYPE, name))
	assert response.status_code == 200, response.text
	return response.json()["data"]


def make_submission(player: str, season: str) -> str:
	"""One that a job is queued for; its key."""
	frappe.db.rollback()
	background_jobs.get_redis_conn().delete(queueing._job_waits_key())
	submission_id = f"s-{next(_serial)}"
	submit(player, answers(1), submission_id)
	return row_names.submission_key(player, season, submission_id)


def make_parked(player: str, season: str, error: str = "ValueError: <b>unreadable</b>") -> str:
	name = make_waiting_submission(player, season, make_record("q-1"))
	outbox.park(name, error, site_time.naive_now())
	frappe.db.commit()
	return name


def enqueue(name: str, player: str, season: str, **arguments: Any) -> None:
	"""A job such as a caller queues that schedules on its own."""
	arguments = {"responses": [], "user": player, "season": season, **arguments}
	frappe.enqueue(queueing.JOB, queue="srs_write", job_id=name, **arguments)


def wait_for(client: Client, name: str, status: str) -> None:
	wait_until(lambda: statuses(client).get(name) == status, f"{name} to be {status}")


# From answer to tracker


def test_a_submission_is_seen_queued_started_and_finished(manager, player, season):
	make_records(player, 1)
	name = make_submission(player, season)
	(row,) = listed(manager)
	assert (row["name"], row["status"], row["not_folded"]) == (name, "queued", 1)
	assert (row["player"], row["season"], row["error"]) == (player, season, "")
	assert 0 <= row["age"] < 60
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT 1 FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (player,))
		with processes.worker(["srs_write"]):
			wait_for(manager, name, "started")
			assert listed(manager)[0]["not_folded"] == 1
			connection.rollback()
			wait_for(manager, name, "finished")
	found = shown(manager, name)
	assert (found["status"], found["not_folded"], found["player"]) == ("finished", 0, player)
	assert found["accepted_at"] <= found["started_at"] <= found["ended_at"]
	assert (found["error"], found["traceback"]) == ("", "")


def test_a_submission_without_a_job_is_seen_waiting(manager, player, season):
	name = make_waiting_submission(player, season, make_record("q-1"))
	(row,) = listed(manager)
	assert (row["name"], row["status"], row["player"]) == (name, "waiting", player)
	assert shown(manager, name)["status"] == "waiting"


def test_what_failed_is_retried_and_folded(worker, manager, player, season):
	"""A job with arguments of another release."""
	name = make_waiting_submission(player, season, make_record("q-1"))
	enqueue(name, player, season, submission=name, unheard_of=1)
	wait_for(manager, name, "failed")
	found = shown(manager, name)
	assert found["not_folded"] == 1
	assert found["error"].startswith("TypeError: ")
	assert "unheard_of" in found["error"]
	assert found["traceback"].startswith("Traceback")
	again = message(manager.post(RETRY, name=name))
	assert again == {"status": "queued", "job_id": queueing.job_id_of(name)}
	wait_for(manager, name, "finished")
	assert state.tracker(player).keys() == {"q-1"}
	assert state.outbox(player) == []
	refused(manager.post(RETRY, name=name), 409, "JobStateError", "processed already")


def test_a_failed_job_of_what_another_has_folded_is_not_retried(worker, manager, player, season):
	name = make_waiting_submission(player, season, make_record("q-1"))
	enqueue(name, player, season, submission=name, unheard_of=1)
	wait_for(manager, name, "failed")
	folds.fold(name)
	row = shown(manager, name)
	assert (row["status"], row["not_folded"]) == ("failed", 0)
	with state.nothing_changes():
		refused(manager.post(RETRY, name=name), 409, "JobStateError", name, "processed already")


def test_a_failed_job_that_alone_holds_its_answers_is_done_again(manager, player, season):
	"""RQ ends it after a second, in which another one of the same learner keeps it waiting."""
	due = "2026-01-21 04:00:00"
	response = {"question_id": "q-7", "new_stability": 2.5, "new_next_review_date": due}
	enqueue("own", player, season, responses=[response], timeout=1)
	with processes.worker(["srs_write"]):
		with database.learner_lock(player):
			wait_for(manager, "own", "failed")
		frappe.db.rollback()
		assert "JobTimeoutException" in shown(manager, "own")["traceback"]
		assert state.tracker(player) == {}
		others = Client(manager.url, make_learner(["System Manager"]).token)
		with ThreadPoolExecutor() as threads:  # two managers at once: one of them comes too late
			replies = threads.map(lambda client: client.post(RETRY, name="own"), (manager, others))
		assert sorted(reply.status_code for reply in replies) == [200, 409]
		wait_for(manager, "own", "finished")
	assert state.tracker(player).keys() == {"q-7"}


def test_a_parked_submission_is_retried_and_folded(worker, manager, player, season):
	name = make_parked(player, season)
	found = shown(manager, name)
	assert (found["status"], found["error"]) == ("parked", "ValueError: <b>unreadable</b>")
	message(manager.post(RETRY, name=name))
	wait_for(manager, name, "finished")
	assert state.tracker(player).keys() == {"q-1"}
	assert state.outbox(player) == []


def test_what_can_not_be_folded_is_parked_again(worker, manager, player, season):
	name = make_parked(player, season, error="at first")
	frappe.db.sql("UPDATE `tabReview Outbox` SET payload = '[[1]]'")
	frappe.db.commit()
	message(manager.post(RETRY, name=name))
	wait_until(lambda: shown(manager, name)["error"] != "at first", "another error")
	wait_for(manager, name, "parked")
	assert shown(manager, name)["error"].startswith("TypeError: ")
	assert state.tracker(player) == {}


def test_a_retry_shows_as_queued_until_a_worker_comes(manager, player, season):
	name = make_parked(player, season)
	message(manager.post(RETRY, name=name))
	assert statuses(manager) == {name: "queued"}
	assert shown(manager, name)["error"] == "ValueError: <b>unreadable</b>"
	with state.nothing_changes():
		refused(manager.post(RETRY, name=name), 409, "JobStateError", name, "is queued")


@pytest.mark.parametrize(
	("name", "status", "exception", "shown"),
	[
		("0" * 32, 404, "UnknownJob", "0" * 32),
		("<b>", 404, "UnknownJob", "&lt;b&gt;"),
		("x" * 141, 400, "InvalidFilter", "140"),
		("", 400, "InvalidFilter", "missing"),
	],
)
def test_what_is_gone_is_not_retried(manager, name, status, exception, shown):
	with state.nothing_changes():
		refused(manager.post(RETRY, name=name), status, exception, shown)


# Who may


@pytest.mark.parametrize("role", MANAGERS)
def test_managers_see_and_retry(web, role, player, season):
	caller = Client(web.url, make_learner([role]).token)
	name = make_parked(player, season)
	assert statuses(caller) == {name: "parked"}
	assert message(caller.post("frappe.desk.reportview.get_count", doctype=DOCTYPE)) == 1
	in_desk = message(caller.post("frappe.desk.reportview.get", doctype=DOCTYPE, fields='["name"]'))
	assert [name] == [row[in_desk["keys"].index("name")] for row in in_desk["values"]]
	message(caller.post(RETRY, name=name))


@pytest.mark.parametrize("who", ["guest", "client"])
def test_learners_see_and_retry_nothing(who, request, season):
	caller = request.getfixturevalue(who)
	name = make_parked(make_learner().name, season)
	with state.nothing_changes():
		assert caller.request("GET", resource(DOCTYPE)).status_code == 403
		assert caller.request("GET", resource(DOCTYPE, name)).status_code == 403
		for method in ("get", "get_list", "get_count"):
			asked = caller.post(f"frappe.desk.reportview.{method}", doctype=DOCTYPE, fields='["name"]')
			assert asked.status_code == 403, asked.text
		refused(caller.post(RETRY, name=name), 403, "PermissionError")


def test_a_retry_takes_no_get(manager, player, season):
	name = make_parked(player, season)
	with state.nothing_changes():
		refused(manager.get(RETRY, name=name), 403, "PermissionError")


def test_nobody_writes_the_view(administrator, manager, player, season):
	name = make_parked(player, season)
	with state.nothing_changes():
		for caller in (administrator, manager):
			made = caller.request("POST", resource(DOCTYPE), json={"player": player, "status": "parked"})
			changed = caller.request("PUT", resource(DOCTYPE, name), json={"status": "finished"})
			deleted = caller.request("DELETE", resource(DOCTYPE, name))
			assert {made.status_code, changed.status_code, deleted.status_code} == {403}


@pytest.mark.parametrize("other", ["elsewhere.localhost", "{site}2", "x{site}"])
def test_jobs_of_other_sites_are_not_there(manager, other, player, season):
	job_id = f"{other.format(site=frappe.local.site)}::{'0' * 32}"
	background_jobs.get_queue("srs_write").enqueue_call("frappe.utils.now", job_id=job_id)
	own = make_submission(player, season)
	assert statuses(manager) == {own: "queued"}
	for name in ("0" * 32, job_id):
		assert manager.request("GET", resource(DOCTYPE, name)).status_code == 404
		refused(manager.post(RETRY, name=name), 404, "UnknownJob")


# Filters and pages


def test_filters(manager, season):
	one, two = make_learner().name, make_learner().name
	parked, waiting = make_parked(one, season), make_waiting_submission(two, season, make_record("q-1"))
	queued = make_submission(two, season)
	enqueue("direct", two, season)
	expected = {
		(): {parked, waiting, queued, "direct"},
		(("status", "=", "parked"),): {parked},
		(("status", "in", ("parked", "queued")),): {parked, queued, "direct"},
		(("status", "in", "parked,waiting"),): {parked, waiting},
		(("status", "not in", ("queued",)), ("player", "=", two)): {waiting},
		(("status", "!=", "queued"), ("status", "!=", "parked")): {waiting},
		(("status", "=", "failed"),): set(),
		(("player", "=", one),): {parked},
		(("season", "=", season), ("not_folded", "=", "0")): {"direct"},
		(("not_folded", "=", 1),): {parked, waiting, queued},
		(("name", "like", "%irec%"),): {"direct"},
		(("name", "not like", "%DIREC%"),): {parked, waiting, queued},
		(("name", "=", waiting),): {waiting},
	}
	assert {filters: set(statuses(manager, *filters)) for filters in expected} == expected
	response = manager.request("GET", resource(DOCTYPE), params={"filters": '{"status": "parked"}'})
	assert [row["name"] for row in response.json()["data"]] == [parked]


@pytest.mark.parametrize("bad", [("age", ">", 5), ("player", ">", "a"), ("status", "is", "set")])
def test_a_filter_that_it_can_not_do_is_named(manager, bad):
	response = manager.request("GET", resource(DOCTYPE), params={"filters": json.dumps([bad])})
	refused(response, 400, "InvalidFilter", bad[0], "status")


def make_many(player: str, season: str, submissions: int, jobs: int) -> None:
	values = {"doctype": "Review Outbox", "player": player, "season": season, "payload": "[]"}
	for number in range(submissions):
		frappe.get_doc(
			{**values, "creation": f"2026-01-01 00:{number // 60:02}:{number % 60:02}"}
		).db_insert()
	frappe.db.commit()
	for number in range(jobs):
		enqueue(f"job-{number:04}", player, season)


def test_pages_hold_each_once_and_the_oldest_of_a_status_first(manager, player, season):
	make_many(player, season, submissions=130, jobs=120)
	pages = [listed(manager, limit_start=start, limit_page_length=60) for start in (0, 60, 120, 180, 240)]
	assert [len(page) for page in pages] == [60, 60, 60, 60, 10]
	rows = [row for page in pages for row in page]
	assert [row["status"] for row in rows] == ["waiting"] * 130 + ["queued"] * 120
	assert [row["name"] for row in rows[130:]] == [f"job-{number:04}" for number in range(120)]
	assert len({row["name"] for row in rows}) == 250
	assert rows[:130] == sorted(rows[:130], key=lambda row: row["accepted_at"])


def test_a_page_costs_the_same_however_much_waits(queue_url, monkeypatch, player, season):
	make_many(player, season, submissions=300, jobs=300)
	proxy = RedisProxy(frappe.conf.redis_queue)
	queue_url(proxy.url)
	page = partial(write_queue.find_write_jobs, lambda job: True, limit=20)
	page({"queued"})  # connects
	frappe.db.rollback()
	for status in ("waiting", "queued"):
		with proxy.counted() as redis, counted() as queries:
			assert len(page({status}).jobs) == 20
		assert redis.round_trips <= 3
		assert queries.total <= 3
	monkeypatch.setattr(write_queue, "LOOK_AT_MOST", 250)
	with proxy.counted() as redis:
		cut = write_queue.find_write_jobs(lambda job: False, {*write_queue.STATUSES})
	assert (cut.jobs, cut.is_whole) == ([], False)
	assert redis.round_trips <= 20
	assert page({"waiting"}).is_whole
	proxy.stop()


def test_who_sees_only_a_part_is_told(monkeypatch, player, season):
	monkeypatch.setattr(write_queue, "LOOK_AT_MOST", 2)
	for _ in range(3):
		make_waiting_submission(player, season, make_record("q-1"))
	assert len(frappe.get_list(DOCTYPE)) == 2
	assert "first 2" in frappe.get_message_log()[-1]["message"]


# What can't be read


@pytest.mark.parametrize("damage", [{"data": b"x"}, {"data": None}, {"status": None}, {"created_at": None}])
def test_a_damaged_job_hides_no_other(manager, player, season, damage):
	enqueue("damaged", player, season)
	enqueue("whole", player, season)
	((field, value),) = damage.items()
	server, key = background_jobs.get_redis_conn(), f"rq:job:{queueing.job_id_of('damaged')}"
	server.hdel(key, field)
	if value:
		server.hset(key, field, value)
	assert statuses(manager)["whole"] == "queued"
	assert set(statuses(manager)) <= {"damaged", "whole"}


@pytest.mark.slow
def test_without_the_queues_redis_submissions_are_shown_and_nothing_is_retried(site, manager, player, season):
	parked, queued = make_parked(player, season), make_submission(player, season)
	with processes.web(site, env={"FRAPPE_REDIS_QUEUE": f"redis://127.0.0.1:{ports.any_free()}/0"}) as web:
		manager.url = web.url
		response = manager.request("GET", resource(DOCTYPE))
		assert response.status_code == 200, response.text
		rows = {row["name"]: row["status"] for row in response.json()["data"]}
		assert rows == {parked: "parked", queued: "waiting"}
		assert "The Redis for the queue can't be reached" in response.json()["_server_messages"]
		assert shown(manager, parked)["error"] == "ValueError: <b>unreadable</b>"
		refused(manager.request("GET", resource(DOCTYPE, "0" * 32)), 503, "QueueUnavailable")
		with state.nothing_changes():
			refused(
				manager.post(RETRY, name=parked),
				503,
				"QueueUnavailable",
				"The Redis for the queue can't be reached",
			)


@pytest.mark.parametrize("mood", ["stop", "hang"])
def test_a_redis_that_goes_while_it_is_asked(queue_url, mood, player, season):
	proxy = RedisProxy(frappe.conf.redis_queue)
	queue_url(proxy.url)
	name = make_submission(player, season)
	assert [row.status for row in frappe.get_list(DOCTYPE)] == ["queued"]
	getattr(proxy, mood)()
	assert [(row.name, row.status) for row in frappe.get_list(DOCTYPE)] == [(name, "waiting")]
	assert "The Redis for the queue can't be reached" in frappe.get_message_log()[-1]["message"]
	proxy.stop()


def test_a_bench_without_the_queue_shows_the_submissions(monkeypatch, player, season):
	name = make_waiting_submission(player, season, make_record("q-1"))
	enqueue("job", player, season)
	monkeypatch.setattr(
		background_jobs, "get_queues_timeout", lambda: {"short": 300, "default": 300, "long": 1500}
	)
	assert [(row.name, row.status) for row in frappe.get_list(DOCTYPE)] == [(name, "waiting")]
