"""The manager while Redis is gone or hangs, and what it believes afterwards."""

from datetime import timedelta

import frappe
import pytest

from devtools import ports
from memora.services.cache import loading, outdated, scripts
from memora.services.cache.breaker import Unavailable
from memora.services.folding import cache_check, folds
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database, outbox, outdated_schedules
from memora.services.store.question_status import NO_CHANGES
from tests.integration import factories, state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_thread, raw_connection
from tests.integration.factories import bank_questions, learner_id, make_learner, make_records
from tests.integration.submitting import answers, submit

USER, SEASON = "user@learners.example", "2024-2025"
LEARNER = learner_id(USER)
NOTE = "Outdated Schedule"

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


@pytest.fixture
def others(patient, season) -> list[str]:
	"""Two learners whose schedules Redis holds."""
	names = [make_learner().name for _ in range(2)]
	for name in names:
		make_records(name, 2)
		patient.get_due_items_with_rehydration(name, season)
	return names


def assert_nobody_else_loads(patient, others, season, generation) -> None:
	assert [patient.get_due_items_with_rehydration(name, season)[1] for name in others] == [False, False]
	assert srs_redis().get("srs:generation") == generation


def test_a_missed_write_makes_one_schedule_load_again(proxy, patient, player, season, others):
	make_records(player, 2)
	patient.get_due_items_with_rehydration(player, season)
	generation = srs_redis().get("srs:generation")
	proxy.stop()
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	proxy.start()
	assert state.is_loaded(player, season)
	assert patient.get_due_items_with_rehydration(player, season)[1]
	assert patient.get_due_items_with_rehydration(player, season)[1] is False
	assert state.rows(NOTE) == []
	assert_nobody_else_loads(patient, others, season, generation)


def test_what_was_missed_is_noted_for_every_host(proxy, patient, player, season, others):
	"""Another process reaches Redis all the time, and knows nothing of the failure but what MariaDB says."""
	direct = frappe.get_site_config()["srs_redis_cache"]
	make_records(player, 2)
	patient.get_due_items_with_rehydration(player, season)
	generation = srs_redis().get("srs:generation")
	proxy.stop()
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	healthy = in_thread(
		lambda: SRSRedisManager().get_due_items_with_rehydration(player, season), {"srs_redis_cache": direct}
	)
	assert healthy.result(30) == (bank_questions()[:2], True)
	assert state.rows(NOTE) == []
	assert srs_redis().get("srs:generation") == generation


def test_a_job_drops_what_nobody_reads(proxy, patient, player, season, others):
	generation = srs_redis().get("srs:generation")
	proxy.stop()
	dates = {others[0]: {bank_questions()[0]: 4e9}, others[1]: {bank_questions()[1]: 4e9}}
	assert not patient.schedules.move(season, dates)
	assert {(row.player, row.season) for row in state.rows(NOTE)} == {(name, season) for name in others}
	assert outdated.settle_outages() == 0
	proxy.start()
	assert outdated.settle_outages() == 2
	assert (state.rows(NOTE), srs_redis().get("srs:generation")) == ([], generation)
	assert [state.is_loaded(name, season) for name in others] == [False, False]


def test_notes_are_deleted_a_page_in_a_statement(season):
	"""After an outage there may be one for each learner."""
	others = [(f"{number:016x}", season) for number in range(50)]
	outdated_schedules.note_at_once(others, factories.site_now())
	before = deletions()
	assert outdated.settle_outages() == 50
	assert (state.rows(NOTE), deletions() - before) == ([], 1)


def deletions() -> int:
	found = frappe.db.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_delete', 'Com_delete_multi')")
	return sum(int(value) for _name, value in found)


def test_a_fold_that_notes_one_schedule_holds_up_no_deletion_of_other_notes(season):
	notes = [(f"{number:016x}", season) for number in range(20)]
	outdated_schedules.note_at_once(notes, factories.site_now())
	database.new_snapshot()
	page = outdated_schedules.get_page("")
	with raw_connection() as fold, fold.cursor() as cursor:
		cursor.execute(f"UPDATE `tab{NOTE}` SET token = 'new' WHERE name = %s", (page[9].name,))
		outdated_schedules.forget([(note.name, note.token) for note in page[:9] + page[10:]])
	database.new_snapshot()
	assert [row.name for row in state.rows(NOTE)] == [page[9].name]


def test_a_note_that_was_renewed_meanwhile_stays(player, season):
	outdated_schedules.note_at_once([(player, season)], factories.site_now())
	token = outdated_schedules.get_token(player, season)
	outdated_schedules.note_at_once([(player, season)], factories.site_now())
	outdated.drop(SRSRedisManager().schedules, player, season, token)
	frappe.db.rollback()
	assert outdated_schedules.get_token(player, season) not in ("", token)


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


