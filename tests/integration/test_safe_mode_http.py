"""Safe Mode as a learner's client and a manager's desk meet it: gunicorn, Redis at a port where nobody listens."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import frappe
import pytest

from devtools import ports, processes
from memora.services.cache import incidents
from tests.frappe_versions import HAS_SECOND_API
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids
from tests.integration.waiting import wait_until

READ = "memora.api.reviews.get_review_session"
READ_IN_SAFE_MODE = "memora.api.reviews.get_reviews_safe_mode"
SUBMIT = "memora.api.reviews.submit_review_session"
STATUS = "memora.api.utils.get_safe_mode"

WAIT = "Please wait {0} seconds."
NOTIFICATION = "Notification Log"


@pytest.fixture
def no_redis(web) -> Iterator[None]:
	"""An outage of the test's own: where the web processes look, none has looked before."""
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		yield


@pytest.fixture
def client(no_redis, client) -> Client:
	return client


def client_of(web: processes.Handle, *roles: str) -> Client:
	return Client(web.url, make_learner(roles=roles).token)


# Put off


def test_a_learner_reads_once_and_is_told_when_to_come_back(client, player):
	make_records(player, 12)
	session = message(client.get(READ))
	assert (len(ids(session)), session["total_due"], session["is_degraded"]) == (10, 12, True)
	refused = client.get(READ)
	assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
	assert 25 <= int(refused.headers["Retry-After"]) <= 30
	assert WAIT.format(refused.headers["Retry-After"]) in refused.text
	assert "exc" not in refused.json()  # Frappe's traceback
	assert not [row for row in state.rows("Error Log") if "RateLimit" in str(row.method)]


@pytest.mark.parametrize("path", [f"/api/method/{READ}", f"/?cmd={READ}"])
def test_a_page_is_put_off_in_html(client, path):
	message(client.get(READ))
	client.session.headers["Accept"] = "text/html,application/xhtml+xml"
	refused = client.request("GET", path)
	assert refused.status_code == 429
	assert refused.headers["Content-Type"].startswith("text/html")
	assert WAIT.format(refused.headers["Retry-After"]) in refused.text


