"""Bodies that no endpoint can take: what can't be read as JSON, and answers that make no sense."""

import json

import pytest
from requests import Response

from tests.frappe_versions import HAS_SECOND_API, reads
from tests.integration import state
from tests.integration.client import Client
from tests.integration.test_http import FIRST, GOOD, READ, SECOND, SUBMIT, SUBMIT_LESSON, refused


def post_body(client: Client, method: str, body: str | bytes, base: str = "/api/method/") -> Response:
	"""Sends a body as JSON, whatever it holds: requests' own `json` refuses NaN."""
	return client.request("POST", base + method, data=body, headers={"Content-Type": "application/json"})


BAD_RESPONSES = {
	"empty": [],
	"51 long": [{"question_id": f"q-{i}", "quality": 4} for i in range(51)],
	"an object": GOOD,
	"a text": "not json",
	"a number": 5,
	"null": None,
	"a list of texts": [FIRST],
	"missing question": [{"quality": 4}],
	"question null": [{"question_id": None, "quality": 4}],
	"quality missing": [{"question_id": FIRST}],
	"quality 6": [{**GOOD, "quality": 6}],
	"quality -1": [{**GOOD, "quality": -1}],
	"quality 3.5": [{**GOOD, "quality": 3.5}],
	"quality NaN": [{**GOOD, "quality": float("nan")}],
	"quality null": [{**GOOD, "quality": None}],
	"quality '4'": [{**GOOD, "quality": "4"}],
	"quality true": [{**GOOD, "quality": True}],
	"is_correct 1": [{"question_id": FIRST, "is_correct": 1}],
	"response_time_ms -5": [{**GOOD, "response_time_ms": -5}],
	"response_time_ms 1e12": [{**GOOD, "response_time_ms": 1e12}],
	"duplicate": [GOOD, {**GOOD, "quality": 1}],
	"one bad among good": [GOOD, {"question_id": SECOND, "quality": 9}],
}


@pytest.mark.parametrize("method", [SUBMIT, SUBMIT_LESSON])
@pytest.mark.parametrize("responses", BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_malformed_responses(client, method, responses):
	body = json.dumps({"responses": responses})
	named = ("InvalidResponses", "responses") if reads(body.encode()) else ("InvalidBody",)
	with state.nothing_changes():
		refused(post_body(client, method, body), 400, *named)


@pytest.mark.parametrize("text", ["[", "{]", "", "[{]", "nope"])
def test_responses_that_are_no_json(client, text):
	with state.nothing_changes():
		response = client.request("POST", f"/api/method/{SUBMIT}", data={"responses": text})
		refused(response, 400, "InvalidResponses", "responses")


UNREADABLE = [b'{"responses": [', b"5", b"null", b'"{}"', b"\xff\xfe", b"[" * 60_000]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
@pytest.mark.parametrize("method", [SUBMIT, READ])
def test_a_body_that_frappe_can_not_read(client, method, body):
	"""Frappe does not ask the app; the app names the error all the same."""
	with state.nothing_changes():
		refused(post_body(client, method, body), 400, "InvalidBody", "JSON object")


@pytest.mark.skipif(not HAS_SECOND_API, reason="this Frappe has no second version of its API")
def test_a_body_that_frappe_can_not_read_in_its_second_api(client):
	response = post_body(client, SUBMIT, b"{", "/api/v2/method/")
	assert (response.status_code, response.json()["errors"][0]["type"]) == (400, "InvalidBody")
	assert "JSON object" in response.text


LARGE = 64 * 1024


@pytest.mark.parametrize("method", [SUBMIT, SUBMIT_LESSON, READ])
@pytest.mark.parametrize(
	"content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_a_large_body_is_refused(client, method, content_type):
	options = {"data": b"1" * (LARGE + 1), "headers": {"Content-Type": content_type}}
	with state.nothing_changes():
		for _attempt in range(10):  # by processes that have been asked before, and by others
			refused(
				client.request("POST", f"/api/method/{method}", **options), 413, "BodyTooLarge", str(LARGE)
			)


def test_a_body_that_does_not_say_its_size_is_refused(client):
	body = json.dumps({"responses": [GOOD]}).encode()
	with state.nothing_changes():
		refused(post_body(client, SUBMIT, iter([body])), 413, "BodyTooLarge")


def test_a_body_just_as_large_is_read(client):
	body = json.dumps({"responses": [GOOD], "csrf_token": ""}).encode()
	response = post_body(client, SUBMIT, body[:-2] + b"x" * (LARGE - len(body)) + body[-2:])
	assert response.status_code == 200


def test_other_apps_read_large_bodies(client):
	response = post_body(client, "frappe.auth.get_logged_user", b'{"a": "' + b"x" * LARGE + b'"}')
	assert response.status_code == 200


@pytest.mark.parametrize("body", [b"[]", b""])
def test_a_body_without_arguments(client, body):
	named = "InvalidResponses" if reads(body) else "InvalidBody"
	with state.nothing_changes():
		refused(post_body(client, SUBMIT, body), 400, named)


def test_a_body_that_frappe_can_not_read_for_another_app(client):
	response = post_body(client, "frappe.auth.get_logged_user", b"{")
	assert response.status_code in (417, 500)
	assert "InvalidBody" not in response.text


def test_a_large_body_is_refused_before_the_server_works_for_it(client):
	"""Frappe's way to an error would take as long as an answer: so nobody is asked who sends it."""
	options = {"data": b"1" * (LARGE + 1), "headers": {"Authorization": "token wrong:wrong"}}
	response = client.request("POST", f"/api/method/{SUBMIT}", **options)
	refused(response, 413, "BodyTooLarge", str(LARGE))
	assert response.headers["X-Content-Type-Options"] == "nosniff"
