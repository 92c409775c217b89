"""What MariaDB does to a session of ours that waits, works or rests for too long, and what becomes of the answers."""

import threading
from collections.abc import Callable
from contextlib import suppress

import frappe
import pytest

from memora.services.folding import folds, queueing
from memora.services.operations import admin_jobs
from memora.services.store import failures, limits
from memora.services.store import tracker as tracker_store
from memora.services.store.limits import Limits
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import STANDING_SEASON
from tests.integration.folding import drain, put, record
from tests.integration.state import outbox, tracker
from tests.integration.test_drain import statements
from tests.integration.waiting import wait_until

ODD = Limits(innodb_lock_wait_timeout=7, max_statement_time=11, idle_transaction_timeout=13)
LOCKED_SQL = """
	SELECT 1 FROM information_schema.PROCESSLIST
	WHERE DB = DATABASE() AND STATE = 'Waiting for table metadata lock'"""
STATEMENT_TIMEOUT = 1969


def in_force() -> Limits:
	(found,) = frappe.db.sql(limits.READ_SQL)
	return Limits(*found)


@pytest.mark.parametrize(
	("fold", "expected"),
	[
		(folds.fold, folds.LIMITS),
		(lambda key: folds.drain_season(STANDING_SEASON), folds.LIMITS),
		(queueing._fold_inline, queueing.INLINE_LIMITS),
		(queueing.run_job, folds.LIMITS),
	],
	ids=["fold", "drain", "inline", "job"],
)
def test_a_fold_has_limits_and_afterwards_those_from_before_hold(season, player, monkeypatch, fold, expected):
	found: list[Limits] = []
	upsert = tracker_store.upsert_submissions
	monkeypatch.setattr(
		tracker_store, "upsert_submissions", lambda rows: (found.append(in_force()), upsert(rows))
	)
	key = put(player, season, "a", [record("q1")])

	def run() -> Limits:
		frappe.db.sql(limits.SET_SQL, ODD._asdict())
		fold(key)
		return in_force()

	assert in_other_connection(run).result(30) == ODD
	assert set(found) == {expected}
	assert not outbox(player)


def test_limits_within_equal_limits_cost_nothing(monkeypatch):
	with limits.limited(ODD), statements(monkeypatch) as sent, limits.limited(ODD):
		pass
	assert sent == []
	with limits.limited(ODD), limits.limited(folds.LIMITS):
		assert in_force() == folds.LIMITS
	assert in_force() not in (ODD, folds.LIMITS)


def test_an_error_is_not_hidden_by_a_connection_that_is_lost():
	def run() -> None:
		with limits.limited(ODD):
			with suppress(*failures.ERRORS):
				frappe.db.sql("KILL CONNECTION_ID()")
			raise KeyError("the block's own")

	with pytest.raises(KeyError):
		in_other_connection(run).result(30)


@pytest.mark.parametrize(
	("method", "job_type", "is_limited"),
	[
		("memora.jobs.do", None, True),
		("frappe.jobs.do", "memora.jobs.do", True),
		("frappe.jobs.do", None, False),
		("memora.jobs.do", "frappe.jobs.do", False),
	],
)
def test_our_jobs_alone_are_limited_to_their_end(method, job_type, is_limited):
	def run() -> tuple[float, int]:
		limits.limit_job(method, {"job_type": job_type} if job_type else {}, "request")
		return frappe.db.sql("SELECT @@max_statement_time, @@idle_write_transaction_timeout")[0]

	found = in_other_connection(run).result(30)
	assert found[0] == 0, "outside of a job a statement may take as long as it takes"
	assert (found[1] == limits.RESTS_SECONDS) is is_limited


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_who_must_not_rest_may_rest_again_after_the_transaction(end):
	def run() -> list[int]:
		found = [in_force()]
		limits.rest_briefly()
		found.append(in_force())
		getattr(frappe.db, end)()
		return [limit.idle_transaction_timeout for limit in (*found, in_force())]

	before, meanwhile, after = in_other_connection(run).result(30)
	assert (meanwhile, after) == (limits.RESTS_SECONDS, before)
	assert before != meanwhile


def test_a_connection_that_is_lost_when_a_job_begins_is_met_by_the_job():
	def run() -> None:
		with suppress(*failures.ERRORS):
			frappe.db.sql("KILL CONNECTION_ID()")
		limits.limit_work()

	in_other_connection(run).result(30)


def test_a_fold_whose_statement_takes_too_long_is_tried_again_later(season, player, monkeypatch):
	"""It waits for a row, and is stopped before the wait for the row is over."""
	monkeypatch.setattr(folds, "LIMITS", folds.LIMITS._replace(max_statement_time=0.2))
	key = put(player, season, "a", [record("q1")])
	put(player, season, "before", [record("q1", reps=1)])
	assert drain() == 2
	put(player, season, "b", [record("q1", reps=2, last_review_date=frappe.utils.now_datetime())])
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (player,))
		with pytest.raises(failures.ERRORS) as caught:
			drain()
	assert failures.number_of(caught.value) == STATEMENT_TIMEOUT
	(left,) = outbox(player)
	assert left.name != key
	assert left.parked_at is None
	assert drain() == 1
	assert [row.reps for row in tracker(player).values()] == [2]


def test_a_fold_that_hangs_gives_up_its_locks(season, player, monkeypatch):
	monkeypatch.setattr(folds, "LIMITS", folds.LIMITS._replace(idle_transaction_timeout=1))
	key = put(player, season, "a", [record("q1")])
	hangs, goes_on = threading.Event(), threading.Event()
	upsert: Callable[..., None] = tracker_store.upsert_submissions

	def upsert_late(rows) -> None:
		if not hangs.is_set():
			hangs.set()
			assert goes_on.wait(30)
		upsert(rows)

	monkeypatch.setattr(tracker_store, "upsert_submissions", upsert_late)
	hanging = in_other_connection(lambda: folds.fold(key))
	assert hangs.wait(10)
	assert drain() == 0, "the submission is not locked"
	wait_until(lambda: drain() == 1, "the locks of a fold that hangs")
	goes_on.set()
	with pytest.raises(failures.ERRORS) as caught:
		hanging.result(30)
	assert failures.is_lost(caught.value)
	assert not outbox(player)
	assert tracker(player).keys() == {"q1"}


def test_a_statement_of_a_job_ends_with_the_jobs_time(long_worker, season):
	"""A signal does not interrupt a statement of mysqlclient, and MariaDB goes on with one whose client is dead."""

	def is_waiting() -> bool:
		frappe.db.rollback()
		return bool(frappe.db.sql(LOCKED_SQL))

	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("LOCK TABLES `tabPlayer Memory Tracker` WRITE")
		frappe.enqueue(
			admin_jobs.JOB,
			queue=admin_jobs.QUEUE,
			timeout=3,
			action="memora.services.figures.due_forecast.compute_forecast",
			arguments={"season": season},
		)
		wait_until(is_waiting, "a statement of the job that waits")
		wait_until(lambda: not is_waiting(), "the end of the statement")
		cursor.execute("SELECT 1 FROM `tabPlayer Memory Tracker` LIMIT 1")  # still locked
