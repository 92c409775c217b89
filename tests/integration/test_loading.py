"""How a schedule that is behind is brought up to date, what is read where nothing may be kept, and which schedules a job drops."""

import frappe
import pytest

from devtools import ports
from memora.services.cache import loading, outdated, safe_mode
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import outdated_schedules, question_status
from memora.services.store.question_status import Status
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_other_connection
from tests.integration.factories import bank_questions, make_learner, make_records, site_now

BANK = bank_questions()


def note(is_live: bool, *questions: str) -> None:
	"""Each is a version of its own."""
	for question in questions:
		question_status.put({question: Status(is_live, None, None)}, [question])
	frappe.db.commit()


@pytest.fixture
def whole(manager, player, season) -> str:
	"""A learner whose schedule of five questions is whole in Redis; returns its key."""
	make_records(player, 5)
	assert manager.get_due_items_with_rehydration(player, season) == (BANK[:5], True)
	return f"srs:{player}:{season}"


def test_withdrawals_before_something_came_back_are_caught_up_too(whole, manager, player, season):
	note(False, BANK[4])
	assert manager.get_due_items_with_rehydration(player, season) == (BANK[:4], False)
	note(False, *BANK[:2])
	note(True, BANK[4])
	srs_redis().zadd(whole, {"of this schedule": 4e9})
	for _time in range(2):
		assert manager.get_due_items_with_rehydration(player, season) == (BANK[2:5], False)
	assert state.cached(player, season) == {**state.scores(player, season), "of this schedule": 4e9}


@pytest.mark.parametrize(("changes", "is_loaded"), [(2, False), (3, True)])
def test_so_many_changes_are_caught_up_and_with_one_more_it_is_loaded(
	changes, is_loaded, whole, manager, player, season, monkeypatch
):
	monkeypatch.setattr(loading, "MOST_CAUGHT_UP", 2)
	note(False, *BANK[: changes - 1])
	note(True, "never known")
	assert manager.get_due_items_with_rehydration(player, season) == (BANK[changes - 1 : 5], is_loaded)
	assert manager.get_due_items_with_rehydration(player, season) == (BANK[changes - 1 : 5], False)


def test_changes_that_are_forgotten_cost_a_load(whole, manager, player, season, monkeypatch):
	monkeypatch.setattr(question_status, "MOST_CHANGES", 1)
	note(False, *BANK[:2])
	note(True, BANK[0])
	assert manager.get_due_items_with_rehydration(player, season) == ([BANK[0], *BANK[2:5]], True)


# Where nothing may be kept: the site is in maintenance, or this request reads from a replica


@pytest.fixture
def only_reads(whole, monkeypatch) -> None:
	monkeypatch.setitem(frappe.flags, "read_only", True)


@pytest.mark.parametrize("is_outdated", [False, True])
def test_a_whole_schedule_is_read_unless_it_is_outdated(
	is_outdated, whole, only_reads, manager, player, season
):
	srs_redis().zadd(whole, {"in Redis alone": 1.0})
	if is_outdated:
		outdated_schedules.note_at_once([(player, season)], site_now())
	found = BANK[:5] if is_outdated else ["in Redis alone", *BANK[:5]]
	assert manager.get_due_items_with_rehydration(player, season) == (found, False)
	assert "in Redis alone" in state.cached(player, season)


def test_what_is_not_in_redis_is_read_from_mariadb_and_not_kept(whole, only_reads, manager, player, season):
	srs_redis().flushdb()
	assert manager.get_due_items_with_rehydration(player, season, limit=2) == (BANK[:2], False)
	assert loading.rehydrate(manager.schedules, player, season) == state.scores(player, season)
	assert not srs_redis().exists(whole, state.marker_key(player, season))


# What was committed meanwhile


def test_schedules_that_are_loaded_again_are_those_of_now(manager, player, season):
	frappe.db.sql("SELECT COUNT(*) FROM `tabPlayer Memory Tracker`")  # this transaction began before
	in_other_connection(lambda: make_records(player, 2)).result(30)
	assert loading.reload(manager.schedules, season, [player]) == (2, 1)
	assert state.cached(player, season) == state.scores(player, season)


def test_an_admission_that_was_committed_meanwhile_counts():
	frappe.db.sql("SELECT COUNT(*) FROM `tabSafe Mode Admission`")
	assert in_other_connection(lambda: SafeModeManager().check_rate_limit("a")).result(30)
	safe_mode.forget()
	assert not SafeModeManager().check_rate_limit("a")


# Schedules that are noted as outdated


def test_a_job_drops_what_lacks_a_change_and_leaves_the_rest(manager, season):
	names = missed, lacking, present, unnoted = sorted(make_learner().name for _ in range(4))
	for name in names:
		make_records(name, 2)
		manager.get_due_items_with_rehydration(name, season)
	scores = state.scores(present, season)
	srs_redis().zadd(f"srs:{lacking}:{season}", {BANK[0]: 1.0})
	srs_redis().zadd(f"srs:{unnoted}:{season}", {BANK[0]: 1.0})
	outdated_schedules.note_at_once([(missed, season)], site_now())
	outdated_schedules.note_unseen({(name, season): scores for name in (lacking, present)}, site_now())
	frappe.db.commit()
	assert outdated.settle_outages() == 3
	assert [state.is_loaded(name, season) for name in names] == [False, False, True, True]
	assert not state.rows("Outdated Schedule")
	assert outdated.settle_outages() == 0


# What was missed and could not be noted


@pytest.fixture
def impatient(proxy) -> SRSRedisManager:
	"""A manager behind the proxy whose breaker lets every call try."""
	manager = SRSRedisManager()
	manager.schedules.gateway.server.breaker.open_seconds = 0
	assert manager.is_available()
	return manager


def outages() -> int:
	return int(srs_redis().get("srs:generation") or 0)


def test_a_date_that_neither_redis_nor_mariadb_took_makes_all_schedules_stale(
	proxy, impatient, player, season, monkeypatch
):
	before = outages()
	proxy.stop()
	with monkeypatch.context() as patch:
		patch.setattr(frappe.db, "port", ports.any_free())
		assert not impatient.schedules.add(player, season, {"q": 1.0})
	proxy.start()
	assert impatient.is_available()
	assert outages() == before + 1


def test_an_outage_that_could_not_be_counted_is_counted_later(proxy, impatient):
	before, server = outages(), impatient.schedules.gateway.server
	server.has_missed_writes = True
	proxy.stop()
	for _time in range(2):
		assert not impatient.is_available()
	assert server.has_missed_writes
	proxy.start()
	for _time in range(2):
		assert impatient.is_available()
	assert (outages(), server.has_missed_writes) == (before + 1, False)
