"""What an incident's row says: its counts, its last witness, and what managers read of its length."""

from datetime import datetime, timedelta

import frappe
import pytest

from memora.services.cache import incidents
from memora.services.cache.incidents import FLAP_SECONDS
from tests.integration import fleet as members
from tests.integration import state
from tests.integration.connections import in_other_connection
from tests.integration.factories import site_now
from tests.integration.fleet import CONNECTIONS, PROCESSES
from tests.integration.waiting import wait_until

INCIDENT = "Safe Mode Incident"


def the_incident() -> frappe._dict:
	(incident,) = state.rows(INCIDENT)
	return incident


def test_counts_are_written_down_every_few_seconds(monkeypatch):
	incidents.open_incident("gone")
	counts = []
	for seconds in (3600, 0):
		monkeypatch.setattr(incidents, "COUNT_SECONDS", seconds)
		incidents.count(1, 2)
		incidents.write_counts()
		incidents.count(1, 2)
		counts.append((the_incident().requests_served, the_incident().requests_limited))
	assert counts == [(1, 2), (4, 8)]


def test_counts_wait_for_their_incident():
	"""Whoever meets an outage first may count before another process has noted it."""
	incidents.count(1, 2)
	incidents.write_counts()
	incidents.open_incident("gone")
	incidents.write_counts()
	incidents.write_counts()
	assert (the_incident().requests_served, the_incident().requests_limited) == (1, 2)


def test_counts_of_many_connections_add_up(fleet, player):
	fleet.run(members.forget_counts)  # of tests before
	fleet.run(members.read, player=player)

	def written() -> tuple[int, int]:
		fleet.run(members.write_counts)  # keeps what it can't write, while others write
		return the_incident().requests_served, the_incident().requests_limited

	wait_until(lambda: written() == (1, PROCESSES * CONNECTIONS - 1), "all counts")


def test_to_be_told_of_an_incident_is_not_to_meet_it():
	"""Its `modified` says when somebody met it last."""
	incidents.open_incident("gone")
	before = the_incident()
	incidents.tell()
	assert (the_incident().opening_told, the_incident().modified) == (1, before.modified)


def test_an_incident_that_began_meanwhile_is_told():
	frappe.db.sql(f"SELECT COUNT(*) FROM `tab{INCIDENT}`")  # this transaction began before
	in_other_connection(lambda: incidents.open_incident("gone")).result(30)
	incidents.tell()
	assert the_incident().opening_told


@pytest.mark.parametrize(("seconds", "lasted"), [(None, "1s"), (0, "1s"), (1, "1s"), (75.9, "1m 15s")])
def test_what_managers_read_when_it_is_over(seconds, lasted):
	started = datetime(2026, 3, 1, 9, 30, 5, 123456)
	ended = site_now() - timedelta(seconds=FLAP_SECONDS + 1)
	counts = {"requests_served": 7, "requests_limited": 3}
	values = {"started_at": started, "ended_at": ended, "duration": seconds, "opening_told": 1, **counts}
	frappe.get_doc({"doctype": INCIDENT, "reason": "gone", **values}).db_insert()
	frappe.db.commit()
	incidents.tell()
	(told,) = state.rows("Notification Log", for_user="Administrator")
	assert (
		f"began at 2026-03-01 09:30:05 and lasted {lasted}. Reads allowed: 7. Reads put off: 3."
		in told.email_content
	)
