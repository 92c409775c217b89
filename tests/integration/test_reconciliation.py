"""Schedules in Redis are compared with MariaDB and mended. The tests make each kind of discrepancy by hand."""

import time

import frappe
import pytest

from devtools import ports
from memora.exceptions import InvalidLimit, UnknownSeason
from memora.services.cache import loading, reconciliation
from memora.services.cache.reconciliation import MAX_SAMPLE_SIZE, ReconciliationReport
from memora.services.learning import submissions
from memora.services.learning.answers import Response
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.store import database, whole_schedules
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_record,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.waiting import wait_until

pytestmark = pytest.mark.each_redis

KINDS = ("cache_misses", "stale", "orphaned", "ghosts")
HISTORY = "Cache Reconciliation"


@pytest.fixture
def cached(player, season, manager) -> str:
	"""A learner with five records, whole in Redis; returns the key of her schedule."""
	make_records(player, 5)
	loading.load_due(manager.schedules, player, season)
	return f"srs:{player}:{season}"


def lose(key: str) -> None:
	srs_redis().delete(key)


def shift(key: str) -> None:
	srs_redis().zincrby(key, 2, bank_questions()[0])
	srs_redis().zincrby(key, 1, bank_questions()[1])  # near enough


def drop(key: str) -> None:
	srs_redis().zrem(key, *bank_questions()[:2])


def haunt(key: str) -> None:
	srs_redis().zadd(key, {"ghost": 1.0})


def retype(key: str) -> None:
	srs_redis().delete(key)
	srs_redis().set(key, "no sorted set")


@pytest.mark.parametrize(
	("break_it", "kind", "count"),
	[
		(lose, "cache_misses", 5),
		(shift, "stale", 1),
		(drop, "orphaned", 2),
		(haunt, "ghosts", 1),
		(retype, "cache_misses", 5),
	],
)
def test_each_kind_is_counted_and_corrected(break_it, kind, count, cached, player, season):
	break_it(cached)
	report = reconcile_cache_with_database()
	assert {k: report[k] for k in KINDS} == {**dict.fromkeys(KINDS, 0), kind: count}
	assert (report["sample_size"], report["learners"], report["season"]) == (5, 1, season)
	assert report["discrepancies_found"] == report["auto_corrected"] == count
	assert report["discrepancy_rate"] == pytest.approx(count / 5)
	assert report["alert_triggered"]
	assert state.cached(player, season) == state.scores(player, season)
	assert reconcile_cache_with_database()["discrepancies_found"] == 0


@pytest.mark.parametrize("seconds", [0, 0.5, 1])
def test_what_agrees_is_left_alone(seconds, cached, player, season):
	srs_redis().zincrby(cached, seconds, bank_questions()[0])
	srs_redis().expire(cached, 100)
	before = state.everything()["srs"]
	report = reconcile_cache_with_database()
	assert (report["sample_size"], report["discrepancies_found"], report["alert_triggered"]) == (5, 0, False)
	assert state.everything()["srs"] == before
	assert srs_redis().ttl(cached) <= 100, "it was loaded again"
	assert not state.rows("Error Log")


def test_what_waits_to_be_folded_is_not_a_discrepancy(player, season, manager):
	make_records(player, 2)
	make_waiting_submission(player, season, make_record("fresh"), make_record(bank_questions()[0], reps=2))
	loading.load_due(manager.schedules, player, season)
	report = reconcile_cache_with_database()
	assert (report["sample_size"], report["discrepancies_found"]) == (3, 0)


def test_schedules_that_are_not_cached_are_none_of_its_business(player, season):
	make_records(player, 2)
	report = reconcile_cache_with_database()
	assert (report["learners"], report["sample_size"], report["discrepancies_found"]) == (0, 0, 0)
	assert not state.is_loaded(player, season)


def test_history_is_kept_and_managers_are_told(cached, season):
	manager = make_learner(roles=["Memora Manager"]).user
	drop(cached)
	frappe.set_user(manager)  # who may not write history herself
	began = time.monotonic()
	report = reconcile_cache_with_database()
	assert 0 <= report["seconds"] <= round(time.monotonic() - began, 3)
	(row,) = state.rows(HISTORY)
	assert (row.season, row.orphaned, row.sample_size, row.alert_triggered) == (season, 2, 5, 1)
	assert row.is_complete
	(told,) = state.rows("Notification Log", for_user=manager)
	assert "compared: 5. Wrong in Redis: 2." in told.email_content


