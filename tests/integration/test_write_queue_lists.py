"""The desk's list of submissions on their way: filters, pages, and jobs that can't be read."""

import json
from functools import partial
from typing import Any
from urllib.parse import quote

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import ports, processes
from memora.services.folding import queueing
from memora.services.operations import write_queue
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_record, make_waiting_submission
from tests.integration.redis_proxy import RedisProxy
from tests.integration.test_budgets import counted
from tests.integration.test_doctypes import resource
from tests.integration.test_http import refused
from tests.integration.test_permissions import rest_bases
from tests.integration.write_jobs import (
	DOCTYPE,
	RETRY,
	enqueue,
	listed,
	make_parked,
	make_submission,
	shown,
	statuses,
)


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(roles=["Memora Manager"]).token)


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


def rest(caller: Client, path: str, **params: Any) -> Any:
	response = caller.request("GET", path, params=params)
	assert response.status_code == 200, response.text
	return response.json()["data"]


def lists(caller: Client, filters: str, start: int, limit: int) -> dict[str, list[str]]:
	"""The names of a page, by each way to it."""
	asked = {
		"filters": filters,
		"fields": '["name", "status"]',
		"limit_start": start,
		"limit_page_length": limit,
	}
	desk = {**asked, "start": start, "page_length": limit, "doctype": DOCTYPE}
	rows = {
		method: message(caller.post(method, **desk))
		for method in ("frappe.client.get_list", "frappe.desk.reportview.get_list")
	}
	for view in ("List", "Report"):
		table = message(caller.post("frappe.desk.reportview.get", **desk, view=view))
		rows[view] = [dict(zip(table["keys"], row, strict=True)) for row in table["values"]]
	for base in rest_bases():
		more = {"start": start, "limit": limit} if "v2" in base else {}
		rows[base] = rest(caller, f"{base}/{quote(DOCTYPE)}", **asked, **more)
	return {way: [row["name"] for row in found] for way, found in rows.items()}


def counts(caller: Client, filters: str) -> set[int]:
	found = {message(caller.post("frappe.desk.reportview.get_count", doctype=DOCTYPE, filters=filters))}
	for _second in rest_bases()[1:]:
		found.add(rest(caller, f"/api/v2/doctype/{quote(DOCTYPE)}/count", filters=filters))
	return found


def test_every_way_in_shows_the_same(manager, player, season):
	make_many(player, season, submissions=25, jobs=3)
	every = [row["name"] for row in listed(manager, limit_page_length=100)]
	waiting = [("status", "=", "waiting")]
	for filters, start, limit, expected in (
		([], 0, 100, every),
		([], 20, 5, every[20:25]),
		(waiting, 0, 100, every[:25]),
		(waiting, 24, 20, every[24:25]),
		([("name", "like", "%job-%"), ("not_folded", "=", 0)], 0, 20, every[25:]),
	):
		assert counts(manager, json.dumps(filters)) == {len(listed(manager, *filters, limit_page_length=100))}
		for way, names in lists(manager, json.dumps(filters), start, limit).items():
			assert names == expected, (way, filters, start)


@pytest.mark.parametrize("base", [base for base in rest_bases() if "v2" in base])
def test_the_second_rest_interface_refuses_as_the_first(base, manager, client, player, season):
	make_many(player, season, submissions=3, jobs=0)
	path = f"{base}/{quote(DOCTYPE)}"
	assert client.request("GET", path).status_code == 403
	bad = manager.request("GET", path, params={"filters": '[["age", ">", 5]]'})
	assert (bad.status_code, bad.json()["errors"][0]["type"]) == (400, "InvalidFilter")
	page = manager.request("GET", path, params={"limit": 2})
	assert len(page.json()["data"]) == 2
	assert page.json().get("has_next_page", True)  # told by Frappe 16


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
