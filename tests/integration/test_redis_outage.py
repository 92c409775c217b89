"""The manager while Redis is gone or hangs, and what it believes afterwards."""

import frappe
import pytest

from devtools import ports
from memora.services.cache import loading
from memora.services.cache.breaker import Unavailable
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store.question_status import NO_CHANGES
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.factories import bank_questions, learner_id, make_learner, make_records

USER, SEASON = "user@learners.example", "2024-2025"
LEARNER = learner_id(USER)

WRITES = {
	"add_item": lambda m: m.add_item(USER, SEASON, "q", 1.0),
	"add_batch": lambda m: m.add_batch(USER, SEASON, {"q": 1.0}),
	"reschedule": lambda m: m.schedules.reschedule(LEARNER, SEASON, {"q": 1.0}, version=0),
	"remove_item": lambda m: m.remove_item(USER, SEASON, "q"),
	"clear_user_cache": lambda m: m.clear_user_cache(USER, SEASON),
}
READS = {
	"get_due_items_with_rehydration": lambda m: m.get_due_items_with_rehydration(USER, SEASON),
	"read_due": lambda m: m.schedules.read_due(LEARNER, SEASON, 20, NO_CHANGES),
	"get_all_scores": lambda m: m.schedules.read_all(LEARNER, SEASON),
	"count_due_items": lambda m: m.schedules.count_due(LEARNER, SEASON),
	"get_cache_stats": lambda m: m.get_cache_stats(USER, SEASON),
	"rehydrate": lambda m: loading.rehydrate(m.schedules, LEARNER, SEASON),
}


@pytest.fixture(autouse=True)
def user(clean) -> None:
	make_learner(name=USER, id=LEARNER)


@pytest.fixture
def unreachable() -> SRSRedisManager:
	"""A manager whose Redis is at a port where nobody listens."""
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"
	return SRSRedisManager()


@pytest.fixture
def patient(proxy) -> SRSRedisManager:
	"""A manager behind the proxy whose breaker lets every call try."""
	manager = SRSRedisManager()
	manager.schedules.gateway.server.breaker.open_seconds = 0
	return manager


def test_is_available_says_no(unreachable):
	assert unreachable.is_available() is False


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_returns_false(unreachable, write):
	assert write(unreachable) is False


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_raises_unavailable(unreachable, read):
	with pytest.raises(Unavailable):
		read(unreachable)


def test_get_due_items_is_empty(unreachable):
	assert unreachable.get_due_items(USER, SEASON) == []


@pytest.mark.parametrize("call", [*WRITES.values(), *READS.values()], ids=[*WRITES, *READS])
def test_every_method_works_while_redis_is_there(proxy, call):
	call(SRSRedisManager())
	assert proxy.round_trips > 0


def test_after_a_failure_nobody_connects_for_a_while(proxy):
	manager = SRSRedisManager()
	proxy.stop()
	assert not manager.add_item(USER, SEASON, "q", 1.0)
	proxy.start()
	before = proxy.connections
	assert not manager.is_available()
	assert not manager.add_item(USER, SEASON, "q", 1.0)
	with pytest.raises(Unavailable):
		manager.schedules.read_due(LEARNER, SEASON, 20, NO_CHANGES)
	assert proxy.connections == before


def test_another_manager_of_the_process_knows_of_the_failure(proxy):
	proxy.stop()
	assert not SRSRedisManager().is_available()
	proxy.start()
	before = proxy.connections
	assert not SRSRedisManager().is_available()
	assert proxy.connections == before


def test_a_hanging_redis_counts_as_unavailable(proxy):
	manager = SRSRedisManager()
	assert manager.is_available()
	proxy.hang()
	assert manager.is_available() is False
	assert manager.add_item(USER, SEASON, "q", 1.0) is False
	with pytest.raises(Unavailable):
		manager.schedules.read_due(LEARNER, SEASON, 20, NO_CHANGES)


def test_timeouts_are_those_of_the_design(manager):
	options = manager.schedules.gateway.server.client.connection_pool.connection_kwargs
	assert options["socket_timeout"] <= 0.5
	assert options["socket_connect_timeout"] <= 0.25


def test_redis_is_used_again_when_it_is_back(proxy, patient):
	assert patient.add_item(USER, SEASON, "before", 1.0)
	proxy.stop()
	assert not patient.add_item(USER, SEASON, "during", 2.0)
	proxy.start()
	assert patient.is_available()
	assert patient.add_item(USER, SEASON, "after", 3.0)
	assert patient.schedules.read_all(LEARNER, SEASON).keys() == {"before", "after"}


def test_a_missed_write_makes_all_that_redis_holds_stale(proxy, patient, player, season):
	make_records(player, 2)
	patient.get_due_items_with_rehydration(player, season)
	generation = int(srs_redis().get("srs:generation") or 0)
	proxy.stop()
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	proxy.start()
	assert state.is_loaded(player, season)
	_ids, was_rehydrated = patient.get_due_items_with_rehydration(player, season)
	assert was_rehydrated
	assert int(srs_redis().get("srs:generation")) == generation + 1
	assert patient.get_due_items_with_rehydration(player, season)[1] is False
	assert int(srs_redis().get("srs:generation")) == generation + 1


def test_a_missed_read_makes_nothing_stale(proxy, patient, player, season):
	make_records(player, 2)
	patient.get_due_items_with_rehydration(player, season)
	generation = srs_redis().get("srs:generation")
	proxy.stop()
	with pytest.raises(Unavailable):
		patient.schedules.read_due(player, season, 20, NO_CHANGES)
	proxy.start()
	assert patient.get_due_items_with_rehydration(player, season) == (bank_questions()[:2], False)
	assert srs_redis().get("srs:generation") == generation


def test_a_write_that_redis_did_and_whose_answer_was_lost_makes_it_stale_too(proxy, patient, player, season):
	make_records(player, 1)
	patient.get_due_items_with_rehydration(player, season)
	generation = int(srs_redis().get("srs:generation") or 0)
	proxy.hang()
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	proxy.resume()
	assert patient.get_due_items_with_rehydration(player, season)[1] is True
	assert int(srs_redis().get("srs:generation")) == generation + 1
	assert state.cached(player, season) == state.scores(player, season)


def test_a_first_look_that_mariadb_cannot_answer_fails_quietly(patient, player, season):
	"""After COMMIT a learner is told that her answers are stored, whatever dies then."""
	port, frappe.db.port = frappe.db.port, ports.any_free()
	with pytest.raises(Unavailable):
		patient.schedules.read_due(player, season, 20, NO_CHANGES)
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	frappe.db.port = port
	assert patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	assert int(srs_redis().get("srs:generation"))
