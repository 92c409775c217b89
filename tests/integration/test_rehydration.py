"""Schedules get from MariaDB into Redis, and are believed there only while they are whole."""

from datetime import timedelta

import frappe
import pytest

from memora.services import site_time
from memora.services.cache import loading, scripts
from memora.services.cache.loading import LOADING_TTL_SECONDS
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database
from memora.services.store.question_status import NO_CHANGES
from tests.integration import state
from tests.integration.cleaning import srs_keys, srs_redis
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_record,
	make_records,
	make_waiting_submission,
	site_now,
)
from tests.integration.test_srs_redis_manager import THIRTY_DAYS

pytestmark = pytest.mark.each_redis


def test_a_miss_loads_the_schedule_from_mariadb(manager, player, season):
	records = make_records(player, 5)
	ids, was_rehydrated = manager.get_due_items_with_rehydration(user=player, season=season, limit=3)
	assert (ids, was_rehydrated) == ([r.question_id for r in records[:3]], True)
	assert state.cached(player, season) == state.scores(player, season)
	assert state.is_loaded(player, season)


def test_a_second_read_loads_nothing(manager, player, season):
	records = make_records(player, 3)
	manager.get_due_items_with_rehydration(player, season)
	ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
	assert (ids, was_rehydrated) == ([r.question_id for r in records], False)


def test_scores_are_true_epochs_and_not_site_time(manager, player, season):
	due = site_now().replace(microsecond=0) - timedelta(minutes=1)
	make_records(player, next_review_date=due)
	manager.get_due_items_with_rehydration(player, season)
	(score,) = state.cached(player, season).values()
	assert score == due.replace(tzinfo=site_time.site_zone()).timestamp()


def test_what_is_due_in_a_minute_is_not_due_now(manager, player, season):
	soon = site_now() + timedelta(minutes=1)
	make_records(player, 2, next_review_date=lambda i: soon - timedelta(minutes=2 * i))
	ids, _ = manager.get_due_items_with_rehydration(player, season)
	assert ids == bank_questions()[1:2]


def test_nothing_scheduled_is_remembered(manager, player, season):
	assert manager.get_due_items_with_rehydration(player, season) == ([], True)
	assert state.is_loaded(player, season)
	assert manager.get_due_items_with_rehydration(player, season) == ([], False)


def test_only_this_learner_and_season_is_loaded(manager, player, season):
	make_records(player, 2)
	make_records(make_learner().name, 5)
	manager.get_due_items_with_rehydration(player, season)
	assert state.cached(player, season).keys() == set(bank_questions()[:2])
	assert len(srs_keys("srs:*:*")) == 1


def test_the_outbox_overlays_the_tracker(manager, player, season):
	old, kept = make_records(player, 2)
	answered = make_record(
		old.question_id,
		reps=2,
		last_review_date=site_now(),
		next_review_date=site_now() + timedelta(days=3),
	)
	new = make_record("brand new")
	make_waiting_submission(player, season, answered, new)
	ids, _ = manager.get_due_items_with_rehydration(player, season)
	assert set(ids) == {kept.question_id, "brand new"}
	assert state.cached(player, season)[old.question_id] == site_time.to_epoch(answered.next_review_date)


def test_an_outbox_row_that_was_overtaken_does_not_set_the_schedule_back(manager, player, season):
	(stored,) = make_records(player, reps=5, last_review_date=site_now())
	make_waiting_submission(
		player,
		season,
		make_record(
			stored.question_id,
			reps=4,
			last_review_date=site_now() - timedelta(days=1),
			next_review_date=site_now() + timedelta(days=9),
		),
	)
	ids, _ = manager.get_due_items_with_rehydration(player, season)
	assert ids == [stored.question_id]


def test_after_a_flush_the_schedule_is_loaded_again(manager, player, season):
	records = make_records(player, 3)
	manager.get_due_items_with_rehydration(player, season)
	srs_redis().flushdb()
	ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
	assert (ids, was_rehydrated) == ([r.question_id for r in records], True)
	assert state.cached(player, season) == state.scores(player, season)


def test_without_its_marker_a_schedule_is_loaded_again(manager, player, season):
	make_records(player, 3)
	manager.add_item(player, season, "only this", 1.0)
	ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
	assert was_rehydrated
	assert set(bank_questions()[:3]) <= set(ids)
	assert state.is_loaded(player, season)


def test_rows_read_again_see_what_was_committed_meanwhile(manager, player, season):
	"""The loader's transaction may have begun before."""
	frappe.db.sql("SELECT COUNT(*) FROM `tabPlayer Memory Tracker`")
	in_other_connection(lambda: make_records(player, 2)).result(30)
	ids, _ = manager.get_due_items_with_rehydration(player, season)
	assert len(ids) == 2


# Races, their steps driven by hand