def test_below_the_limit_nobody_is_told(cached):
	frappe.get_single("Memora Settings").update({"discrepancy_alert_percent": 50}).save()
	drop(cached)
	assert not reconcile_cache_with_database()["alert_triggered"]
	assert not state.rows("Notification Log")


def test_one_learner_alone(cached, player, season, manager):
	other = make_learner().name
	make_records(other, 3)
	loading.load_due(manager.schedules, other, season)
	report = reconcile_cache_with_database(learner=player)
	assert (report["learners"], report["sample_size"], report["is_complete"]) == (1, 5, False)


def test_what_is_found_of_several_learners_is_summed_up(season, manager, monkeypatch):
	monkeypatch.setattr(reconciliation, "EXAMPLES", 4)
	players, shifted = sorted(make_learner().name for _ in range(2)), bank_questions()[0]
	for player in players:
		make_records(player, 3)
		loading.load_due(manager.schedules, player, season)
		haunt(f"srs:{player}:{season}")
		shift(f"srs:{player}:{season}")
	stored, progress = state.scores(players[1], season), []
	report = reconciliation.reconcile(progress=lambda r: progress.append((r.learners, r.sample_size)))
	assert progress == [(2, 6)]
	assert (report["ghosts"], report["stale"], report["cache_misses"], report["orphaned"]) == (2, 2, 0, 0)
	assert report["discrepancies_found"] == report["auto_corrected"] == 4
	assert len(report["examples"]) == 4
	assert f"{players[0]}, ghost: 1.0 for None" in report["examples"]
	assert report["examples"][3] == f"{players[1]}, {shifted}: {stored[shifted] + 2} for {stored[shifted]}"


def test_a_sample_ends_when_it_is_large_enough(season, manager, monkeypatch):
	monkeypatch.setattr(reconciliation, "BATCH_LEARNERS", 1)
	for _ in range(8):
		player = make_learner().name
		make_records(player, 30)
		loading.load_due(manager.schedules, player, season)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
	frappe.db.commit()
	report = reconcile_cache_with_database(sample_size=60)
	assert (report["sample_size"], report["is_complete"]) == (60, False)
	monkeypatch.setattr(reconciliation, "BATCH_LEARNERS", 3)
	assert reconcile_cache_with_database(sample_size=None)["sample_size"] == 240
	manager.clear_season_cache(season)
	assert reconcile_cache_with_database(sample_size=60)["learners"] == 0, "nobody is left to draw"


@pytest.mark.parametrize(("compared", "wrong", "rate"), [(0, 0, 0), (1, 1, 1), (4, 1, 0.25), (2, 6, 1)])
def test_the_rate_is_of_what_was_compared_and_one_at_most(compared, wrong, rate):
	report = ReconciliationReport("", True, site_now(), sample_size=compared, ghosts=wrong)
	assert report.discrepancy_rate == rate


@pytest.mark.parametrize(("wrong", "is_told"), [(100, False), (101, True)])
def test_managers_are_told_above_the_limit_and_not_at_it(wrong, is_told):
	frappe.get_single("Memora Settings").update({"discrepancy_alert_percent": 50}).save()
	report = ReconciliationReport("", True, site_now(), sample_size=200, stale=wrong)
	assert report.alert_triggered == is_told


def test_where_no_season_uses_redis_there_is_nothing_to_compare(season):
	numbers = ("seconds", "learners", "sample_size", *KINDS, "auto_corrected")
	nothing = {
		**dict.fromkeys((*numbers, "discrepancies_found", "discrepancy_rate"), 0),
		"examples": [],
		"alert_triggered": False,
	}
	without = make_season(enable_redis=0).name
	report = reconcile_cache_with_database(season=without)
	asked = {"season": without, "is_complete": True, "error": f"Season {without} does not use Redis."}
	assert report == {**nothing, **asked, "started_at": report["started_at"]}
	frappe.db.set_value("Game Subscription Season", season, "is_active", 0)
	report = reconcile_cache_with_database()
	asked = {"season": "", "is_complete": False, "error": "No season is active."}
	assert report == {**nothing, **asked, "started_at": report["started_at"]}
	assert not state.rows(HISTORY)


