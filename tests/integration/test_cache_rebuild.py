"""rebuild_season_cache: all schedules of a season, resumable, and safe while learners answer."""

import frappe
import pytest

from devtools import ports
from memora.exceptions import InvalidLimit, SeasonStateError, UnknownSeason
from memora.services.cache import rebuild
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.srs_redis_manager import SRSRedisManager, rebuild_season_cache
from memora.services.store import database, whole_schedules
from memora.services.store.whole_schedules import MANY_RECORDS
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_other_connection
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_record,
	make_records,
	make_season,
	make_waiting_submission,
)

pytestmark = pytest.mark.each_redis

DOCTYPE = "Cache Rebuild"


@pytest.fixture
def players() -> list[str]:
	"""Five learners, three records each."""
	names = sorted(make_learner().name for _ in range(5))
	for name in names:
		make_records(name, 3)
	return names


@pytest.fixture
def eager(monkeypatch) -> None:
	"""Reports progress, and looks whether to stop, after each batch."""
	monkeypatch.setattr(rebuild, "REPORT_SECONDS", 0)


def all_right(players: list[str], season: str) -> None:
	for player in players:
		assert state.is_loaded(player, season)
		assert state.cached(player, season) == state.scores(player, season) != {}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, rebuild.MAX_BATCH_SIZE])
def test_all_schedules_are_loaded_whatever_the_batch(batch_size, players, season, monkeypatch):
	monkeypatch.setattr(rebuild, "PAGE_LEARNERS", 2)
	assert rebuild_season_cache(season, batch_size) == {
		"total_records": 15,
		"total_users": 5,
		"total_keys": 5,
		"status": "completed",
	}
	all_right(players, season)


def test_a_rebuilt_schedule_is_read_without_a_load(players, season, manager):
	rebuild_season_cache(season)
	assert manager.get_due_items_with_rehydration(players[0], season) == (bank_questions()[:3], False)


def test_what_waits_to_be_folded_is_loaded_too(players, season):
	make_waiting_submission(
		players[0], season, make_record("fresh"), make_record(bank_questions()[0], reps=2)
	)
	assert rebuild_season_cache(season)["total_records"] == 16
	all_right(players, season)


def test_what_was_wrong_is_right_afterwards(players, season, manager):
	rebuild_season_cache(season)
	key = f"srs:{players[0]}:{season}"
	srs_redis().zadd(key, {"ghost": 1.0, bank_questions()[0]: 4e9})
	srs_redis().zrem(key, bank_questions()[1])
	srs_redis().set(f"srs:{players[1]}:{season}", "no sorted set")
	rebuild_season_cache(season)
	all_right(players, season)


def test_a_learner_with_very_many_records(player, season):
	ids = [f"{'q' * 100}-{n}" for n in range(MANY_RECORDS + 1)]
	make_records(player, question_ids=ids)
	assert rebuild_season_cache(season)["total_records"] == len(ids)
	all_right([player], season)


def test_ids_that_need_escaping(player, season):
	make_records(player, question_ids=['say "x"', "back\\slash", "سؤال", "line\nbreak", "[1,2]"])
	rebuild_season_cache(season)
	all_right([player], season)


def test_an_empty_season(season):
	assert rebuild_season_cache(season) == {
		"total_records": 0,
		"total_users": 0,
		"total_keys": 0,
		"status": "completed",
	}


@pytest.mark.parametrize("moment", ["before the rows are read", "after the rows are read"])
def test_an_answer_meanwhile_is_not_overwritten(moment, players, season, monkeypatch):
	get_schedules, question = whole_schedules.get_schedules, bank_questions()[0]

	def answering(*args) -> dict[str, dict[str, str]]:
		rows = get_schedules(*args) if moment == "after the rows are read" else None
		in_other_connection(lambda: submissions.submit(players[2], [Response(question, 5)])).result(20)
		if not rows:
			database.new_snapshot()
		return rows or get_schedules(*args)

	monkeypatch.setattr(whole_schedules, "get_schedules", answering)
	assert rebuild_season_cache(season)["total_keys"] == 4
	monkeypatch.undo()
	assert not state.is_loaded(players[2], season)
	reviews.read_reviews(players[2])
	all_right(players, season)


def test_progress_is_written_down(players, season, eager):
	seen = []
	rebuild.rebuild_cache(
		season, 3, progress=lambda doc: seen.append((doc.status, doc.learners, doc.records))
	)
	assert seen[:3] == [("Running", 1, 3), ("Running", 2, 6), ("Running", 3, 9)]
	assert seen[-1] == ("Completed", 5, 15)
	(row,) = state.rows(DOCTYPE)
	assert (row.status, row.season, row.learners, row.records, row.schedules) == (
		"Completed",
		season,
		5,
		15,
		5,
	)
	assert row.ended_at >= row.started_at