@pytest.fixture
def claim(manager, player, season):
	"""A load in flight: it has claimed the schedule and read its rows, and stores them when called."""
	make_records(player, 2)
	scores = state.scores(player, season)
	keys, token = manager.schedules.keys.pair(player, season), "loading:by hand"
	client = manager.schedules.gateway.server.client
	claim = [manager.schedules.gateway.epoch(client), token, LOADING_TTL_SECONDS]
	generation = scripts.run_script(client, scripts.BEGIN_LOAD, keys, claim)
	assert generation

	def finish(history: str = "") -> bool:
		items = [part for question_id, score in scores.items() for part in (score, question_id)]
		arguments = [history + generation[len(history) :], token, THIRTY_DAYS, 0, *items]
		return bool(scripts.run_script(client, scripts.FINISH_LOAD, keys, arguments))

	return finish


def test_a_load_that_nothing_disturbs_is_stored(claim, player, season):
	assert claim()
	assert state.cached(player, season) == state.scores(player, season)
	assert state.is_loaded(player, season)


def test_an_answer_during_a_load_keeps_its_older_rows_out(claim, manager, player, season):
	assert manager.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	assert not claim()
	assert state.cached(player, season) == {}
	assert not state.is_loaded(player, season)


def test_an_item_added_during_a_load_keeps_its_older_rows_out(claim, manager, player, season):
	assert manager.add_item(player, season, bank_questions()[0], 4e9)
	assert not claim()
	assert state.cached(player, season) == {bank_questions()[0]: 4e9}
	assert not manager.schedules.read_due(player, season, 20, NO_CHANGES)["is_loaded"]


def test_clearing_during_a_load_keeps_its_older_rows_out(claim, manager, player, season):
	assert manager.clear_user_cache(player, season)
	assert not claim()
	assert not srs_redis().exists(manager._make_key(player, season))


def test_a_flush_during_a_load_keeps_its_rows_out(claim, player, season):
	srs_redis().flushdb()
	assert not claim()
	assert state.cached(player, season) == {}


def test_a_load_that_another_server_has_granted_is_not_stored(claim, player, season):
	"""A replica that takes over may not know of a change that has ended the claim."""
	assert not claim(history="0123456789ab")
	assert state.cached(player, season) == {}


def test_a_second_reader_during_a_load_answers_from_mariadb_and_stores_nothing(
	claim, manager, player, season
):
	ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
	assert (ids, was_rehydrated) == (bank_questions()[:2], False)
	assert loading.rehydrate(manager.schedules, player, season) is None
	assert state.cached(player, season) == {}
	assert claim()
	assert state.is_loaded(player, season)


def test_a_load_that_died_gives_way(claim, manager, player, season):
	assert 0 < srs_redis().ttl(state.marker_key(player, season)) <= LOADING_TTL_SECONDS
	srs_redis().delete(state.marker_key(player, season))  # as its end of life does
	manager.get_due_items_with_rehydration(player, season)
	assert state.is_loaded(player, season)
	assert not claim()


def test_an_answer_is_applied_to_a_whole_schedule(manager, player, season):
	make_records(player, 2)
	manager.get_due_items_with_rehydration(player, season)
	assert manager.schedules.reschedule(player, season, {bank_questions()[0]: 4e9, "new": 5e9}, version=0)
	first, second = bank_questions()[:2]
	cached = state.cached(player, season)
	assert (cached[first], cached["new"]) == (4e9, 5e9)
	assert cached.keys() == {first, second, "new"}
	assert state.is_loaded(player, season)


def test_an_answer_to_a_schedule_that_is_not_whole_drops_it(manager, player, season):
	manager.add_item(player, season, "q-1", 1.0)
	assert manager.schedules.reschedule(player, season, {"q-2": 4e9}, version=0)
	assert not srs_redis().exists(manager._make_key(player, season))


# Generations


def test_a_new_generation_makes_every_schedule_reload(manager, season):
	players = [make_learner().name for _ in range(2)]
	for player in players:
		make_records(player, 2)
		manager.get_due_items_with_rehydration(player, season)
		manager.add_item(player, season, "ghost", 1.0)
	srs_redis().incr("srs:generation")
	for player in players:
		ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
		assert (ids, was_rehydrated) == (bank_questions()[:2], True)
		assert state.cached(player, season) == state.scores(player, season)
		assert manager.get_due_items_with_rehydration(player, season) == (ids, False)


def test_an_answer_under_an_old_generation_leaves_no_schedule_behind(player, season):
	manager = SRSRedisManager()
	make_records(player, 2)
	manager.get_due_items_with_rehydration(player, season)
	srs_redis().incr("srs:generation")
	manager.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	_ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
	assert was_rehydrated
	assert state.cached(player, season) == state.scores(player, season)


def test_loads_under_way_together_are_bounded(manager, player, season):
	"""Beyond the bound what is due comes from MariaDB, and the next read loads the schedule."""
	records = make_records(player, 3)
	slot = f"load {int(player, 16) % loading.MOST_LOADS}"
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(slot),))
		ids, was_rehydrated = manager.get_due_items_with_rehydration(player, season)
		assert (ids, was_rehydrated) == ([r.question_id for r in records], False)
		assert not state.is_loaded(player, season)
	assert manager.get_due_items_with_rehydration(player, season)[1]
