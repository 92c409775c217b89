"""Processes that stop (SIGSTOP) with locks in their hands: MariaDB takes the locks away, and others go on."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import frappe
import pytest

from memora.services.cache import incidents, loading
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.operations import switching
from memora.services.store import database, limits
from tests.integration import factories, state
from tests.integration.connections import in_other_connection, on_statements, raw_connection
from tests.integration.folding import drain, put, record
from tests.integration.submitting import answers, submit
from tests.integration.test_held_rows import waiting
from tests.integration.waiting import wait_until

RESTS = 2  # seconds, in place of some twenty
REST_SQL = "SELECT @@idle_write_transaction_timeout"


def stop() -> None:
	os.kill(os.getpid(), signal.SIGSTOP)


@contextmanager
def frozen(work: Callable[[], object], after: str) -> Iterator[int]:
	"""Does the work in another process, which stops after the first statement that has this text. Its process id."""
	after = after.upper()
	site, sites_path = frappe.local.site, frappe.local.sites_path
	if not (pid := os.fork()):
		_inherited = frappe.local.db  # forgotten, it would end the connection of both processes
		try:
			frappe.init(site, sites_path=sites_path)
			frappe.connect()
			on_statements(
				lambda _connection, sent: stop() if after in " ".join(sent.split()).upper() else None
			)
			work()
		finally:
			os._exit(0)
	_pid, status = os.waitpid(pid, os.WUNTRACED)
	assert os.WIFSTOPPED(status), f"{after!r} was never sent: the process came to its end"
	try:
		yield pid
	finally:
		os.kill(pid, signal.SIGKILL)
		os.waitpid(pid, 0)


def test_others_are_folded_while_a_fold_is_frozen_and_its_own_soon_after(season, monkeypatch):
	monkeypatch.setattr(folds, "LIMITS", folds.LIMITS._replace(idle_transaction_timeout=RESTS))
	held = [factories.learner_id(f"frozen {number}") for number in range(3)]
	for learner in held:
		put(learner, season, "first", [record("q1", reps=1)])
	with frozen(drain, after="INSERT INTO `tabPlayer Memory Tracker`"):
		other = factories.learner_id("other")
		put(other, season, "a", [record("q1")])
		put(held[0], season, "second", [record("q1", reps=2)])
		assert drain() == 1
		assert waiting() == set(held)
		wait_until(lambda: drain() and not waiting(), "the rows that the frozen process held")
	assert [row.reps for row in state.tracker(held[0]).values()] == [2]


@pytest.mark.parametrize(
	"after", ["INSERT INTO `tabPlayer Review Log`", "INSERT INTO `tabReview Outbox`", "COMMIT"]
)
def test_a_learner_whose_submission_is_frozen_can_answer_again(player, monkeypatch, after):
	monkeypatch.setattr(database, "HOLDER_RESTS_SECONDS", RESTS)
	with frozen(lambda: submit(player, answers(2)), after):
		frappe.db.commit()
		assert submit(player, answers(1))["status"] == "success"  # waits for her lock
	drain()
	assert not waiting()


def test_answers_go_on_while_a_switch_of_seasons_is_frozen(player, season, monkeypatch):
	"""It has locked all seasons, for which each answer waits."""
	monkeypatch.setattr(limits, "RESTS_SECONDS", RESTS)
	other = factories.make_season().name
	with frozen(lambda: switching.switch_season(other), after="ORDER BY name FOR UPDATE"):
		frappe.db.commit()
		assert submit(player, answers(1))["status"] == "success"


def test_answers_go_on_while_a_change_of_a_season_is_frozen(player, season, monkeypatch):
	monkeypatch.setattr(limits, "RESTS_SECONDS", RESTS)

	def change() -> None:
		document = frappe.get_doc("Game Subscription Season", season)
		document.update({"start_date": frappe.utils.add_days(document.start_date, -1)}).save()

	with frozen(change, after="UPDATE `tabGame Subscription Season`"):
		frappe.db.commit()
		assert submit(player, answers(1))["status"] == "success"


def test_a_job_that_has_written_and_rests_loses_its_locks(season, monkeypatch):
	monkeypatch.setattr(limits, "RESTS_SECONDS", RESTS)

	def work() -> None:
		limits.limit_job("memora.some.job", {}, "")
		frappe.db.sql("UPDATE `tabGame Subscription Season` SET archive_step = 1 WHERE name = %s", (season,))

	with frozen(work, after="SET archive_step = 1"), raw_connection() as own, own.cursor() as cursor:
		cursor.execute("SET SESSION innodb_lock_wait_timeout = 30")
		cursor.execute("UPDATE `tabGame Subscription Season` SET archive_step = 2 WHERE name = %s", (season,))
		own.rollback()


def test_a_job_of_another_app_is_left_alone():
	def rests(method: str) -> int:
		limits.limit_job(method, {}, "")
		return frappe.db.sql(REST_SQL)[0][0]

	before = frappe.db.sql("SELECT @@GLOBAL.idle_write_transaction_timeout")[0][0]
	assert in_other_connection(lambda: rests("frappe.ping")).result(30) == before
	assert in_other_connection(lambda: rests("memora.some.job")).result(30) == limits.RESTS_SECONDS


def test_safe_mode_admits_others_after_one_is_frozen_in_her_admission(monkeypatch):
	monkeypatch.setattr(database, "HOLDER_RESTS_SECONDS", RESTS)
	with frozen(lambda: SafeModeManager().ask("one"), after="INSERT INTO `tabSafe Mode Admission`"):
		wait_until(lambda: not SafeModeManager().ask("another").wait_seconds, "an admission")


def test_an_outage_is_noted_after_one_process_is_frozen_while_it_notes_it(season, monkeypatch):
	monkeypatch.setattr(database, "HOLDER_RESTS_SECONDS", RESTS)

	def is_noted() -> bool:
		incidents.open_incident("gone")
		return bool(state.rows("Safe Mode Incident"))

	with frozen(lambda: incidents.open_incident("gone"), after="FROM `tabSafe Mode Incident` ORDER BY"):
		wait_until(is_noted, "the incident")


def test_schedules_are_loaded_after_one_load_is_frozen(player, season, monkeypatch):
	"""So many loads may be under way, and each that hangs would be one less, for a share of the learners."""
	monkeypatch.setattr(database, "HOLDER_RESTS_SECONDS", RESTS)
	monkeypatch.setattr(loading, "MOST_LOADS", 1)
	other = factories.learner_id("other")
	for learner in (player, other):
		factories.make_records(learner, 1)
	with frozen(
		lambda: loading.load_due(Schedules(), other, season), after="FROM `tabPlayer Memory Tracker`"
	):
		wait_until(lambda: loading.load_due(Schedules(), player, season)[1], "her schedule")


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_whoever_has_changed_a_season_rests_as_before(season, end):
	sql = "SELECT @@idle_transaction_timeout"
	before = frappe.db.sql(sql)
	document = frappe.get_doc("Game Subscription Season", season)
	document.update({"start_date": frappe.utils.add_days(document.start_date, -1)}).save()
	assert frappe.db.sql(sql) == ((limits.RESTS_SECONDS,),)
	getattr(frappe.db, end)()
	assert frappe.db.sql(sql) == before
