"""SRS Write Job: what operators see of the queue and the outbox over the desk's HTTP interface, and what they retry."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import processes
from memora.services.folding import folds, queueing
from memora.services.store import database
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_record, make_records, make_waiting_submission
from tests.integration.test_doctypes import MANAGERS, resource
from tests.integration.test_http import refused
from tests.integration.waiting import wait_until
from tests.integration.write_jobs import (
	DOCTYPE,
	RETRY,
	enqueue,
	listed,
	make_parked,
	make_submission,
	shown,
	statuses,
	wait_for,
)


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.fixture
def worker(site) -> Iterator[processes.Handle]:
	with processes.worker(["srs_write"]) as handle:
		yield handle


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
	"""Another one of the same learner keeps it waiting, until RQ ends it after three seconds, or it gives up."""
	due = "2026-01-21 04:00:00"
	response = {"question_id": "q-7", "new_stability": 2.5, "new_next_review_date": due}
	enqueue("own", player, season, responses=[response], timeout=3)
	with processes.worker(["srs_write"]):
		with database.learner_lock(player):
			wait_for(manager, "own", "failed")
		frappe.db.rollback()
		assert re.search("JobTimeoutException|JournalUnavailable", shown(manager, "own")["traceback"])
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
	site = frappe.local.site
	job_id = queueing.job_id_of("0" * 32).replace(site, other.format(site=site))
	background_jobs.get_queue("srs_write").enqueue_call("frappe.utils.now", job_id=job_id)
	own = make_submission(player, season)
	assert statuses(manager) == {own: "queued"}
	for name in ("0" * 32, job_id):
		assert manager.request("GET", resource(DOCTYPE, name)).status_code == 404
		refused(manager.post(RETRY, name=name), 404, "UnknownJob")
