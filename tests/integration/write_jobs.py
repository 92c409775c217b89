"""Submissions on their way to the tracker, as the desk lists them."""

import json
from itertools import count
from typing import Any

import frappe
from frappe.utils import background_jobs

from memora.services import site_time
from memora.services.folding import queueing
from memora.services.store import outbox, row_names
from tests.integration.client import Client
from tests.integration.factories import make_record, make_waiting_submission
from tests.integration.submitting import answers, submit
from tests.integration.test_doctypes import resource
from tests.integration.waiting import wait_until

DOCTYPE = "SRS Write Job"
RETRY = "memora.api.srs.retry_write_job"
_serial = count(1)


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
	background_jobs.get_redis_conn().delete(queueing.job_waits_key())
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
	wait_until(lambda: statuses(client).get(name) == status, f"{name} to be {status}", 60)
