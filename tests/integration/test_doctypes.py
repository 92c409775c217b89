"""Each role sees and changes only what it may of the app's documents, over the desk's HTTP interface."""

from urllib.parse import quote

import frappe
import pytest

from memora.exceptions import InvalidSettings
from memora.services.settings import Settings, get_settings
from memora.services.store import failures, row_names
from tests.integration import state
from tests.integration.client import Client
from tests.integration.factories import STANDING_SEASON, make_learner, make_records, make_season, site_now
from tests.integration.submitting import answers, submit

WRITTEN_BY_ANSWERS = (
	"Player Memory Tracker",
	"Player Review Log",
	"Archived Memory Tracker",
	"Review Outbox",
)
MANAGERS = ("System Manager", "Memora Manager")


@pytest.fixture
def populated(player, season) -> dict[str, str]:
	"""The name of a row of each of the four tables."""
	make_records(player, 1)
	submit(player, answers(1))
	archived = {
		"player": player,
		"season": season,
		"question_id": "q-1",
		"next_review_date": site_now(),
		"archived_at": site_now(),
	}
	frappe.get_doc({"doctype": "Archived Memory Tracker", **archived}).insert(ignore_permissions=True)
	frappe.db.commit()
	return {doctype: state.rows(doctype)[0].name for doctype in WRITTEN_BY_ANSWERS}


@pytest.fixture(params=["Administrator", *MANAGERS, "learner"])
def anybody(request, web) -> Client:
	if request.param == "Administrator":
		return request.getfixturevalue("administrator")
	roles = [request.param] if request.param in MANAGERS else []
	return Client(web.url, make_learner(roles=roles).token)


@pytest.fixture(params=MANAGERS)
def manager_client(request, web) -> Client:
	return Client(web.url, make_learner(roles=[request.param]).token)


def resource(doctype: str, name: str = "") -> str:
	return f"/api/resource/{quote(doctype)}" + (f"/{quote(name)}" if name else "")


@pytest.mark.parametrize("doctype", WRITTEN_BY_ANSWERS)
def test_nobody_writes_what_answers_write(anybody, populated, player, season, doctype):
	values = {"player": player, "season": season, "question_id": "forged", "submission_id": "forged"}
	name = populated[doctype]
	with state.nothing_changes():
		assert anybody.request("POST", resource(doctype), json=values).status_code == 403
		assert anybody.request("PUT", resource(doctype, name), json={"stability": 1}).status_code == 403
		assert anybody.request("DELETE", resource(doctype, name)).status_code == 403


@pytest.mark.parametrize("doctype", WRITTEN_BY_ANSWERS)
def test_nobody_writes_it_by_way_of_the_desk_either(administrator, populated, player, doctype):
	name = populated[doctype]
	calls = {
		"frappe.client.set_value": {"doctype": doctype, "name": name, "fieldname": "season", "value": ""},
		"frappe.client.delete": {"doctype": doctype, "name": name},
		"frappe.client.insert": {"doc": {"doctype": doctype, "player": player}},
		"frappe.client.save": {"doc": {"doctype": doctype, "name": name, "player": player}},
		"frappe.client.rename_doc": {"doctype": doctype, "old_name": name, "new_name": "forged"},
	}
	with state.nothing_changes():
		for method, arguments in calls.items():
			assert administrator.post(method, **arguments).status_code != 200, method


@pytest.mark.parametrize("doctype", WRITTEN_BY_ANSWERS)
def test_managers_read_what_answers_wrote(manager_client, populated, player, doctype):
	listed = manager_client.request("GET", resource(doctype))
	assert listed.status_code == 200, listed.text
	assert [row["name"] for row in listed.json()["data"]] == [populated[doctype]]
	shown = manager_client.request("GET", resource(doctype, populated[doctype]))
	assert shown.status_code == 200, shown.text
	assert shown.json()["data"]["player"] == player


@pytest.mark.parametrize("doctype", WRITTEN_BY_ANSWERS)
def test_learners_see_nothing_of_what_answers_wrote(client, populated, doctype):
	assert client.request("GET", resource(doctype)).status_code == 403
	assert client.request("GET", resource(doctype, populated[doctype])).status_code == 403


@pytest.mark.parametrize(
	("doctype", "name"),
	[
		("Game Question", "bank-geo-africa-001"),
		("Game Subscription Season", STANDING_SEASON),
		("Memora Settings", "Memora Settings"),
	],
)
def test_learners_see_no_questions_seasons_and_settings_in_the_desk(client, doctype, name):
	assert client.request("GET", resource(doctype, name)).status_code == 403


@pytest.mark.parametrize(
	"doctype", ["Game Subject", "Game Topic", "Game Question", "Game Subscription Season"]
)
def test_learners_write_no_questions_and_no_seasons(client, doctype):
	before = frappe.db.count(doctype)
	assert client.request("POST", resource(doctype), json={"subject_name": "mine"}).status_code == 403
	frappe.db.rollback()
	assert frappe.db.count(doctype) == before


def test_managers_make_seasons_and_questions(manager_client):
	season = {"season_name": "By HTTP", "start_date": "2026-01-01", "end_date": "2026-12-31"}
	made = manager_client.request("POST", resource("Game Subscription Season"), json=season)
	assert made.status_code == 200, made.text
	assert made.json()["data"]["partition_created"] == 1
	subject = manager_client.request("POST", resource("Game Subject"), json={"subject_name": "By HTTP"})
	assert subject.status_code == 200, subject.text
	frappe.db.rollback()
	assert frappe.db.exists("Game Subscription Season", "By HTTP")


