"""What store/incident_rows notes of an outage, and of no other."""

from datetime import datetime, timedelta
from typing import Any

import frappe
import pytest

from memora.services.store import failures, incident_rows
from memora.services.store.incident_rows import CLOSING_IS_TO_TELL, OPENING_IS_TO_TELL
from tests.integration import state
from tests.integration.connections import raw_connection

INCIDENT = "Safe Mode Incident"
NOW = datetime(2026, 3, 2, 9)
FLAP_SECONDS = 60
SINGLE_SQL = "INSERT INTO tabSingles (doctype, field, value) VALUES (%s, %s, %s)"
TELL_SQL = f"UPDATE `tab{INCIDENT}` SET opening_told = 1 WHERE name = %s"


def ago(minutes: float) -> datetime:
	return NOW - timedelta(minutes=minutes)


def make(name: str, started: datetime, ended: datetime | None = None, **values: Any) -> str:
	doc = frappe.new_doc(
		INCIDENT, name=name, started_at=started, ended_at=ended, **{"reason": name, **values}
	)
	doc.db_insert()
	values = {"name": name, "modified": ended or started, "duration": 1 if ended else None}
	frappe.db.sql(
		f"UPDATE `tab{INCIDENT}` SET modified = %(modified)s, duration = %(duration)s WHERE name = %(name)s",
		values,
	)
	frappe.db.commit()
	return name


@pytest.fixture
def over(site) -> list[str]:
	"""Three that are over. Neither by name nor as they were made are they in the order in which they began."""
	return [
		make("c", ago(30), ago(20), requests_served=4, requests_limited=40),
		make("a", ago(50), ago(45), requests_served=2, requests_limited=20),
		make("b", ago(90), ago(80), requests_served=1, requests_limited=10),
	]


def all_rows() -> dict[str, frappe._dict]:
	return {row.name: row for row in state.rows(INCIDENT)}


def assert_changed(before: dict[str, frappe._dict], **expected: dict[str, Any]) -> None:
	"""The incidents are as before, but for these values of some."""
	assert all_rows() == before | {name: before[name] | values for name, values in expected.items()}


def fails_with(cursor: Any, statement: str, *values: Any) -> int:
	try:
		cursor.execute(statement, values)
	except failures.ERRORS as error:
		return failures.number_of(error)
	return 0


# Opening and closing


def test_an_incident_that_is_open_goes_on_and_the_others_are_over(over):
	make("d", ago(10))
	before = all_rows()
	incident_rows.open_incident("again", NOW, FLAP_SECONDS)
	assert_changed(before, d={"modified": NOW})


@pytest.mark.parametrize(("seconds", "is_new"), [(0, False), (59, False), (60, True), (61, True)])
def test_one_that_ended_less_than_a_moment_ago_is_opened_again(over, seconds, is_new):
	make("d", ago(10), NOW - timedelta(seconds=seconds))
	before = all_rows()
	incident_rows.open_incident("again", NOW, FLAP_SECONDS)
	if not is_new:
		return assert_changed(before, d={"ended_at": None, "duration": None, "modified": NOW})
	found = all_rows()
	(name,) = found.keys() - before.keys()
	assert {**found, name: None} == {**before, name: None}
	new = found[name]
	assert (new.started_at, new.ended_at, new.duration, new.reason) == (NOW, None, None, "again")
	assert (new.creation, new.modified, new.requests_served, new.requests_limited) == (NOW, NOW, 0, 0)


def test_the_first_is_noted_with_as_much_of_its_reason_as_there_is_room_for(site):
	incident_rows.open_incident("x" * 200, NOW, FLAP_SECONDS)
	assert [row.reason for row in all_rows().values()] == ["x" * incident_rows.REASON_LENGTH]


def test_without_schedules_in_redis_none_is_noted(season):
	frappe.db.set_value("Game Subscription Season", season, "enable_redis", 0)
	frappe.db.commit()
	incident_rows.open_incident("gone", NOW, FLAP_SECONDS)
	assert all_rows() == {}


