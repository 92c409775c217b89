"""One that fails costs the others nothing."""

import frappe
import pytest
from rq.timeouts import JobTimeoutException

from memora.services.store import database
from memora.services.store.loops import go_through, tell_of
from tests.integration import state
from tests.integration.connections import in_other_connection
from tests.integration.factories import make_season

DOCTYPE = "Game Subscription Season"


def test_the_others_have_their_turn_and_what_has_failed_is_told_at_once():
	told: list[str] = []
	failed = go_through(
		[2, 0, 4], lambda n: told.append(f"{8 / n:g}"), lambda n, _error: told.append(f"no {n}")
	)
	assert told == ["4", "no 0", "2"]
	assert tell_of(failed) == "0: ZeroDivisionError: division by zero"


def test_what_one_that_fails_has_written_does_not_stay():
	seasons = [make_season().name for _ in range(2)]
	frappe.db.commit()

	def write(season: str) -> None:
		frappe.db.set_value(DOCTYPE, season, "archive_status", "written")
		if season == seasons[0]:
			frappe.throw("not this one")
		frappe.db.commit()

	assert list(go_through(seasons, write)) == [seasons[0]]
	found = {row.name: row.archive_status for row in state.rows(DOCTYPE)}
	assert [found[season] for season in seasons] == [None, "written"]


def test_a_connection_that_is_lost_costs_the_others_nothing():
	done: list[int] = []

	def work(number: int) -> None:
		if number == 1:
			frappe.db.sql("KILL CONNECTION_ID()")
		done.append(number)

	failed = in_other_connection(lambda: go_through([1, 2], work)).result(30)
	assert (list(failed), done) == ([1], [2])


def test_the_end_of_a_jobs_time_is_the_end():
	begun: list[int] = []

	def run_out(number: int) -> None:
		begun.append(number)
		raise JobTimeoutException

	with pytest.raises(JobTimeoutException):
		go_through([1, 2], run_out)
	assert begun == [1]


def test_what_follows_a_commit_can_not_fail_it():
	season, done = make_season().name, []
	frappe.db.set_value(DOCTYPE, season, "archive_status", "written")
	database.after_commit(lambda: done.append(1 / 0))
	database.after_commit(lambda: done.append(1))
	frappe.db.commit()
	assert done == [1]
	assert state.rows(DOCTYPE, name=season)[0].archive_status == "written"


def test_the_end_of_a_jobs_time_ends_what_follows_a_commit():
	def run_out() -> None:
		raise JobTimeoutException

	database.after_commit(run_out)
	with pytest.raises(JobTimeoutException):
		frappe.db.commit()