def test_redis_that_is_not_there_is_said_and_nothing_is_noted(cached):
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"
	assert "The Redis for schedules can't be reached" in reconcile_cache_with_database()["error"]
	assert not state.rows(HISTORY)


@pytest.mark.parametrize("size", [0, -1, 1.5, "10", 10**12, True])
def test_a_sample_size_that_makes_no_sense(size):
	with pytest.raises(InvalidLimit, match=str(size)):
		reconcile_cache_with_database(sample_size=size)


@pytest.mark.parametrize("size", [1, MAX_SAMPLE_SIZE])
def test_the_least_and_the_most_that_can_be_asked_for(cached, size):
	assert reconcile_cache_with_database(sample_size=size)["learners"] == 1


def test_a_season_that_is_not_there():
	with pytest.raises(UnknownSeason):
		reconcile_cache_with_database(season="Nowhere")


@pytest.mark.parametrize("between", ["redis and mariadb", "mariadb and the second look"])
def test_an_answer_between_its_looks_is_never_set_back(cached, player, season, monkeypatch, between):
	"""The answer reaches Redis after Redis was read, or after both were."""
	question = bank_questions()[0]
	drop(cached) if between != "redis and mariadb" else None
	get_schedules, looks = whole_schedules.get_schedules, []

	def answering(*args) -> dict[str, dict[str, str]]:
		looks.append(args)
		if len(looks) > 1:
			return get_schedules(*args)
		if between == "redis and mariadb":
			in_other_connection(lambda: submissions.submit(player, [Response(question, 5)])).result(20)
			database.new_snapshot()
			return get_schedules(*args)
		rows = get_schedules(*args)
		in_other_connection(lambda: submissions.submit(player, [Response(question, 5)])).result(20)
		return rows

	monkeypatch.setattr(whole_schedules, "get_schedules", answering)
	report = reconcile_cache_with_database()
	assert len(looks) >= 2
	assert report["stale"] == 0
	assert state.cached(player, season) == state.scores(player, season)
	assert state.cached(player, season)[question] > frappe.utils.now_datetime().timestamp()


@pytest.mark.parametrize(("look", "orphaned"), [("first", 0), ("last", 2)])
def test_a_schedule_that_is_dropped_meanwhile_is_not_counted_as_corrected(
	look, orphaned, cached, player, season, manager, monkeypatch
):
	"""After the first look, it is no discrepancy any more; after the last, the load that would correct it is not stored."""
	drop(cached)
	get_schedules, looks = whole_schedules.get_schedules, []

	def dropping(*args) -> dict[str, dict[str, str]]:
		looks.append(args)
		if len(looks) == {"first": 1, "last": 3}[look]:
			assert manager.clear_user_cache(player, season)
		return get_schedules(*args)

	monkeypatch.setattr(whole_schedules, "get_schedules", dropping)
	report = reconcile_cache_with_database()
	assert (report["orphaned"], report["discrepancies_found"], report["auto_corrected"]) == (
		orphaned,
		orphaned,
		0,
	)


def test_a_learner_who_answers_without_pause_is_left_to_the_next_run(cached, player, monkeypatch):
	drop(cached)
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(player),))
		report = reconcile_cache_with_database()
	assert (report["learners"], report["discrepancies_found"], report["error"]) == (1, 0, None)
	assert reconcile_cache_with_database()["auto_corrected"] == 2


def test_an_answer_waits_while_her_schedule_is_mended(cached, player, season, monkeypatch):
	"""Under her lock: the answer comes after the correction, and stays."""
	drop(cached)
	reload, answers = loading.reload, []

	def answering(*args):
		answers.append(
			in_other_connection(lambda: submissions.submit(player, [Response(bank_questions()[0], 5)]))
		)
		wait_until(somebody_waits_for_a_lock, "the answer to wait")
		return reload(*args)

	monkeypatch.setattr(loading, "reload", answering)
	assert reconcile_cache_with_database()["orphaned"] == 2
	assert answers[0].result(20)["status"] == "success"
	assert state.cached(player, season) == state.scores(player, season)


def somebody_waits_for_a_lock() -> bool:
	"""With GET_LOCK, as each answer does before it is stored."""
	with raw_connection() as connection, connection.cursor() as cursor:
		return bool(cursor.execute("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'"))