def test_a_write_that_redis_did_and_whose_answer_was_lost_makes_one_schedule_load_again(
	proxy, patient, player, season, others
):
	make_records(player, 1)
	patient.get_due_items_with_rehydration(player, season)
	generation = srs_redis().get("srs:generation")
	proxy.hang()
	assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	proxy.resume()
	assert patient.get_due_items_with_rehydration(player, season)[1] is True
	assert state.cached(player, season) == state.scores(player, season)
	assert_nobody_else_loads(patient, others, season, generation)


def test_a_missed_write_that_mariadb_does_not_note_makes_all_schedules_stale(
	proxy, patient, player, season, others
):
	"""After COMMIT a learner is told that her answers are stored, whatever dies then."""
	generation = int(srs_redis().get("srs:generation") or 0)
	proxy.stop()
	port, frappe.db.port = frappe.db.port, ports.any_free()
	try:
		assert not patient.schedules.reschedule(player, season, {bank_questions()[0]: 4e9}, version=0)
	finally:
		frappe.db.port = port
	proxy.start()
	assert patient.get_due_items_with_rehydration(others[0], season)[1] is True
	assert int(srs_redis().get("srs:generation")) == generation + 1
	assert patient.get_due_items_with_rehydration(others[0], season)[1] is False
	assert int(srs_redis().get("srs:generation")) == generation + 1


def test_what_another_thread_misses_while_an_outage_is_counted_is_counted_next(manager, monkeypatch):
	"""It may have missed its write after the count that this thread asks for."""
	gateway, run_script = manager.schedules.gateway, scripts.run_script
	generation = int(srs_redis().get("srs:generation") or 0)

	def missing(*args) -> str:
		if not gateway.server.has_missed_writes:
			gateway.server.has_missed_writes = True
		return run_script(*args)

	with monkeypatch.context() as patch:
		patch.setattr(scripts, "run_script", missing)
		gateway.ask(gateway.count_outage)
	assert gateway.server.has_missed_writes is True
	assert manager.is_available()
	assert gateway.server.has_missed_writes is False
	assert int(srs_redis().get("srs:generation")) == generation + 2


def test_a_fold_that_reaches_no_redis_notes_whose_schedules_it_could_not_look_at(
	proxy, patient, player, season
):
	"""The process that stored the answers may have died before it told Redis, or MariaDB of what it missed."""
	submit(player, answers(2))
	key = state.outbox(player)[0].name
	proxy.stop()
	with pytest.raises(ZeroDivisionError), database.transaction():
		cache_check.check_cache(outbox.take([key]))
		raise ZeroDivisionError  # what is not folded is not noted: the next fold looks again
	assert state.rows(NOTE) == []
	folds.fold(key)
	assert [(row.player, row.season) for row in state.rows(NOTE)] == [(player, season)]
	proxy.start()
	srs_redis().zadd(SRSRedisManager()._make_key(player, season), {bank_questions()[0]: 1.0})
	frappe.db.rollback()
	patient.get_due_items_with_rehydration(player, season)
	assert state.cached(player, season) == state.scores(player, season)


@pytest.mark.parametrize("settle", [False, True], ids=["read", "job"])
def test_a_fold_that_alone_reaches_no_redis_makes_no_schedule_load_again(
	proxy, patient, player, season, settle
):
	"""A worker is cut off. The web process has told Redis of the dates, mostly."""
	make_records(player, 2)
	patient.get_due_items_with_rehydration(player, season)
	for number in range(2):
		submit(player, answers(questions=bank_questions()[number : number + 1]))
	proxy.stop()
	assert len(folds.drain(factories.site_now()).folded) == 2
	assert len(state.rows(NOTE)) == 1
	proxy.start()
	frappe.db.rollback()
	if settle:
		assert outdated.settle_outages() == 1
	assert patient.get_due_items_with_rehydration(player, season) == ([], False)
	assert state.rows(NOTE) == []


def incident_of_ten_minutes() -> str:
	started = factories.site_now() - timedelta(minutes=10)
	row = frappe.get_doc({"doctype": "Safe Mode Incident", "started_at": started, "reason": "gone"})
	row.db_insert()
	frappe.db.sql("UPDATE `tabSafe Mode Incident` SET modified = started_at")
	frappe.db.commit()
	return row.name


@pytest.mark.parametrize("is_met", [False, True])
def test_an_incident_that_nobody_meets_any_more_is_closed_by_a_job(proxy, patient, is_met):
	"""Those who met it may have died. Or another host goes on meeting it: this one reaches Redis all the time."""
	name, direct = incident_of_ten_minutes(), frappe.get_site_config()["srs_redis_cache"]
	if is_met:
		proxy.stop()
		assert not patient.is_available()
	frappe.local.conf.srs_redis_cache = direct
	outdated.settle_outages()
	frappe.db.rollback()
	assert bool(frappe.db.get_value("Safe Mode Incident", name, "ended_at")) != is_met