@pytest.mark.parametrize(
	"headers",
	[
		{"Accept": "text/plain, application/json"},
		{"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
		{"Accept": ""},
	],
)
def test_whoever_takes_json_gets_json(client, headers):
	message(client.get(READ))
	client.session.headers.update(headers)
	refused = client.get(READ)
	assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
	assert refused.headers["Retry-After"]


@pytest.mark.skipif(not HAS_SECOND_API, reason="this Frappe has no second version of its API")
def test_the_second_version_of_the_api_puts_off_too(client):
	path = f"/api/v2/method/{READ}"
	assert client.request("GET", path).json()["data"]["is_degraded"]
	refused = client.request("GET", path)
	assert (refused.status_code, refused.json()["errors"][0]["type"]) == (429, "RateLimitExceeded")
	assert WAIT.format(refused.headers["Retry-After"]) in refused.text


@pytest.fixture
def arabic(client) -> Callable[..., None]:
	"""Translates into the language of the learner's client."""
	client.session.params = {"_lang": "ar"}

	def translate(**texts: str) -> None:
		for source, translated in texts.items():
			values = {"language": "ar", "source_text": source, "translated_text": translated}
			frappe.get_doc({"doctype": "Translation", **values}).insert()
		frappe.db.commit()

	yield translate
	for name in frappe.get_all("Translation", {"language": "ar"}, pluck="name"):
		frappe.delete_doc("Translation", name)
	frappe.db.commit()


def test_the_message_is_in_the_learners_language(client, arabic):
	arabic(**{WAIT: "انتظر {0} ثانية."})
	message(client.get(READ))
	refused = client.get(READ)
	(shown,) = (json.loads(m)["message"] for m in json.loads(refused.json()["_server_messages"]))
	assert shown == f"انتظر {refused.headers['Retry-After']} ثانية."
	client.session.headers["Accept"] = "text/html"
	page = client.get(READ)
	assert f"انتظر {page.headers['Retry-After']} ثانية." in page.text


def test_all_places_taken(client, web):
	"""For a second: web processes remember it for as long as it is true, and other tests come after this one."""
	frappe.db.sql(
		"""INSERT INTO `tabSafe Mode Admission` (name, player, admitted_at)
		SELECT seq, seq, UTC_TIMESTAMP(6) - INTERVAL 59 SECOND FROM seq_1_to_500"""
	)
	frappe.db.commit()
	refused = client.get(READ)
	assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
	assert 1 <= int(refused.headers["Retry-After"]) <= 1 + 30
	wait_until(lambda: client.get(READ).status_code == 200, "a place")
	assert message(client_of(web).get(READ))["is_degraded"]


def test_managers_read_another_learners_in_safe_mode(client, web, player, season):
	make_records(player, 3)
	manager = client_of(web, "Memora Manager")
	assert len(message(manager.get(READ_IN_SAFE_MODE, user=player, season=season))) == 3
	stranger = client_of(web).get(READ_IN_SAFE_MODE, user=player, season=season)
	assert (stranger.status_code, stranger.json()["exc_type"]) == (403, "PermissionError")
	unknown = manager.get(READ_IN_SAFE_MODE, user=player, season="1999")
	assert (unknown.status_code, unknown.json()["exc_type"]) == (404, "UnknownSeason")
	unknown = manager.get(READ_IN_SAFE_MODE, user="nobody", season=season)
	assert (unknown.status_code, unknown.json()["exc_type"]) == (404, "UnknownLearner")


# Answers


def test_answers_are_taken_however_often(client, player):
	message(client.get(READ))
	for question in answers(3):
		result = message(client.post(SUBMIT, responses=as_sent([question])))
		assert (result["status"], result["is_degraded"]) == ("success", True)
	assert [row.source for row in state.journal(player)].count("Safe Mode") >= 1
	assert client.get(READ).status_code == 429


@pytest.mark.slow
def test_without_any_redis_learners_go_on(site, learner, season):
	"""Frappe's own Redis is gone, too. Frappe keeps DocTypes there, so such a request takes long."""
	make_records(learner.name, 3)
	dead = f"redis://127.0.0.1:{ports.any_free()}/0"
	environment = {"FRAPPE_REDIS_CACHE": dead, "FRAPPE_REDIS_QUEUE": dead}
	with site_config(srs_redis_cache=dead), processes.web(site, env=environment) as web:
		client = Client(web.url, learner.token)
		assert len(ids(message(client.get(READ)))) == 3
		refused = client.get(READ)
		result = message(client.post(SUBMIT, responses=as_sent(answers(2))))
	assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
	assert WAIT.format(refused.headers["Retry-After"]) in refused.text
	assert (result["processed"], result["is_degraded"], result["persistence_job_id"]) == (2, True, None)
	assert len(state.journal(learner.name)) == 2
	assert [row.for_user for row in state.rows(NOTIFICATION)] == ["Administrator"]


# Told


def test_the_request_that_finds_redis_gone_tells_managers(client):
	"""A GET, which Frappe does not commit."""
	message(client.get(READ))
	assert [row.for_user for row in state.rows(NOTIFICATION)] == ["Administrator"]
	(incident,) = state.rows("Safe Mode Incident")
	assert (incident.opening_told, incident.closing_told) == (1, 0)
	client.get(READ)
	assert len(state.rows(NOTIFICATION)) == len(state.rows("Error Log")) == 1


def test_managers_are_told_in_the_sites_language(client, arabic):
	arabic(**{"Safe Mode is on": "الوضع الآمن"})
	message(client.get(READ))
	assert [row.subject for row in state.rows(NOTIFICATION)] == ["Safe Mode is on"]


def test_a_notification_that_fails_is_not_the_learners_trouble(client, player):
	mandatory = {"fieldname": "from_user", "property": "reqd", "value": 1, "property_type": "Check"}
	frappe.make_property_setter({"doctype": NOTIFICATION, **mandatory}, validate_fields_for_doctype=False)
	frappe.db.commit()
	result = message(client.post(SUBMIT, responses=as_sent(answers(1))))
	frappe.db.delete("Property Setter", {"doc_type": NOTIFICATION})
	frappe.db.commit()
	frappe.clear_cache(doctype=NOTIFICATION)
	assert result["status"] == "success"
	assert state.rows(NOTIFICATION) == []
	incidents.tell()
	assert [row.for_user for row in state.rows(NOTIFICATION)] == ["Administrator"]


def test_an_outage_under_load_is_one_incident_with_few_error_logs(client, web):
	clients = [client_of(web) for _ in range(8)]

	def use(own: Client) -> list[int]:
		return [own.get(READ).status_code for _ in range(4)]

	with ThreadPoolExecutor(len(clients)) as threads:
		statuses = sorted(one for some in threads.map(use, clients) for one in some)
	assert statuses == [200] * 8 + [429] * 24
	(incident,) = state.rows("Safe Mode Incident")
	assert len(state.rows(NOTIFICATION)) == 1
	assert 1 <= len(state.rows("Error Log")) <= 5


# The desk


def test_the_desk_asks_whether_there_is_an_incident(client, web):
	manager = client_of(web, "Memora Manager")
	assert manager.get(STATUS).json().get("message") is None
	message(client.get(READ))
	(incident,) = state.rows("Safe Mode Incident")
	found = message(manager.get(STATUS))
	assert (found["name"], found["reason"]) == (incident.name, incident.reason)
	assert found["started_at"] == str(incident.started_at)
	for other in (client, Client(web.url)):
		assert other.get(STATUS).status_code == 403
