"""What Memora does at the end of a request is done, whatever else fails there."""

from collections.abc import Iterator

import frappe
import pytest

from devtools import ports, processes
from memora.api import utils
from tests.integration import factories, state
from tests.integration.client import Client
from tests.integration.factories import make_learner
from tests.integration.served_beside import FAIL
from tests.integration.site_config import site_config

READ = "/api/method/memora.api.reviews.get_review_session"


@pytest.fixture(scope="module")
def web_beside(site) -> Iterator[processes.Handle]:
	"""Gunicorn beside another app, without any Redis of Frappe's: managers can't be told."""
	dead = f"redis://127.0.0.1:{ports.any_free()}/0"
	environment = {"FRAPPE_REDIS_CACHE": dead, "FRAPPE_REDIS_QUEUE": dead}
	with processes.web(site, env=environment, app="tests.integration.served_beside:application") as web:
		yield web


@pytest.fixture
def nobody_to_tell() -> Iterator[None]:
	"""Notifications can't be written."""
	mandatory = {"fieldname": "from_user", "property": "reqd", "value": 1, "property_type": "Check"}
	setter = {"doctype": "Notification Log", **mandatory}
	frappe.make_property_setter(setter, validate_fields_for_doctype=False)
	frappe.db.commit()
	yield
	frappe.db.delete("Property Setter", {"doc_type": "Notification Log"})
	frappe.db.commit()
	frappe.clear_cache(doctype="Notification Log")


@pytest.fixture
def client(web_beside) -> Iterator[Client]:
	"""A learner during an outage of her own."""
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		yield Client(web_beside.url, make_learner().token)


def check_page(page) -> None:
	assert page.status_code == 200, page.text
	assert "script-src 'nonce-" in page.headers["Content-Security-Policy"]
	assert page.headers["Cache-Control"] == "no-store"
	assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_keeps_its_headers_when_managers_cant_be_told(client, nobody_to_tell):
	check_page(client.request("GET", "/review"))
	assert [row.opening_told for row in state.rows("Safe Mode Incident")] == [0]


@pytest.mark.parametrize("headers", [{}, FAIL], ids=["managers can't be told", "another app's hook fails"])
def test_a_learner_who_is_put_off_is_told_until_when(client, nobody_to_tell, headers):
	client.session.headers.update(headers)
	assert client.request("GET", READ).status_code == 200
	refused = client.request("GET", READ)
	assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
	assert refused.headers["X-Content-Type-Options"] == "nosniff"


def test_a_hook_of_another_app_costs_the_page_no_header(client):
	client.session.headers.update(FAIL)
	check_page(client.request("GET", "/review"))


def test_telling_of_an_incident_commits_nothing_that_a_request_has_left_half_done(season, monkeypatch):
	started = {"started_at": factories.site_now(), "reason": "gone"}
	frappe.get_doc({"doctype": "Safe Mode Incident", **started}).db_insert()
	frappe.db.commit()
	monkeypatch.setitem(frappe.flags, "memora_incident_noted", True)
	frappe.db.set_value("Game Subscription Season", season, "archive_status", "half done")
	utils.tell_of_incident(None, None)
	frappe.db.commit()
	assert [row.opening_told for row in state.rows("Safe Mode Incident")] == [1]
	assert frappe.db.get_value("Game Subscription Season", season, "archive_status") is None
