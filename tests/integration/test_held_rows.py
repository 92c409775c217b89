"""Rows that another process does not let go cost their learners' submissions a delay, and nobody else's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import frappe
import pytest

from memora.services import site_time
from memora.services.folding import folds, queueing
from memora.services.store import failures
from tests.integration import factories, state
from tests.integration.connections import raw_connection
from tests.integration.folding import POISON, drain, put, record
from tests.integration.test_commands import run
from tests.integration.test_limits import in_force
from tests.integration.test_sweeper import make_older

OUTBOX_LOCK = "SELECT name FROM `tabReview Outbox` FORCE INDEX (PRIMARY) WHERE name IN %s FOR UPDATE"
TRACKER_LOCK = "SELECT name FROM `tabPlayer Memory Tracker` WHERE player IN %s FOR UPDATE"
COUNTED = json.dumps([["2026-11-20", "Subject", 1, 0, 0, 0, 0]])
DAY_LOCK = "SELECT name FROM `tabDaily Learner` WHERE player IN %s FOR UPDATE"


@contextmanager
def locked(statement: str, values: list[str]) -> Iterator[object]:
	"""Another process that has locked rows and does nothing more. Its connection, to end it earlier."""
	with raw_connection() as connection, connection.cursor() as cursor:
		# as folds have it: at MariaDB's default it would lock all rows that it reads, and the gaps between
		cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
		assert cursor.execute(statement, (tuple(values),)) >= len(values)
		yield connection
		connection.rollback()


@pytest.fixture
def tries(monkeypatch) -> list[tuple[int, bool]]:
	"""Each transaction that was tried: how long it may wait for a row, in seconds, and whether it was stopped."""
	found: list[tuple[int, bool]] = []
	fold = folds._fold

	def observed(names, limits=None):
		seconds = (limits or in_force()).innodb_lock_wait_timeout
		try:
			rows = fold(names, limits)
		except failures.ERRORS:
			found.append((seconds, True))
			raise
		found.append((seconds, False))
		return rows

	monkeypatch.setattr(folds, "_fold", observed)
	return found


def waits(tries: list[tuple[int, bool]]) -> int:
	"""How many transactions waited in vain."""
	return sum(seconds > 0 and stopped for seconds, stopped in tries)


def people(how_many: int) -> list[str]:
	return [factories.learner_id(f"held {number}") for number in range(how_many)]


def known(learners: list[str], season: str) -> None:
	"""Gives each learner a row in the tracker."""
	for learner in learners:
		put(learner, season, "first", [record("q1", reps=1)])
	assert drain() == len(learners)


def answer(learners: list[str], season: str, submission: str = "second") -> list[str]:
	return [put(learner, season, submission, [record("q1", reps=2)]) for learner in learners]


def waiting() -> set[str]:
	return {row.player for row in state.rows("Review Outbox")}


def test_one_locked_row_holds_up_one_learner(season, tries):
	learners = people(31)
	known(learners, season)
	answer(learners, season)
	with locked(TRACKER_LOCK, learners[:1]):
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (30, 1)
	assert waiting() == {learners[0]}
	assert waits(tries) == 1
	assert drain() == 1


def test_a_locked_day_of_a_learner_holds_up_one_learner(player, season):
	"""The last rows that a fold writes: all before them is undone."""
	other = factories.learner_id("other")
	for submission in ("a", "b"):
		for learner in (player, other):
			put(learner, season, submission, [record(submission)])
		frappe.db.sql("UPDATE `tabReview Outbox` SET activity = %s", (COUNTED,))
		frappe.db.commit()
		if submission == "a":
			assert drain() == 2
	with locked(DAY_LOCK, [player]):
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (1, 1)
	assert len(state.tracker(player)) == 1
	assert drain() == 1
	assert sum(row.answers for row in state.rows("Activity Count")) == 4


def test_who_looks_for_one_learners_days_locks_no_others(season):
	"""At MariaDB's default level of isolation, at which a search without an index locks every row and what is between."""
	learners = people(6)
	for submission in ("a", "b"):
		for learner in learners:
			put(learner, season, submission, [record(submission)])
		frappe.db.sql("UPDATE `tabReview Outbox` SET activity = %s", (COUNTED,))
		frappe.db.commit()
		if submission == "a":
			assert drain() == 6
	with raw_connection() as own, own.cursor() as cursor:
		assert cursor.execute(
			"SELECT name FROM `tabDaily Learner` WHERE player = %s FOR UPDATE", (learners[2],)
		)
		drained = folds.drain(factories.site_now())
		own.rollback()
	assert (len(drained.folded), drained.held) == (5, 1)


def test_many_locked_learners_among_others_are_waited_for_once(season, tries):
	learners = people(60)
	known(learners, season)
	answer(learners, season)
	with locked(TRACKER_LOCK, learners[::5]):
		del tries[:]
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (48, 12)
	assert waiting() == set(learners[::5])
	assert waits(tries) == 1
	assert len(tries) < 2 * 60 + 2 * 12


def test_locked_learners_in_each_page_are_waited_for_a_few_times_in_all(season, tries, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 2)
	monkeypatch.setattr(folds, "LOCK_WAITS", 2)
	learners = people(12)
	known(learners, season)
	answer(learners, season)
	with locked(TRACKER_LOCK, learners[::2]):
		del tries[:]
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (6, 6)
	assert waits(tries) == 2


