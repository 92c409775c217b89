"""The status of the whole, and that managers are told when it changes."""

from datetime import timedelta

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import ports
from memora.services.folding.queueing import get_queue
from memora.services.operations import health
from memora.services.store import outbox
from tests.integration import state
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_waiting_submission, site_now

pytestmark = pytest.mark.usefixtures("any_request_time")


@pytest.fixture
def told():
	"""Returns the subjects that a manager was notified of, oldest first."""
	manager = make_learner(["Memora Manager"]).user

	def subjects() -> list[str]:
		notes = state.rows("Notification Log", for_user=manager)
		return [note.subject for note in sorted(notes, key=lambda note: note.creation)]

	return subjects


def make_old_submission(player: str, season: str, seconds: int) -> None:
	name = make_waiting_submission(player, season)
	created = site_now() - timedelta(seconds=seconds)
	frappe.db.set_value("Review Outbox", name, "creation", created, update_modified=False)
	frappe.db.commit()


@pytest.mark.parametrize(("seconds", "status"), [(0, "ok"), (110, "ok"), (130, "warning"), (610, "critical")])
def test_answers_that_wait(player, season, seconds, status):
	make_old_submission(player, season, seconds)
	found = health.get_health()
	assert found["checks"]["outbox"]["value"] == pytest.approx(seconds, abs=5)
	assert (found["checks"]["outbox"]["status"], found["status"]) == (status, status)


@pytest.fixture
def arabic_site():
	before = frappe.db.get_default("lang")
	frappe.db.set_default("lang", "ar")
	yield
	frappe.db.set_default("lang", before)
	frappe.db.commit()


def test_managers_are_told_in_the_sites_language(arabic_site, told, player, season):
	make_old_submission(player, season, 130)
	language = frappe.local.lang
	health.watch()
	assert told() == ["Memora: تحذير"]
	assert frappe.local.lang == language


def test_managers_are_told_of_changes_once(told, player, season):
	health.watch()
	assert told() == []
	name = make_waiting_submission(player, season)
	outbox.park(name, "a cause", site_now())
	frappe.db.commit()
	for _ in range(3):
		health.watch()
	assert told() == ["Memora: warning"]
	make_old_submission(player, season, 700)
	for _ in range(2):
		health.watch()
	assert told() == ["Memora: warning", "Memora: critical"]
	frappe.db.delete("Review Outbox")
	frappe.db.commit()
	health.watch()
	pass_minutes(15)
	for _ in range(2):
		health.watch()
	assert told() == ["Memora: warning", "Memora: critical", "Memora is healthy again"]


def pass_minutes(minutes: int) -> None:
	since = frappe.db.get_single_value("Memora Health", "better_since")
	earlier = frappe.utils.get_datetime(since) - timedelta(minutes=minutes)
	frappe.db.set_single_value("Memora Health", "better_since", earlier)
	frappe.db.commit()


def wait_for(player: str, season: str, seconds: int) -> None:
	"""The oldest answer waits for so long; no answer waits if it is 0."""
	frappe.db.delete("Review Outbox")
	frappe.db.commit()
	if seconds:
		make_old_submission(player, season, seconds)


def test_a_figure_at_its_limit_tells_nobody_twice(told, player, season):
	"""The limit is 120 s."""
	for _ in range(2):
		for seconds in (130, 110, 60):
			wait_for(player, season, seconds)
			health.watch()
	assert told() == ["Memora: warning"]
	pass_minutes(5)
	health.watch()
	assert told() == ["Memora: warning"]
	pass_minutes(10)
	health.watch()
	assert told() == ["Memora: warning", "Memora is healthy again"]


def test_a_figure_close_below_its_limit_is_told_after_an_hour(told, player, season):
	wait_for(player, season, 130)
	health.watch()
	wait_for(player, season, 110)
	health.watch()
	pass_minutes(59)
	health.watch()
	assert told() == ["Memora: warning"]
	pass_minutes(1)
	health.watch()
	assert told() == ["Memora: warning", "Memora is healthy again"]


def test_worse_is_told_at_once_also_while_better_lasts(told, player, season):
	for seconds in (700, 130, 700, 130):
		wait_for(player, season, seconds)
		health.watch()
	pass_minutes(15)
	health.watch()
	assert told() == ["Memora: critical", "Memora: warning"]
	wait_for(player, season, 700)
	health.watch()
	assert told() == ["Memora: critical", "Memora: warning", "Memora: critical"]


def test_a_change_says_what_is_wrong(told, player, season):
	make_old_submission(player, season, 700)
	health.watch()
	(note,) = {note.email_content for note in state.rows("Notification Log")}
	assert note.startswith("1 submission has waited 11m 4")
	assert frappe.get_doc("Memora Health").message == note


def test_no_redis_at_all_is_told(told):
	for where in ("srs_redis_cache", "redis_queue"):
		frappe.local.conf[where] = f"redis://127.0.0.1:{ports.any_free()}/0"
	health.watch()
	health.watch()
	assert told() == ["Memora: critical"]


def test_what_could_not_be_told_is_told_the_next_time(told, player, season):
	make_old_submission(player, season, 700)
	frappe.db.sql("SET SESSION lock_wait_timeout = 1")
	try:
		with raw_connection() as other, other.cursor() as cursor:
			cursor.execute("LOCK TABLES `tabNotification Log` WRITE")
			with pytest.raises(frappe.QueryTimeoutError):
				health.watch()
	finally:
		frappe.db.rollback()
		frappe.db.sql("SET SESSION lock_wait_timeout = DEFAULT")
	health.watch()
	assert told() == ["Memora: critical"]


def test_jobs_that_wait():
	queue = background_jobs.get_queue(get_queue())
	frappe.get_single("Memora Settings").update({"queue_warning_jobs": 2, "queue_critical_jobs": 4}).save()
	found = []
	for _ in range(5):
		queue.enqueue("frappe.ping")
		found.append(health.get_health()["checks"]["queue_depth"])
	assert [check["value"] for check in found] == [1, 2, 3, 4, 5]
	assert [check["status"] for check in found] == ["ok", "ok", "warning", "warning", "critical"]
