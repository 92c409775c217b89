"""A site whose learners come by API tokens alone does not fall dormant."""

from collections.abc import Iterator
from datetime import timedelta

import frappe
import pytest
from frappe.utils import now_datetime, scheduler

from memora.services.operations import awake
from tests.integration import state
from tests.integration.client import Client
from tests.integration.factories import make_learner

READ = "memora.api.reviews.get_review_session"
CLOUD = "school.frappe.cloud"  # elsewhere no site of Frappe 16 falls dormant


@pytest.fixture
def on_cloud(monkeypatch) -> None:
	monkeypatch.setattr(frappe.local, "site", CLOUD)


@pytest.fixture
def signed_in(site) -> Iterator[None]:
	"""Nobody has signed in for so many days."""
	before = dict(frappe.db.sql("SELECT name, last_active FROM tabUser"))

	def ago(days: float) -> None:
		moment = now_datetime() - timedelta(days=days)
		frappe.db.delete("Activity Log")
		log = frappe.get_doc({"doctype": "Activity Log", "subject": "Signed in"}).insert()
		frappe.db.set_value("Activity Log", log.name, "modified", moment, update_modified=False)
		frappe.db.sql("UPDATE tabUser SET last_active = %s", moment)
		frappe.db.commit()
		awake._looked_at.clear()
		awake.forget_what_was_found()

	yield ago
	for name, moment in before.items():
		frappe.db.set_value("User", name, "last_active", moment, update_modified=False)
	frappe.db.commit()


def notes() -> int:
	return len(state.rows("Activity Log"))


def test_a_request_by_token_keeps_the_site_awake(web, season, signed_in):
	"""The web process may have looked within the hour: each test of it would be its first."""
	learner = Client(web.url, make_learner().token)
	signed_in(10)
	for _ in range(3):
		assert learner.get(READ).ok
	assert notes() in (1, 2)


def test_a_dormant_site_wakes(on_cloud, signed_in):
	signed_in(10)
	assert scheduler.is_dormant()
	awake.keep_awake()
	frappe.db.rollback()
	assert not scheduler.is_dormant()
	assert scheduler.schedule_jobs_based_on_activity()


@pytest.mark.parametrize(("days", "is_noted"), [(0.5, False), (0.99, False), (1.01, True), (3.9, True)])
def test_use_is_noted_about_once_a_day(on_cloud, signed_in, days, is_noted):
	signed_in(days)
	for _ in range(3):
		awake.keep_awake()
	assert notes() == 1 + is_noted
	assert not scheduler.is_dormant()


def test_a_process_looks_once_an_hour(on_cloud, signed_in):
	signed_in(10)
	awake.keep_awake()
	frappe.db.delete("Activity Log")
	frappe.db.commit()
	awake.keep_awake()
	assert notes() == 0


def test_nobody_is_named(on_cloud, signed_in):
	signed_in(10)
	frappe.set_user(make_learner().user)
	awake.keep_awake()
	frappe.set_user("Administrator")
	(note,) = [row for row in state.rows("Activity Log") if row.subject != "Signed in"]
	assert {note.owner, note.modified_by, note.user} == {"Administrator"}
	assert not note.full_name


def test_what_a_refused_request_has_left_half_done_is_not_committed(on_cloud, signed_in, season):
	signed_in(10)
	before = frappe.db.get_value("Game Subscription Season", season, "archive_status")
	frappe.db.set_value("Game Subscription Season", season, "archive_status", "half done")
	awake.keep_awake()
	frappe.db.rollback()
	assert frappe.db.get_value("Game Subscription Season", season, "archive_status") == before