def test_after_its_waits_a_drain_waits_for_no_row(season, monkeypatch):
	monkeypatch.setattr(folds, "LOCK_WAITS", 1)
	learners = people(5)
	known(learners, season)
	answer(learners, season)
	found, upsert = [], folds.tracker.upsert_submissions

	def observed(rows):
		found.append(in_force().innodb_lock_wait_timeout)
		upsert(rows)

	monkeypatch.setattr(folds.tracker, "upsert_submissions", observed)
	with locked(TRACKER_LOCK, learners[:1]):
		folds.drain(factories.site_now())
	assert found[0] > 0
	assert set(found[1:]) == {0}


def test_a_drain_whose_time_is_over_folds_only_what_is_named_first(season):
	learners = people(3)
	known(learners, season)
	keys = answer(learners, season)
	drained = folds.drain(factories.site_now(), 0, first=keys[:1])
	assert ([row.name for row in drained.folded], drained.held) == (keys[:1], 0)
	with locked(TRACKER_LOCK, learners[1:2]) as other:
		drained = folds.drain(factories.site_now(), 0, lambda folded: other.rollback(), keys[1:2])
	assert (drained.folded, drained.held) == ([], 1)  # though the row is free by now
	assert waiting() == set(learners[1:])


def test_a_locked_learner_is_not_tried_again_with_each_page(season, tries, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 3)
	held, *others = people(7)
	known([held], season)
	for number, other in enumerate(others):
		answer([held], season, f"mine {number}")
		answer([other], season)
	with locked(TRACKER_LOCK, [held]):
		del tries[:]
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (6, 6)
	assert sum(stopped for _seconds, stopped in tries) <= 8  # in the first page, and at the end
	assert drain() == 6


def test_what_is_let_go_meanwhile_is_folded_at_the_end(season, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 2)
	learners = people(6)
	known(learners, season)
	keys = answer(learners, season)
	with locked(TRACKER_LOCK, learners[:1]) as of_rows, locked(OUTBOX_LOCK, keys[1:2]) as of_outbox:

		def let_go(folded: int) -> None:
			if folded == 4:
				of_rows.rollback()
				of_outbox.rollback()

		drained = folds.drain(factories.site_now(), progress=let_go)
	assert (len(drained.folded), drained.held) == (6, 0)
	assert not waiting()


@pytest.mark.parametrize("how", ["drain", "season", "sweep", "job"])
def test_locked_submissions_are_looked_past(season, monkeypatch, how):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 3)
	learners = people(10)
	keys = answer(learners, season)
	for learner in learners:
		make_older(learner, 120)
	ways = {
		"drain": lambda: folds.drain(site_time.naive_now()),
		"season": lambda: folds.drain_season(season),
		"sweep": folds.sweep_outbox,
		"job": lambda: queueing.run_job(keys[0]),
	}
	with locked(OUTBOX_LOCK, keys[:7]):
		ways[how]()
		assert waiting() == set(learners[:7])
	assert drain() == 7


def test_rows_of_one_moment_are_looked_past_by_name(season, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 3)
	keys = sorted(answer(people(8), season))
	frappe.db.sql("UPDATE `tabReview Outbox` SET creation = %s", (factories.site_now(),))
	frappe.db.commit()
	with locked(OUTBOX_LOCK, keys[:5]):
		drained = folds.drain(factories.site_now())
	assert [row.name for row in drained.folded] == keys[5:]
	assert drained.held == 5


def test_a_job_whose_own_submission_is_held_folds_the_others(season):
	learners = people(3)
	known(learners, season)
	own, *_others = answer(learners, season)
	with locked(TRACKER_LOCK, learners[:1]):
		assert queueing.run_job(own) == 2
	assert waiting() == {learners[0]}
	assert queueing.run_job(own) == 1


def test_held_is_not_parked_and_bad_is_not_held(season):
	learners = people(4)
	known(learners[:3], season)
	answer(learners[:3], season)
	bad = put(learners[3], season, "bad", [], POISON)
	with locked(TRACKER_LOCK, learners[:1]):
		drained = folds.drain(factories.site_now())
	assert (len(drained.folded), drained.held) == (2, 1)
	assert {row.name for row in state.rows("Review Outbox") if row.parked_at} == {bad}
	assert drain() == 1


def test_the_command_waits_for_a_worker_that_folds(season, monkeypatch):
	learners, held, drain_once = people(3), [], folds.drain
	known(learners, season)
	answer(learners, season)
	with locked(TRACKER_LOCK, learners[:1]) as of_rows:

		def then_let_go(*args) -> folds.Drained:
			drained = drain_once(*args)
			of_rows.rollback()
			held.append(drained.held)
			return drained

		monkeypatch.setattr(folds, "drain", then_let_go)
		done = run("drain", "--json")
	result = json.loads(done.stdout)
	assert (done.exit_code, result["submissions"], result["held"]) == (0, 3, 0)
	assert held == [1, 0]


def test_the_command_says_what_is_held_and_exits_with_1(season, monkeypatch):
	monkeypatch.setattr(folds, "WORKER_SECONDS", 0.5)
	learners = people(3)
	known(learners, season)
	answer(learners, season)
	with locked(TRACKER_LOCK, learners[:1]):
		done = run("drain", "--json")
	result = json.loads(done.stdout)
	assert (done.exit_code, result["submissions"], result["waiting"], result["held"]) == (1, 2, 1, 1)
	assert "Other processes hold rows" in result["why"]
	result = json.loads(run("drain", "--json").stdout)
	assert (result["submissions"], result["held"], result["why"]) == (1, 0, None)