@pytest.mark.parametrize(
	("change", "status", "exception"),
	[
		({"season_name": " ", "end_date": "2026-12-31"}, 400, "InvalidSeason"),
		({"season_name": "Backwards", "end_date": "2025-12-31"}, 400, "InvalidSeason"),
		({"season_name": "Second", "end_date": "2026-12-31", "is_active": 1}, 409, "SeasonStateError"),
		({"season_name": "season-2026", "end_date": "2026-12-31"}, 409, "DuplicateEntryError"),
	],
)
def test_errors_of_seasons_have_their_status(web, season, change, status, exception):
	manager_client = Client(web.url, make_learner(roles=["Memora Manager"]).token)
	before = state.rows("Game Subscription Season")
	response = manager_client.request(
		"POST", resource("Game Subscription Season"), json={"start_date": "2026-01-01", **change}
	)
	assert (response.status_code, response.json()["exc_type"]) == (status, exception)
	assert state.rows("Game Subscription Season") == before


def test_a_form_says_who_wrote_a_row(populated, learner):
	"""The tables have no owner."""
	for writer in (learner.user, "Administrator"):
		row = frappe.get_doc("Player Memory Tracker", populated["Player Memory Tracker"])
		row.run_method("onload")
		assert (row.owner, row.modified_by) == (writer, writer)
		frappe.db.set_value("Memora Learner", learner.name, "user", None)
		frappe.db.commit()


# Names


@pytest.mark.parametrize("doctype", ["Player Memory Tracker", "Archived Memory Tracker"])
def test_a_row_inserted_through_the_orm_has_the_name_that_answers_give(player, season, doctype):
	values = {"player": player, "season": season, "question_id": "q-1"}
	doc = frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
	assert doc.name == row_names.tracker_name(player, season, "q-1")
	with pytest.raises((frappe.DuplicateEntryError, *failures.ERRORS), match="uplicate|exists"):
		frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
	assert frappe.db.count(doctype) == 1


def test_a_journal_row_inserted_through_the_orm_has_the_name_that_answers_give(player, season):
	values = {"player": player, "season": season, "question_id": "q-1", "submission_id": "s-1"}
	doc = frappe.get_doc({"doctype": "Player Review Log", **values}).insert(ignore_permissions=True)
	assert doc.name == row_names.journal_name(player, season, "s-1", "q-1")


@pytest.mark.parametrize("missing", ["player", "season", "question_id"])
def test_a_tracker_row_needs_learner_season_and_question(player, season, missing):
	values = {"player": player, "season": season, "question_id": "q-1", missing: None}
	with pytest.raises((frappe.ValidationError, TypeError, ValueError)):
		frappe.get_doc({"doctype": "Player Memory Tracker", **values}).insert(ignore_permissions=True)
	assert state.rows("Player Memory Tracker") == []


def test_a_fold_finds_the_row_that_the_orm_made(player, season):
	values = {"player": player, "season": make_season().name, "question_id": "q-1"}
	frappe.get_doc({"doctype": "Player Memory Tracker", **values}).insert(ignore_permissions=True)
	frappe.db.commit()
	make_records(player, question_ids=["q-1"], season=values["season"], reps=3)
	(row,) = state.rows("Player Memory Tracker")
	assert row.reps == 3


# Settings


def test_settings_are_those_of_the_seeds_until_somebody_changes_them():
	assert get_settings() == Settings(time_zone=frappe.utils.get_system_timezone())
	doc = frappe.get_single("Memora Settings")
	assert {
		f: doc.get(f) for f in ("day_start_hour", "desired_retention", "new_per_day", "cache_ttl_days")
	} == {
		"day_start_hour": 4,
		"desired_retention": 0.9,
		"new_per_day": 20,
		"cache_ttl_days": 30,
	}


def test_changed_settings_hold_at_once_in_this_process():
	frappe.get_single("Memora Settings").update({"new_per_day": 7, "desired_retention": 0.85}).save()
	assert (get_settings().new_per_day, get_settings().desired_retention) == (7, 0.85)


@pytest.mark.parametrize("value", [0])
def test_a_setting_of_zero_is_a_setting(value):
	frappe.get_single("Memora Settings").update({"new_per_day": value, "day_start_hour": value}).save()
	assert (get_settings().new_per_day, get_settings().day_start_hour) == (0, 0)


@pytest.mark.parametrize(
	("field", "value"),
	[
		("day_start_hour", -1),
		("day_start_hour", 24),
		("desired_retention", 0.69),
		("desired_retention", 0.98),
		("new_per_day", -1),
		("new_per_day", 1001),
		("cache_ttl_days", 0),
		("cache_ttl_days", 3651),
		("redis_memory_critical_percent", 101),
		("read_p99_critical_ms", 99),  # less than the warning
		("queue_warning_jobs", 5001),  # more than the critical
	],
)
def test_a_setting_outside_its_range_is_refused(field, value):
	before = get_settings()
	with pytest.raises(InvalidSettings, match=str(value)):
		frappe.get_single("Memora Settings").update({field: value}).save()
	frappe.db.rollback()
	assert get_settings() == before
