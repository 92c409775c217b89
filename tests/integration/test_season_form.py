"""The season's form asks before it acts; over HTTP, with a real worker, and at a bounded cost."""

import json

import frappe
import pytest
from frappe.utils import add_days, today

from devtools import ports, processes
from memora.services import srs_archiver, srs_redis_manager
from memora.services.cache import rebuild, reconciliation
from memora.services.operations import archiving, season_state
from memora.services.store import database, tables
from tests.integration import state
from tests.integration.archiving import TRACKER, make_ended_season, rows_by_table, stored
from tests.integration.client import Client, message
from tests.integration.connections import in_other_connection
from tests.integration.factories import make_learner, make_records, make_season
from tests.integration.test_admin_api import result_of
from tests.integration.test_budgets import counted
from tests.integration.test_http import refused
from tests.integration.test_retention import archived, make_archived_season
from tests.integration.waiting import wait_until

API = "memora.api.desk."
DOCTYPE = "Game Subscription Season"


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.fixture(scope="module")
def worker(site):
	with processes.worker(["long"]) as handle:
		yield handle


def set_values(season: str, **values) -> None:
	frappe.db.set_value(DOCTYPE, season, values, update_modified=False)
	frappe.db.commit()


def look(season: str) -> dict:
	frappe.db.rollback()
	return season_state.get_season_state(season)


# Who may


@pytest.mark.parametrize("who", ["guest", "client"])
def test_guests_and_learners_may_do_nothing(who, request, season):
	caller = request.getfixturevalue(who)
	with state.nothing_changes():
		for endpoint in ("get_season_state", "archive_season", "delete_eligible_records", "get_memory"):
			arguments = {"season": season, "typed_name": season} if endpoint != "get_memory" else {}
			refused(caller.post(API + endpoint, **arguments), 403, "PermissionError")


def test_managers_see_where_a_season_stands(each_manager, season):
	found = message(each_manager.get(f"{API}get_season_state", season=season))
	assert found["season"] == season
	assert found["actions"] == ["rebuild", "reconcile"]
	assert not found["is_busy"]


def test_what_changes_something_takes_no_get(manager, season):
	with state.nothing_changes():
		for endpoint in ("archive_season", "delete_eligible_records"):
			refused(manager.get(API + endpoint, season=season, typed_name=season), 403, "PermissionError")


# Bad names


