"""docs/openapi.json is what the endpoints answer.

Every response that any test gets through tests/integration/client.py is held against it, too.
"""

import json
from inspect import signature
from typing import Any, NamedTuple

import pytest
import requests

from memora.api import openapi
from memora.api.utils import MONITOR_ROLE
from memora.services.operations import admin_jobs
from tests.integration import bench_commands, contract
from tests.integration.archiving import make_ended_season
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records, make_waiting_submission
from tests.integration.submitting import answers, as_sent

ENDPOINTS = openapi.find_endpoints()
ANSWERS = as_sent(answers(2))
SUBMIT = "memora.api.reviews.submit_review_session"


class Calls(NamedTuple):
	"""Arguments that are answered with 200, and ones that are refused, by whichever error; None where only
	callers are refused."""

	good: dict[str, Any]
	bad: dict[str, Any] | None
	refused_with: str = "PermissionError"


CALLS = {
	"reviews.get_persistence_status": Calls({"job_id": "SUBMISSION"}, {}, "InvalidFilter"),
	"reviews.get_review_session": Calls({"limit": 5}, {"limit": 51}, "InvalidLimit"),
	"reviews.get_reviews_safe_mode": Calls(
		{"user": "PLAYER", "season": "SEASON-2026"}, {"season": "SEASON-2026"}, "InvalidFilter"
	),
	"reviews.submit_review_session": Calls({"responses": ANSWERS}, {"responses": []}, "InvalidResponses"),
	"sessions.get_lesson_session": Calls({"limit": 5}, {"topic": "x" * 141}, "InvalidFilter"),
	"sessions.submit_lesson_session": Calls(
		{"responses": ANSWERS}, {"responses": ANSWERS, "submission_id": ""}, "InvalidSubmissionId"
	),
	"srs.switch_season": Calls({"season": "ENDED"}, {"season": "Nowhere"}, "UnknownSeason"),
	"srs.archive_season": Calls({"season": "ENDED"}, {"season": "Nowhere"}, "UnknownSeason"),
	"srs.cancel_rebuild": Calls({"season": "SEASON-2026"}, {}, "InvalidFilter"),
	"srs.compute_due_forecast": Calls({"season": "SEASON-2026"}, {"season": "Nowhere"}, "UnknownSeason"),
	"srs.delete_eligible_records": Calls({}, {"confirm": "maybe"}, "InvalidFilter"),
	"srs.get_archive_status": Calls({"season": "ENDED"}, {}, "InvalidFilter"),
	"srs.get_cache_status": Calls({}, None),
	"srs.get_health": Calls({}, None),
	"srs.get_job_status": Calls({"job_id": "JOB"}, {"job_id": "memora-x"}, "UnknownJob"),
	"srs.get_metrics": Calls({}, None),
	"srs.rebuild_season_cache": Calls({"season": "SEASON-2026"}, {"season": "Nowhere"}, "UnknownSeason"),
	"srs.retry_write_job": Calls({"name": "WAITING"}, {"name": "nothing"}, "UnknownJob"),
	"srs.trigger_reconciliation": Calls({}, {"sample_size": 0}, "InvalidLimit"),
	"utils.get_safe_mode": Calls({}, None),
}


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


# What arguments above stand for
STAND_INS = {
	"PLAYER": lambda client: make_learner().name,
	"SUBMISSION": lambda client: message(client.post(SUBMIT, responses=ANSWERS))["persistence_job_id"],
	"ENDED": lambda client: make_ended_season(3),
	"WAITING": lambda client: make_waiting_submission(make_learner().name, "SEASON-2026"),
	"JOB": lambda client: admin_jobs.start_admin_job("rebuild", "frappe.utils.now")["job_id"],
}


def verbs(path: str) -> list[str]:
	return list(contract.DOCUMENT["paths"][f"/api/method/{path}"])


# What the endpoints answer


def test_the_command(tmp_path):
	file = tmp_path / "openapi.json"
	assert bench_commands.run("memora", "openapi", "--check", "--output", file).exit_code == 1
	assert bench_commands.run("memora", "openapi", "--output", file).exit_code == 0
	assert bench_commands.run("memora", "openapi", "--check", "--output", file).exit_code == 0
	assert file.read_text() == openapi.committed().read_text()
	file.write_text(file.read_text().replace("Memora", "Memory"))
	outdated = bench_commands.run("memora", "openapi", "--check", "--output", file)
	assert outdated.exit_code == 1
	assert openapi.COMMAND in outdated.stderr


def test_every_endpoint_is_called_below():
	assert {f"memora.api.{name}" for name in CALLS} == ENDPOINTS.keys()


def good_arguments(name: str, caller: Client) -> dict[str, Any]:
	good = CALLS[name].good
	return {
		key: STAND_INS[value](caller) if str(value) in STAND_INS else value for key, value in good.items()
	}


@pytest.mark.parametrize("name", CALLS)
def test_a_call(name, manager):
	"""By a manager, who is a learner, too: answered, refused, and refused for an argument of another type."""
	path, calls = f"memora.api.{name}", CALLS[name]
	for verb in verbs(path):
		answered = getattr(manager, verb)(path, **good_arguments(name, manager))
		assert answered.status_code == 200, answered.text
		if calls.bad is not None:
			refused = getattr(manager, verb)(path, **calls.bad)
			assert refused.json()["exc_type"] == calls.refused_with
	good = good_arguments(name, manager)
	for argument in signature(ENDPOINTS[path]).parameters:
		refused = manager.post(path, **{**good, argument: {"x": 1}})
		assert refused.status_code == 400, refused.text
		assert argument in refused.json()["_server_messages"]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_who_may(path, client, guest, web):
	role = openapi.role_of(ENDPOINTS[path])
	monitor = Client(web.url, make_learner([MONITOR_ROLE]).token)
	for verb in verbs(path):
		response = getattr(client, verb)(path)
		assert (response.status_code == 403) == (role != openapi.LEARNER), response.text
		response = getattr(monitor, verb)(path)
		assert (response.status_code == 403) == (role != openapi.MONITOR), response.text
		assert getattr(guest, verb)(path).json()["exc_type"] == "PermissionError"


def test_what_frappe_refuses(web):
	path = "memora.api.reviews.get_review_session"
	assert Client(web.url, "token wrong:wrong").get(path).json()["exc_type"] == "AuthenticationError"


def test_an_endpoint_that_answers_text(manager):
	answered = manager.get("memora.api.srs.get_metrics")
	assert answered.headers["Content-Type"].startswith("text/plain")
	manager.session.headers["Accept"] = "application/openmetrics-text"
	answered = manager.get("memora.api.srs.get_metrics")
	assert answered.headers["Content-Type"].startswith("application/openmetrics-text")
	answered.headers["Content-Type"] = "application/json"
	with pytest.raises(AssertionError, match="get_metrics"):
		contract.check(answered)


# The check itself


def tampered(response: requests.Response, status: int = 200, **values: Any) -> requests.Response:
	body = response.json()
	body["message"] |= values
	response._content, response.status_code = json.dumps(body).encode(), status
	return response


@pytest.mark.parametrize(
	("status", "values"),
	[
		(200, {"unknown": 1}),
		(200, {"total_due": "3"}),
		(200, {"season": 5}),
		(200, {"questions": [{}]}),
		(418, {}),
		(429, {}),
	],
)
def test_a_lie_is_found(client, player, status, values):
	make_records(player, question_ids=bank_questions()[:1])
	response = client.get("memora.api.reviews.get_review_session")
	contract.check(tampered(response))
	with pytest.raises(AssertionError, match="get_review_session"):
		contract.check(tampered(response, status, **values))