@pytest.mark.parametrize(
	("batch_size", "learners"), [(2, [1, 2, 3, 4, 5]), (5, [1, 2, 3, 4, 5]), (6, [2, 4, 5]), (15, [5])]
)
def test_a_batch_has_as_many_learners_as_records_allow(batch_size, learners, players, season, eager):
	seen = []
	rebuild.rebuild_cache(season, batch_size, progress=lambda doc: seen.append((doc.status, doc.learners)))
	assert seen == [*(("Running", n) for n in learners), ("Completed", 5)]


def test_progress_is_not_told_of_each_batch(players, season, monkeypatch):
	monkeypatch.setattr(rebuild, "REPORT_SECONDS", 3600)
	seen = []
	rebuild.rebuild_cache(season, 3, progress=lambda doc: seen.append(doc.learners))
	assert seen == [1, 5]


def test_a_cancelled_run_stops_and_the_next_goes_on(players, season, eager):
	assert not rebuild.cancel_rebuild(season)

	def cancelling(doc) -> None:
		if doc.learners == 2 and doc.status == "Running":
			assert in_other_connection(lambda: rebuild.cancel_rebuild(season)).result(20)

	result = rebuild.rebuild_cache(season, 6, progress=cancelling)
	assert (result["status"], result["total_users"]) == ("cancelled", 2)
	assert [state.is_loaded(p, season) for p in players] == [True, True, False, False, False]
	srs_redis().delete(state.marker_key(players[0], season))
	assert rebuild_season_cache(season, 3)["total_users"] == 5
	assert not state.is_loaded(players[0], season), "the second run began anew"
	assert len(state.rows(DOCTYPE)) == 1


def test_a_run_that_died_is_gone_on_with_and_one_that_is_old_is_not(players, season, eager):
	def dying(doc) -> None:
		if doc.learners == 3 and doc.status == "Running":
			raise KeyboardInterrupt

	with pytest.raises(KeyboardInterrupt):
		rebuild.rebuild_cache(season, 3, progress=dying)
	(row,) = state.rows(DOCTYPE)
	assert (row.status, row.learners, row.error) == ("Failed", 3, "KeyboardInterrupt: ")
	frappe.db.sql(
		f"UPDATE `tab{DOCTYPE}` SET modified = modified - INTERVAL 2 HOUR, started_at = started_at - INTERVAL 2 HOUR"
	)
	frappe.db.commit()
	assert rebuild_season_cache(season, 3)["total_users"] == 5
	assert len(state.rows(DOCTYPE)) == 2


def test_restart_begins_anew(players, season, eager):
	rebuild.rebuild_cache(season, 3, progress=lambda doc: rebuild.cancel_rebuild(season))
	assert rebuild.rebuild_cache(season, 3, restart=True)["total_users"] == 5
	all_right(players, season)


def test_one_at_a_time(players, season, eager):
	def second(doc) -> None:
		with pytest.raises(SeasonStateError, match="is being rebuilt"):
			in_other_connection(lambda: rebuild_season_cache(season)).result(20)

	assert rebuild.rebuild_cache(season, 100, progress=second)["status"] == "completed"


def test_redis_that_goes_away_fails_the_run_and_the_next_completes_it(players, season, proxy, eager):
	SRSRedisManager().schedules.gateway.server.breaker.open_seconds = 0

	def cutting(doc) -> None:
		if doc.learners == 2 and doc.status == "Running":
			proxy.stop()

	result = rebuild.rebuild_cache(season, 3, progress=cutting)
	assert (result["status"], result["total_users"]) == ("failed", 2)
	assert "The Redis for schedules can't be reached" in result["error"]
	proxy.start()
	assert rebuild_season_cache(season, 3)["status"] == "completed"
	for player in players:
		reviews.read_reviews(player)
	all_right(players, season)


def test_without_redis_it_fails(players, season):
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"
	result = rebuild_season_cache(season)
	assert (result["status"], result["total_keys"]) == ("failed", 0)


def test_seasons_that_have_no_cache(season):
	with pytest.raises(UnknownSeason, match="Nowhere"):
		rebuild_season_cache("Nowhere")
	without = make_season(enable_redis=0).name
	with pytest.raises(SeasonStateError, match="does not use Redis"):
		rebuild_season_cache(without)
	closed = make_season().name
	frappe.db.set_value("Game Subscription Season", closed, "archive_started_at", "2026-01-01")
	with pytest.raises(SeasonStateError, match="archived"):
		rebuild_season_cache(closed)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "10", 10**6])
def test_a_batch_size_that_makes_no_sense(batch_size, season):
	with pytest.raises(InvalidLimit, match=str(batch_size)):
		rebuild_season_cache(season, batch_size)
	assert not state.rows(DOCTYPE)