@pytest.mark.parametrize(
	("endpoint", "arguments", "status", "exception", "named"),
	[
		("get_season_state", {}, 400, "InvalidFilter", "season is missing"),
		("get_season_state", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("get_season_state", {"season": "x" * 141}, 400, "InvalidFilter", "at most 140"),
		("archive_season", {"season": "Nowhere", "typed_name": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("archive_season", {"season": "SEASON-2026"}, 400, "NotConfirmed", "SEASON-2026"),
		(
			"archive_season",
			{"season": "SEASON-2026", "typed_name": "SEASON-2026"},
			409,
			"SeasonStateError",
			"active",
		),
		(
			"delete_eligible_records",
			{"season": "SEASON-2026", "typed_name": ""},
			400,
			"NotConfirmed",
			"SEASON-2026",
		),
		("delete_eligible_records", {"typed_name": "x"}, 400, "InvalidFilter", "season is missing"),
	],
)
def test_bad_names_are_named_and_change_nothing(manager, endpoint, arguments, status, exception, named):
	with state.nothing_changes():
		refused(manager.post(API + endpoint, **arguments), status, exception, named)


@pytest.mark.parametrize("typed", ["season", "another", "", True, " "])
def test_what_moves_or_deletes_is_confirmed_by_the_exact_name(manager, typed):
	over = make_ended_season(4)
	with state.nothing_changes():
		for endpoint in ("archive_season", "delete_eligible_records"):
			answer = manager.post(API + endpoint, season=over, typed_name=typed and str(typed))
			refused(answer, 400, "NotConfirmed", "To confirm, type the season's name")


# Archive and retention


def test_a_season_whose_end_lies_ahead_is_archived_by_who_confirms_it_twice(worker, manager):
	ahead = make_ended_season(5, end_date=add_days(today(), 9))
	typed = {"season": ahead, "typed_name": ahead}
	with state.nothing_changes():
		shown = message(manager.post("memora.api.srs.archive_season", season=ahead))
		refused(manager.post(f"{API}archive_season", **typed), 409, "SeasonNotOver", "before_its_end")
	assert shown["is_over"] is False
	started = message(manager.post(f"{API}archive_season", **typed, before_its_end=1))
	assert result_of(manager, started)["result"]["archived_count"] == 5


def test_a_season_whose_name_was_typed_is_archived(worker, manager):
	over = make_ended_season(20)
	assert look(over)["actions"] == ["switch", "rebuild", "reconcile", "archive"]
	started = message(manager.post(f"{API}archive_season", season=over.upper(), typed_name=over))
	assert json.loads(stored(over).jobs) == {"archive": started["job_id"]}
	assert result_of(manager, started)["status"] == "finished"
	found = look(over)
	assert found["archive"]["archived_records"] == 20
	assert (found["archive"]["percent"], found["archive"]["error"], found["is_busy"]) == (100, None, False)
	assert found["jobs"]["archive"]["status"] == "finished"
	assert found["actions"] == ["retention"]


def test_retention_deletes_what_is_flagged_once_the_name_was_typed(worker, manager):
	over = make_archived_season(20, old_rows=7, flagged=7)
	started = message(manager.post(f"{API}delete_eligible_records", season=over, typed_name=over))
	assert result_of(manager, started)["result"]["deleted_count"] == 7
	assert archived(over) == 13


def test_a_job_that_waits_shows_as_one_that_waits(manager):
	over = make_ended_season(4)
	message(manager.post(f"{API}archive_season", season=over, typed_name=over))
	found = look(over)
	assert (found["archive"]["percent"], found["is_busy"]) == (0, True)
	assert "archive" not in found["actions"]


def test_an_archive_run_is_seen_at_each_step(monkeypatch):
	over = make_ended_season(4)
	seen = []

	def at_step(season, step, done):
		report(season, step, done)
		seen.append(in_other_connection(lambda: season_state.get_season_state(over)["archive"]).result(10))

	report = archiving._report
	monkeypatch.setattr(archiving, "_report", at_step)
	assert srs_archiver.archive_season(over)["success"]
	assert [round(archive["percent"]) for archive in seen] == [17, 33, 50, 67, 83]
	assert seen[1]["status"] == "Removing the rows from the tracker"
	assert {archive["error"] for archive in seen} == {None}


def test_why_archiving_stopped_stands_by_the_archive():
	over = make_ended_season(4)
	set_values(
		over,
		archive_started_at="2026-01-01 10:00:00",
		archive_status="Stopped: the disk is full",
		archive_step=0,
	)
	found = look(over)
	assert found["archive"]["error"] == "Stopped: the disk is full"
	assert found["cache"]["error"] is None
	assert found["actions"] == ["archive"]


def test_an_archive_run_that_was_killed_is_not_shown_as_going_on():
	over = make_ended_season(4)
	set_values(over, archive_started_at="2026-01-01 10:00:00", archive_status="Counting", archive_step=5)
	found = look(over)
	assert found["archive"]["error"].startswith("Archiving was cut off at: Counting.")
	assert (found["archive"]["is_running"], found["is_busy"], found["actions"]) == (False, False, ["archive"])


def test_a_refusal_of_the_job_stands_by_the_archive(worker, manager, player):
	"""Answers that can't be folded are found by the worker alone."""
	over = make_ended_season(4)
	parked = {"player": player, "season": over, "payload": "[]", "parked_at": "2026-01-01"}
	frappe.get_doc({"doctype": "Review Outbox", **parked}).insert(set_name="parked", ignore_permissions=True)
	frappe.db.commit()
	started = message(manager.post(f"{API}archive_season", season=over, typed_name=over))
	assert result_of(manager, started)["status"] == "failed"
	assert "wait in Review Outbox" in look(over)["archive"]["error"]
	assert rows_by_table(over).keys() == {TRACKER}


# Cache


def test_a_rebuild_is_seen_while_it_goes_on(player, season):
	make_records(player, 4)
	seen = []

	def progress(doc):
		if doc.status == "Running":
			seen.append(in_other_connection(lambda: season_state.get_season_state(season)).result(10))

	rebuild.rebuild_cache(season, 1, progress=progress)
	assert seen[0]["is_busy"]
	assert 0 < seen[0]["cache"]["percent"] <= 99
	assert (seen[0]["actions"], seen[0]["cache"]["rebuild"]["records"]) == (
		["cancel_rebuild", "reconcile"],
		4,
	)
	found = look(season)["cache"]
	assert (found["percent"], found["rebuild"]["status"], found["error"]) == (100, "Completed", None)


def test_a_rebuild_that_was_killed_is_not_shown_as_going_on(season):
	frappe.get_doc(
		{"doctype": "Cache Rebuild", "season": season, "status": "Running", "started_at": "2026-01-01"}
	).insert()
	frappe.db.commit()
	found = look(season)
	assert found["cache"]["error"].startswith("The rebuild was cut off.")
	assert (found["cache"]["is_running"], found["is_busy"], found["actions"]) == (
		False,
		False,
		["rebuild", "reconcile"],
	)
	with database.named_lock(rebuild.lock_name(season), 0):
		found = in_other_connection(lambda: season_state.get_season_state(season)).result(10)
	assert found["cache"]["is_running"]


def test_why_a_rebuild_failed_stands_by_the_cache(no_redis, player, season):
	make_records(player, 4)
	rebuild.rebuild_cache(season)
	found = look(season)
	assert found["cache"]["error"].startswith("The Redis for schedules can't be reached")
	assert found["archive"]["error"] is None


def test_the_last_reconciliation_is_shown(season, player):
	make_records(player, 4)
	srs_redis_manager.rebuild_season_cache(season)
	reconciliation.reconcile(season=season)
	found = look(season)["cache"]["reconciliation"]
	assert (found.sample_size, found.discrepancies_found) == (4, 0)


def test_without_a_queue_the_rest_is_shown(season, queue_url):
	set_values(season, jobs='{"rebuild": "memora-rebuild-1"}')
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	found = look(season)
	assert found["queue_error"].startswith("The Redis for the queue can't be reached")
	assert frappe.message_log == []
	assert found["actions"] == ["rebuild", "reconcile"]


# Partitions, and the whole


def test_partitions_that_are_missing_are_named_and_can_be_made():
	bare = make_season(enable_redis=0).name
	partition = tables.partition_name(bare)
	frappe.db.sql_ddl(f"ALTER TABLE `tabPlayer Review Log` DROP PARTITION {partition}")
	found = look(bare)
	assert [doctype for doctype, table in found["tables"].items() if not table] == ["Player Review Log"]
	assert found["tables"]["Player Memory Tracker"].keys() == {"rows", "bytes", "created_at"}
	assert found["actions"] == ["create_partitions", "archive"]
	frappe.get_doc(DOCTYPE, bare).create_partitions()
	assert look(bare)["actions"] == ["switch", "archive"]


def test_the_state_costs_the_same_however_large_the_season(player, season):
	costs = []
	for how_many in (2, 200):
		make_records(player, question_ids=[f"q-{n}" for n in range(how_many)])
		look(season)
		with counted() as queries:
			season_state.get_season_state(season)
		costs.append(queries.total)
	assert costs[0] == costs[1] <= 8


def test_what_a_save_sends_of_the_jobs_is_not_believed(season):
	doc = frappe.get_doc(DOCTYPE, season)
	doc.update({"jobs": '{"archive": "x"}', "archive_step": 3}).save()
	assert (stored(season).jobs, stored(season).archive_step) == (None, 0)


def test_a_manager_who_saves_meanwhile_loses_no_job(worker, manager, season):
	doc = frappe.get_doc(DOCTYPE, season)
	started = message(manager.post("memora.api.srs.rebuild_season_cache", season=season))
	doc.save()
	frappe.db.commit()
	assert json.loads(stored(season).jobs) == {"rebuild": started["job_id"]}
	wait_until(lambda: look(season)["jobs"]["rebuild"]["status"] == "finished", "the rebuild to end")