def test_while_another_process_notes_it_nobody_else_does(site, monkeypatch):
	monkeypatch.setattr(incident_rows, "LOCK_WAIT_SECONDS", 0)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute(incident_rows.LOCK_SQL, (0,))
		incident_rows.open_incident("gone", NOW, FLAP_SECONDS)
	assert all_rows() == {}
	incident_rows.open_incident("gone", NOW, FLAP_SECONDS)
	assert len(all_rows()) == 1


def test_those_that_are_open_end_and_those_that_are_over_stay_as_they_are(over):
	for name, minutes in (("d", 10), ("e", 5)):
		make(name, ago(minutes))
	before = all_rows()
	for met_before, ended in ((ago(10), []), (ago(5), ["d"]), (None, ["e"])):
		incident_rows.close_incidents(NOW, met_before)
		for name in ended:
			seconds = (NOW - before[name].started_at).total_seconds()
			before[name] |= {"ended_at": NOW, "modified": NOW, "duration": seconds}
		assert_changed(before)


def test_the_one_that_is_open_is_the_first_that_began(over):
	assert incident_rows.get_open() is None
	for name, minutes in (("x", 10), ("e", 5), ("y", 3)):
		make(name, ago(minutes))
	assert incident_rows.get_open() == {"name": "x", "started_at": ago(10), "reason": "x"}


# Counting and clearing


def test_requests_are_added_to_the_latest(over):
	before = all_rows()
	incident_rows.add_counts({"served": 5, "limited": 7})
	assert_changed(before, c={"requests_served": 9, "requests_limited": 47})


def test_what_is_cleared_is_counted_on(over):
	for name in ("cleared_incidents", "cleared_served"):
		frappe.db.sql(SINGLE_SQL, ("Not Memora", name, 100))
	make("d", ago(10), requests_served=8, requests_limited=80)
	totals = {"incidents": 4, "served": 15, "limited": 150}
	try:
		assert incident_rows.get_totals() == totals
		for before, cleared, left in (
			(ago(80), 0, {*"abcd"}),
			(ago(79), 1, {*"acd"}),
			(NOW, 2, {*"d"}),
			(NOW, 0, {*"d"}),
		):
			assert incident_rows.clear_old(before) == cleared
			assert all_rows().keys() == left
			assert incident_rows.get_totals() == totals
	finally:
		frappe.db.sql("DELETE FROM tabSingles WHERE doctype = 'Not Memora'")
		frappe.db.commit()


# Telling


def test_each_is_claimed_that_nobody_has_told_of_the_first_first(over):
	make("d", ago(10), opening_told=1)
	columns = ("name", "started_at", "duration", "reason", "host", "requests_served", "requests_limited")
	expected = [{column: all_rows()[name][column] for column in columns} for name in "bac"]
	assert list(incident_rows.claim_untold(OPENING_IS_TO_TELL)) == expected
	frappe.db.rollback()
	frappe.db.set_value(INCIDENT, "a", "closing_told", 1)
	frappe.db.commit()
	for over_since, names in ((ago(80), []), (ago(20), ["b"]), (NOW, ["b", "c"])):
		found = incident_rows.claim_untold(CLOSING_IS_TO_TELL, over_since=over_since)
		assert [row.name for row in found] == names
	frappe.db.rollback()


def test_one_that_another_tells_of_is_left_to_it(over):
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SET innodb_lock_wait_timeout = 0")
		found = incident_rows.claim_untold(OPENING_IS_TO_TELL)
		assert next(found).name == "b"
		assert fails_with(cursor, TELL_SQL, "b") == 1205
		assert fails_with(cursor, TELL_SQL, "a") == 0
		frappe.db.sql("SET SESSION innodb_lock_wait_timeout = 1")
		try:
			assert [row.name for row in found] == ["c"]
		finally:
			frappe.db.sql("SET SESSION innodb_lock_wait_timeout = DEFAULT")
			frappe.db.rollback()


def test_one_that_was_told_of_since_the_look_is_told_of_once(over):
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		found = incident_rows.claim_untold(OPENING_IS_TO_TELL)
		assert next(found).name == "b"
		cursor.execute(TELL_SQL, ("a",))
		assert [row.name for row in found] == ["c"]
	frappe.db.rollback()
