"""The administrators' endpoints: gunicorn, tokens, and a real worker that does the long jobs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import frappe
import pytest
from frappe.utils import background_jobs

from devtools import ports, processes
from memora.exceptions import QueueUnavailable
from memora.services import srs_redis_manager
from memora.services.cache import loading, status, survey
from memora.services.cache.reconciliation import MAX_SAMPLE_SIZE
from memora.services.operations import admin_jobs
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.archiving import make_ended_season, rows_by_table
from tests.integration.cleaning import srs_keys, srs_redis
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records, make_season
from tests.integration.site_config import site_config
from tests.integration.test_http import refused
from tests.integration.test_retention import archived, make_archived_season
from tests.integration.waiting import wait_until

API = "memora.api.srs."
STARTS_OR_CHANGES = (
	*("rebuild_season_cache", "cancel_rebuild", "trigger_reconciliation"),
	*("switch_season", "archive_season", "delete_eligible_records"),
)
LOOKS = ("get_cache_status", "get_archive_status", "get_job_status", "get_health")
CONNECTS_A_TRY = 2  # of redis-py, to a server that hangs up; Frappe alone would try five times
ARGUMENTS = {
	"rebuild_season_cache": {"season": "SEASON-2026"},
	"cancel_rebuild": {"season": "SEASON-2026"},
	"switch_season": {"season": "SEASON-2026", "confirm": 1},
	"archive_season": {"season": "SEASON-2026", "confirm": 1},
	"delete_eligible_records": {"confirm": 1},
	"get_archive_status": {"season": "SEASON-2026"},
	"get_job_status": {"job_id": "memora-rebuild-1"},
}


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


def call(client: Client, endpoint: str, **arguments: Any) -> Any:
	return message(client.post(API + endpoint, **arguments))


def result_of(client: Client, started: dict[str, Any]) -> dict[str, Any]:
	"""get_job_status of a job that was just started, when it has ended."""
	assert started["status"] == "queued"

	def status() -> dict[str, Any]:
		return call(client, "get_job_status", job_id=started["job_id"])

	wait_until(lambda: status()["status"] in ("finished", "failed"), f"{started['job_id']} to end")
	assert status()["job_id"] == started["job_id"]
	return status()


# Who may


@pytest.mark.parametrize("who", ["guest", "client"])
def test_guests_and_learners_may_do_nothing(who, request):
	caller = request.getfixturevalue(who)
	with state.nothing_changes():
		for endpoint in (*STARTS_OR_CHANGES, *LOOKS):
			refused(caller.post(API + endpoint, **ARGUMENTS.get(endpoint, {})), 403, "PermissionError")


def test_managers_may_do_everything(each_manager, season):
	over = make_ended_season(3)
	for endpoint in ("rebuild_season_cache", "cancel_rebuild", "get_archive_status"):
		call(each_manager, endpoint, season=season)
	for endpoint in ("get_cache_status", "get_health", "delete_eligible_records"):
		call(each_manager, endpoint)
	call(each_manager, "archive_season", season=over)
	job = call(each_manager, "trigger_reconciliation")
	assert call(each_manager, "get_job_status", job_id=job["job_id"]) == job


def test_what_changes_something_takes_no_get(manager):
	with state.nothing_changes():
		for endpoint in STARTS_OR_CHANGES:
			refused(manager.get(API + endpoint, **ARGUMENTS.get(endpoint, {})), 403, "PermissionError")


# Bad input


@pytest.mark.parametrize(
	("endpoint", "arguments", "status", "exception", "named"),
	[
		("rebuild_season_cache", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("rebuild_season_cache", {}, 400, "InvalidFilter", "season is missing"),
		("cancel_rebuild", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("archive_season", {"season": "Nowhere", "confirm": 1}, 404, "UnknownSeason", "Nowhere"),
		("archive_season", {"season": "x" * 141}, 400, "InvalidFilter", "at most 140"),
		("archive_season", {"season": "SEASON-2026", "confirm": 1}, 409, "SeasonStateError", "active"),
		("get_archive_status", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("trigger_reconciliation", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("trigger_reconciliation", {"sample_size": 0}, 400, "InvalidLimit", "sample_size"),
		("trigger_reconciliation", {"sample_size": "x"}, 400, "InvalidLimit", "x"),
		("trigger_reconciliation", {"sample_size": MAX_SAMPLE_SIZE + 1}, 400, "InvalidLimit", "100000001"),
		("delete_eligible_records", {"season": "Nowhere"}, 404, "UnknownSeason", "Nowhere"),
		("delete_eligible_records", {"season": "Nowhere", "confirm": 1}, 404, "UnknownSeason", "Nowhere"),
		("delete_eligible_records", {"confirm": "maybe"}, 400, "InvalidFilter", "maybe"),
		("get_job_status", {"job_id": "memora-rebuild-1"}, 404, "UnknownJob", "memora-rebuild-1"),
		("get_job_status", {"job_id": "<b>"}, 404, "UnknownJob", "There is no job &lt;b&gt;"),
		("get_job_status", {}, 400, "InvalidFilter", "job_id is missing"),
	],
)
def test_bad_input_is_named_and_changes_nothing(manager, endpoint, arguments, status, exception, named):
	with state.nothing_changes():
		refused(manager.post(API + endpoint, **arguments), status, exception, named)


def test_an_archived_season_is_not_archived_again(manager):
	season = make_archived_season()
	refused(manager.post(f"{API}archive_season", season=season, confirm=1), 409, "SeasonStateError", season)


def test_a_season_without_cache_is_not_rebuilt(manager):
	season = make_season(enable_redis=0).name
	refused(manager.post(f"{API}rebuild_season_cache", season=season), 409, "SeasonStateError", season)


def test_the_job_of_another_app_is_nobodys_here(manager):
	frappe.enqueue("frappe.utils.now", queue="long", job_id="another")
	assert state.queued_jobs()
	refused(manager.post(f"{API}get_job_status", job_id="another"), 404, "UnknownJob")


# The jobs


def test_a_job_that_was_cancelled_has_failed(manager):
	started = call(manager, "trigger_reconciliation")
	background_jobs.get_job(started["job_id"]).cancel()
	assert call(manager, "get_job_status", job_id=started["job_id"])["status"] == "failed"


def test_a_rebuild(long_worker, manager, player, season):
	make_records(player, 5)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
	started = call(manager, "rebuild_season_cache", season=season.lower())
	assert started["estimated_records"] == 5
	ended = result_of(manager, started)
	assert ended["result"] == {"total_records": 5, "total_users": 1, "total_keys": 1, "status": "completed"}
	assert ended["status"] == "finished"
	assert state.is_loaded(player, season)
	assert state.cached(player, season) == state.scores(player, season) != {}


def test_a_rebuild_without_redis_has_failed(long_worker, manager, player, season):
	make_records(player, 5)
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		ended = result_of(manager, call(manager, "rebuild_season_cache", season=season))
	assert ended["status"] == "failed"
	assert ended["error"].startswith("The Redis for schedules can't be reached: ")


def test_a_reconciliation(long_worker, manager, player, season):
	make_records(player, 5)
	srs_redis_manager.rebuild_season_cache(season)
	srs_redis().zadd(f"srs:{player}:{season}", {"ghost": 1.0})
	ended = result_of(manager, call(manager, "trigger_reconciliation", sample_size="100"))
	assert ended["status"] == "finished"
	assert {**ended["result"], "season": season, "sample_size": 5, "ghosts": 1} == ended["result"]
	assert (ended["result"]["auto_corrected"], ended["result"]["alert_triggered"]) == (1, True)
	assert state.cached(player, season) == state.scores(player, season)


def test_an_archive_run_is_shown_before_it_is_confirmed(long_worker, manager):
	season = make_ended_season(20)
	with state.nothing_changes():
		shown = call(manager, "archive_season", season=season)
	assert (shown["status"], shown["season"], shown["active_records"]) == ("dry_run", season, 20)
	ended = result_of(manager, call(manager, "archive_season", season=season, confirm=True))
	assert ended["result"] == {"success": True, "archived_count": 20, "season": season}
	status = message(manager.get(f"{API}get_archive_status", season=season))
	assert (status["active_records"], status["archived_records"]) == (0, 20)


def test_an_archive_run_that_is_refused_has_failed(long_worker, manager):
	"""The season is made active between the request and the job."""
	season = make_ended_season(20)
	before = rows_by_table(season)
	with make_active_meanwhile(season):
		started = admin_jobs.start_admin_job(
			"archive", "memora.services.srs_archiver.archive_season", season_name=season
		)
		ended = result_of(manager, started)
	assert (ended["status"], "result" in ended) == ("failed", False)
	assert ended["error"] == f"Season {season} is active. Deactivate it before archiving it."
	assert rows_by_table(season) == before


@contextmanager
def make_active_meanwhile(season: str):
	def set_active(name: str, value: int) -> None:
		frappe.db.set_value("Game Subscription Season", name, "is_active", value)
		frappe.db.commit()

	set_active("SEASON-2026", 0)
	set_active(season, 1)
	yield
	set_active(season, 0)
	set_active("SEASON-2026", 1)


def test_a_deletion_is_counted_before_it_is_confirmed(long_worker, manager):
	season = make_archived_season(20, old_rows=7, flagged=7)
	with state.nothing_changes():
		shown = call(manager, "delete_eligible_records", season=season)
		assert call(manager, "delete_eligible_records", confirm="false") == shown
	rows = {season: {"Archived Memory Tracker": 7}}
	assert shown == {"status": "dry_run", "seasons": {season: 7}, "rows": rows, "is_estimate": False}
	ended = result_of(manager, call(manager, "delete_eligible_records", season=season, confirm=1))
	assert ended["result"] == {"success": True, "deleted_count": 7, "seasons": {season: 7}, "rows": rows}
	assert archived(season) == 13


# Without the queue's Redis


@pytest.mark.slow
def test_without_a_queue_nothing_is_started(site, manager, season):
	url, gone = f"redis://127.0.0.1:{ports.any_free()}/0", "The Redis for the queue can't be reached"
	with processes.web(site, env={"FRAPPE_REDIS_QUEUE": url}) as web:
		manager.url = web.url
		for endpoint, arguments in (
			("rebuild_season_cache", {"season": season}),
			("get_job_status", {"job_id": "memora-rebuild-1"}),
		):
			refused(manager.post(API + endpoint, **arguments), 503, "QueueUnavailable", gone)
		health = call(manager, "get_health")
	assert (health["status"], health["checks"]["queue_depth"]["status"]) == ("critical", "critical")


def test_a_dead_queue_costs_one_wait(queue_url):
	with answers_nothing() as (url, connections):
		queue_url(url)
		with pytest.raises(QueueUnavailable):
			admin_jobs.start_admin_job("rebuild", "frappe.utils.now")
		assert len(connections) <= CONNECTS_A_TRY
		with pytest.raises(QueueUnavailable):
			admin_jobs.get_job_status("memora-rebuild-1")
		assert len(connections) <= 2 * CONNECTS_A_TRY


@contextmanager
def answers_nothing() -> Iterator[tuple[str, list[Any]]]:
	"""The URL of a server that takes connections and closes them, and these."""
	listener, connections = socket.create_server(("127.0.0.1", 0)), []

	def serve() -> None:
		with suppress(OSError):
			while True:
				connection, address = listener.accept()
				connections.append(address)
				connection.close()

	threading.Thread(target=serve, daemon=True).start()
	try:
		yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", connections
	finally:
		listener.shutdown(socket.SHUT_RDWR)
		listener.close()


# The cache's status


@pytest.mark.each_redis
def test_the_status_of_a_cache(manager, season):
	for player in (make_learner().name, make_learner().name):
		make_records(player, 2)
		loading.load_due(SRSRedisManager().schedules, player, season)
	found = message(manager.get(f"{API}get_cache_status"))
	assert found["keys_by_season"] == {season: 2}
	assert (found["total_keys"], found["sampled_keys"]) == (2, len(srs_keys()))
	assert found["is_exact"]
	assert (found["redis_connected"], found["is_safe_mode"]) == (True, False)
	assert found["memory_used_mb"] > 0


def test_the_status_of_a_cache_that_is_not_there(manager):
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		found = call(manager, "get_cache_status")
	assert (found["redis_connected"], found["is_safe_mode"], found["is_exact"]) == (False, True, False)
	assert (found["total_keys"], found["keys_by_season"]) == (None, {})


@pytest.mark.each_redis
@pytest.mark.parametrize("name", ["a:b: c", "पाठ 2026", "100%", "{x}", "*"])
def test_seasons_of_any_name_are_counted(name):
	make_season(season_name=name)
	srs_redis_manager.SRSRedisManager().add_item(make_learner().user, name, "q", 1.0)
	assert status.get_cache_status()["keys_by_season"] == {name: 1}


@pytest.mark.each_redis
def test_foreign_keys_are_counted_but_no_schedules(season):
	srs_redis_manager.SRSRedisManager().add_item(make_learner().user, season, "q", 1.0)
	foreign = ("rq:queue", "srs:a", "srs:a:b:c", "other:srs:a:b", "{srs:a:b}:loaded", "x")
	for key in foreign:
		srs_redis().set(key, 1)
	found = status.get_cache_status()
	assert found["keys_by_season"] == {season: 1}
	assert found["total_keys"] == 1


@pytest.mark.each_redis
@pytest.mark.parametrize(("namespace", "counted"), [("school 1", {"own": 1}), ("", {"others": 1})])
def test_a_namespace_sees_its_own(namespace, counted):
	for space, season in (("school 1", "own"), ("school", "cousins"), ("", "others")):
		frappe.local.conf.srs_redis_namespace = space
		srs_redis_manager.SRSRedisManager().add_item(make_learner().user, season, "q", 1.0)
	frappe.local.conf.srs_redis_namespace = namespace
	assert status.get_cache_status()["keys_by_season"] == counted


def test_of_many_keys_a_part_is_looked_at(proxy, monkeypatch, season):
	pipeline = srs_redis().pipeline()
	for number in range(400):
		pipeline.set(f"srs:player{number}:{season}" if number % 4 else f"other{number}", 1)
	pipeline.execute()
	monkeypatch.setattr(survey, "SCAN_KEYS", 50)
	monkeypatch.setattr(survey, "SURVEY_KEYS", 100)
	status.get_cache_status()  # connects, and looks for what others have missed
	with proxy.counted() as count:
		found = status.get_cache_status()
	assert (found["total_keys"], found["is_exact"]) == (found["keys_by_season"][season], False)
	assert 100 <= found["sampled_keys"] < 200
	assert found["keys_by_season"][season] == pytest.approx(300, rel=0.3)
	assert count.round_trips <= 5  # memory, size, and two or three of keys
	monkeypatch.setattr(survey, "SURVEY_KEYS", 1000)
	found = status.get_cache_status()
	assert (found["sampled_keys"], found["is_exact"]) == (srs_redis().dbsize(), True)
	assert found["keys_by_season"] == {season: 300}
