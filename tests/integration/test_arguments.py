"""Arguments that an endpoint does not have are named, and each endpoint can be called by its short name."""

import frappe
import pytest

from memora import api
from memora.api import openapi
from memora.api.turns import LEARNERS_PATH
from memora.services.operations import latency
from tests.frappe_versions import HAS_SECOND_API
from tests.integration import state
from tests.integration.archiving import make_ended_season
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records
from tests.integration.submitting import answers, as_sent
from tests.integration.test_http import LESSON, READ, SUBMIT, SUBMIT_LESSON, refused

ANSWERS = as_sent(answers(1))


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.mark.parametrize(
	("method", "argument", "meant"),
	[
		(LESSON, "topic_id", "Did you mean topic?"),
		(READ, "Limit", "Did you mean limit?"),
		(READ, "time_spent_ms", "It has subject, limit, preview, reveal."),
		(SUBMIT, "time_spent_ms", "Did you mean responses[].response_time_ms?"),
		(SUBMIT_LESSON, "season_id", "Did you mean season?"),
		("memora.api.get_lesson_session", "topic_id", "Did you mean topic?"),
		(READ, "fn", "It has subject, limit, preview, reveal."),
	],
)
def test_an_argument_that_there_is_not_is_named(client, player, method, argument, meant):
	given = {"responses": ANSWERS} if "submit" in method else {}
	with state.nothing_changes():
		refused(client.post(method, **given, **{argument: "1"}), 400, "UnknownArgument", argument, meant)
		if not given:
			refused(client.get(method, **{argument: "1"}), 400, "UnknownArgument", argument, meant)


@pytest.mark.parametrize("name", ["<b>x</b>", "x" * 500, "", "पाठ"])
def test_any_name_is_quoted_as_a_text(client, name):
	response = client.post(READ, **{name: 1})
	refused(response, 400, "UnknownArgument")
	assert "<b>" not in response.json()["_server_messages"]


def test_managers_arguments_are_named_too(manager, season):
	refused(
		manager.post("memora.api.srs.archive_season", season=season, confirmed=1),
		400,
		"UnknownArgument",
		"confirm",
	)
	refused(manager.get("memora.api.srs.get_health", x=1), 400, "UnknownArgument", "It has none.")


def test_a_field_of_an_answer_that_was_called_otherwise_is_named(client):
	responses = [{**ANSWERS[0], "time_spent_ms": 900}]
	with state.nothing_changes():
		refused(client.post(SUBMIT, responses=responses), 400, "InvalidResponses", "response_time_ms")


def test_what_frappe_reads_is_no_argument_of_ours(client):
	for given in ({"_": "1"}, {"_lang": "en"}, {"csrf_token": "x"}, {"cmd": READ}):
		assert client.get(READ, **given).status_code == 200


def test_by_frappes_old_way_of_calling(client, player):
	body = {"cmd": "memora.api.get_lesson_session", "topic_id": "x"}
	response = client.request("POST", "/", data=body, headers={"Accept": "application/json"})
	refused(response, 400, "UnknownArgument", "topic_id")


@pytest.mark.skipif(not HAS_SECOND_API, reason="this Frappe has no second version of its API")
def test_in_frappes_second_api(client):
	response = client.request("GET", f"/api/v2/method/{LESSON}", params={"topic_id": "x"})
	assert (response.status_code, response.json()["errors"][0]["type"]) == (400, "UnknownArgument")
	response = client.request("GET", "/api/v2/method/memora.api.get_lesson_session")
	assert response.json()["data"]["questions"]


# Short names


def test_every_endpoint_has_a_short_name():
	assert {f"memora.api.{module}.{name}" for name, module in api.MODULES.items()} == {
		*openapi.find_endpoints()
	}
	for path, endpoint in openapi.find_endpoints().items():
		name = path.rpartition(".")[2]
		assert frappe.get_attr(f"memora.api.{name}") is endpoint
		assert openapi.role_of(endpoint) == openapi.LEARNER or name not in api.LEARNERS
	with pytest.raises(AttributeError, match="nothing"):
		_ = api.nothing


def test_short_names_over_http(client, player, season):
	make_records(player, 2)
	assert len(message(client.get("memora.api.get_review_session"))["questions"]) == 2
	sent = client.post("memora.api.submit_review_session", responses=ANSWERS)
	assert message(sent)["processed"] == 1
	assert message(client.get("memora.api.get_lesson_session", limit=1))["questions"]
	found = client.get("memora.api.get_reviews_safe_mode", user=player, season=season)
	assert message(found) == [q for q in bank_questions()[:2] if q != ANSWERS[0]["question_id"]]
	refused(client.get("memora.api.submit_review_session"), 403, "PermissionError")
	refused(client.post("memora.api.get_health"), 403, "PermissionError")


@pytest.mark.parametrize("name", api.LEARNERS)
def test_short_names_are_limited_and_measured_as_the_long_ones(name):
	assert LEARNERS_PATH.match(f"/api/method/memora.api.{name}")
	assert LEARNERS_PATH.match(f"/api/v2/method/memora.api.{api.LEARNERS[name]}.{name}")
	long_name = f"memora.api.{api.LEARNERS[name]}.{name}"
	assert latency.ENDPOINTS.get(f"memora.api.{name}") == latency.ENDPOINTS.get(long_name)


def test_other_paths_are_not_the_learners():
	assert not LEARNERS_PATH.match("/api/method/memora.api.get_health")
	assert not LEARNERS_PATH.match("/api/method/memora.api.srs.get_health")


# A season's other name


def test_a_season_may_be_called_season_name(manager, season):
	ended = make_ended_season(3)
	for given in ({"season": ended}, {"season_name": ended}, {"season": ended, "season_name": ended}):
		assert message(manager.get("memora.api.srs.get_archive_status", **given))["active_records"] == 3
		assert message(manager.post("memora.api.archive_season", **given))["status"] == "dry_run"
		for name in ("rebuild_season_cache", "compute_due_forecast", "trigger_reconciliation"):
			assert message(manager.post(f"memora.api.srs.{name}", **given))["job_id"]
		assert not message(manager.post("memora.api.srs.cancel_rebuild", **given))["cancelled"]
		assert message(manager.post("memora.api.srs.delete_eligible_records", **given))["seasons"] == {}
	for name in ("get_archive_status", "archive_season", "delete_eligible_records", "trigger_reconciliation"):
		refused(manager.post(f"memora.api.srs.{name}", season_name="nowhere"), 404, "UnknownSeason")
	two = manager.post("memora.api.srs.get_archive_status", season=ended, season_name=season)
	refused(two, 400, "InvalidFilter", ended, season)
