"""A connection that ends between two statements, at any place of a submission or of a fold.

Neither Frappe nor a driver may go on with a new connection in the middle of a transaction: the learner's lock would be
gone, and a part of the transaction with it. (Frappe sets `auto_reconnect` on its connections, which does nothing.)
"""

from collections.abc import Callable
from threading import Event
from typing import Any, NamedTuple

import frappe
import pytest

from memora.services.folding import folds
from memora.services.store import database, ddl, failures, tracker
from tests.integration import factories, state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.folding import drain, put, record
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

OTHERS_SECONDS = 20
MOST_STATEMENTS = 60  # of a submission or a fold; more would mean that none is ever counted
ID_SQL = "SELECT CONNECTION_ID()"
IS_THERE_SQL = "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = %s"


class Outcome(NamedTuple):
	"""What an action returned or raised, whether its connection was ended, and what it could do with it afterwards."""

	result: Any
	error: Exception | None
	is_killed: bool
	done_later: list[str]


def kill(number: int) -> None:
	"""Ends a connection, and waits until MariaDB has rolled back what it had begun."""
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute(f"KILL {number}")
		wait_until(lambda: not cursor.execute(IS_THERE_SQL, (number,)), "the end of the connection")


def killed_after(statements: int, action: Callable[[], Any]) -> Outcome:
	"""Runs the action on a connection that is ended after so many statements of the action."""

	def run() -> Outcome:
		db, sql, sent, done_later = frappe.local.db, frappe.local.db.sql, [], []
		((number,),) = sql(ID_SQL)

		def counted(*args: Any, **kwargs: Any) -> Any:
			result = sql(*args, **kwargs)
			sent.append(str(args[0]))
			if len(sent) == statements:
				kill(number)
			elif len(sent) > statements:
				done_later.append(str(args[0]))
			return result

		db.sql = counted
		try:
			result, error = action(), None
		except Exception as raised:
			result, error = None, raised
		return Outcome(result, error, len(sent) >= statements, done_later)

	return in_other_connection(run).result(60)


def at_each_statement(action: Callable[[int], Any], check: Callable[[Outcome], None]) -> None:
	"""Ends the connection after the first statement of an action, of another after the second, and so on."""
	for statements in range(1, MOST_STATEMENTS):
		outcome = killed_after(statements, lambda number=statements: action(number))
		if not outcome.is_killed:
			assert outcome.error is None
			assert statements > 5, "the action has hardly a statement"
			return
		assert outcome.done_later == [], "somebody has connected anew"
		check(outcome)
	pytest.fail("the action never came to its end")


@pytest.mark.slow
def test_at_each_statement_of_a_submission(player):
	told: list[str] = []

	def check(outcome: Outcome) -> None:
		stored = {row.submission_id for row in state.journal(player)}
		name = f"s-{len(told) + 1}"
		told.append(name)
		if outcome.error is None:
			assert name in stored, "an answer that was acknowledged is lost"
		else:
			assert failures.may_pass(outcome.error) or outcome.error.http_status_code == 503
		if name in stored:
			assert len([row for row in state.journal(player) if row.submission_id == name]) == 2
		again = submit(player, answers(2), name)
		assert again["status"] == ("already_processed" if name in stored else "success")

	at_each_statement(lambda number: submit(player, answers(2), f"s-{number}"), check)
	submissions = [row.submission_id for row in state.journal(player)]
	assert sorted(submissions) == sorted(2 * [*told, f"s-{len(told) + 1}"])
	assert [row.kind for row in state.journal(player)].count("Learn") == 2
	drain()
	assert {row.reps for row in state.tracker(player).values()} == {1}  # one counts on a day


@pytest.mark.slow
def test_at_each_statement_of_a_fold(season, player):
	numbers: list[int] = []

	def fold(number: int) -> None:
		newer = {"reps": number, "last_review_date": factories.site_now()}
		folds.fold(put(player, season, f"s-{number}", [record("q1", **newer), record("q2", **newer)]))

	def found() -> set[int]:
		rows = state.tracker(player).values()
		assert len(rows) in (0, 2), "half a submission is stored"
		return {row.reps for row in rows}

	def check(outcome: Outcome) -> None:
		assert outcome.error is None or failures.may_pass(outcome.error)
		waiting = state.outbox(player)
		assert all(row.parked_at is None for row in waiting)
		assert len(found()) <= 1, "half a submission is stored"
		numbers.append(len(numbers) + 1)
		assert not waiting or found() != {numbers[-1]}, "a submission is stored and waits to be"
		drain()
		assert not state.outbox(player)

	at_each_statement(fold, check)
	assert found() == {len(numbers) + 1}


@pytest.mark.parametrize(
	"end", [lambda: None, lambda: frappe.db.commit()], ids=["in-a-transaction", "between-two"]
)
def test_who_rests_with_a_learners_lock_loses_it(player, monkeypatch, end):
	"""A process that hangs rests so, or a host that is cut off: MariaDB takes such a connection to be alive for hours."""
	monkeypatch.setattr(database, "HOLDER_RESTS_SECONDS", 1)
	rests, wakes = Event(), Event()

	def hold() -> None:
		with database.learner_lock(player):
			end()
			rests.set()
			wakes.wait()
			frappe.db.sql("SELECT 1")

	holder = in_other_connection(hold)
	assert rests.wait(OTHERS_SECONDS)
	with database.learner_lock(player):  # waits for LEARNER_LOCK_WAIT_SECONDS at most
		wakes.set()
	assert failures.is_lost(holder.exception(OTHERS_SECONDS))


def test_who_rests_with_locked_tables_loses_them(player, monkeypatch):
	monkeypatch.setattr(ddl, "LOCKED_RESTS_SECONDS", 1)
	rests, wakes = Event(), Event()

	def hold() -> None:
		with ddl._locked("tabPlayer Memory Tracker") as cursor:
			rests.set()
			wakes.wait()
			cursor.execute("SELECT 1")

	holder = in_other_connection(hold)
	assert rests.wait(OTHERS_SECONDS)
	tracker.get_dates(player, "a season")
	wakes.set()
	assert failures.is_lost(holder.exception(OTHERS_SECONDS))


def test_the_limits_of_a_holder_end_with_the_lock(player):
	limits = "SELECT @@wait_timeout, @@idle_transaction_timeout"
	before = frappe.db.sql(limits)
	with database.learner_lock(player):
		assert frappe.db.sql(limits) == ((database.HOLDER_RESTS_SECONDS,) * 2,)
	assert frappe.db.sql(limits) == before
