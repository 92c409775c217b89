"""The patch that gives ids to learners, when it is killed, and while others read and write."""

import signal
from functools import partial
from typing import Any

import frappe
import pytest

from memora.services.folding import folds
from memora.services.learning import learners as learning_learners
from memora.services.operations import learner_ids
from memora.services.operations.replay import replay_season
from memora.services.store import database, old_learners
from memora.services.store.row_names import digest
from tests.integration import state
from tests.integration.connections import in_other_connection
from tests.integration.factories import (
	STANDING_SEASON,
	Learner,
	bank_questions,
	lift_limits,
	site_now,
)
from tests.integration.old_learners import run_patch, unconverted
from tests.integration.old_site import SUBJECT, check, make_old_site
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_setup_partitioning_interrupted import in_child
from tests.integration.waiting import wait_until


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(pending, monkeypatch, capfd):
	monkeypatch.setattr(old_learners, "RANGE_ROWS", 12)
	site, codes = make_old_site(), []
	while not codes or codes[-1] == -signal.SIGKILL:
		wait_until(lambda: not database.is_locked(learner_ids.LOCK), "MariaDB to miss the dead run")
		codes.append(in_child(run_patch, statements=12 + 4 * len(codes)))
	assert codes[-1] == 0, capfd.readouterr().err
	assert len(codes) > 10
	check(site)


def test_a_run_begins_where_a_dead_one_stopped(pending, monkeypatch):
	monkeypatch.setattr(old_learners, "RANGE_ROWS", 12)
	site, seen, convert = make_old_site(), [], learner_ids._convert

	def dying(tables: list[str], first: str, *rest: Any) -> int:
		seen.append(first)
		if len(seen) == 4:
			raise KeyboardInterrupt
		return convert(tables, first, *rest)

	monkeypatch.setattr(learner_ids, "_convert", dying)
	with pytest.raises(KeyboardInterrupt):
		run_patch()
	frappe.db.rollback()
	run_patch()
	assert seen[4] == seen[3] > seen[2]
	check(site)


def test_learners_read_and_answer_while_the_patch_runs(pending, monkeypatch):
	"""Each comes while the rows of her range are being rewritten."""
	lift_limits()
	monkeypatch.setattr(old_learners, "RANGE_ROWS", 30)
	site = make_old_site(8)
	fresh, futures, is_over, set_players = bank_questions()[20:24], {}, False, old_learners.set_players

	def learn(learner: Learner) -> list[str]:
		stored, expected = [], site.expected[learner.user]
		while not is_over or len(stored) < len(fresh):
			name = learning_learners.sit_down(learner.user).learner
			assert ids(read(name, SUBJECT, limit=100)) == expected.due_of_subject
			assert ids(read(name, limit=100)) == expected.due
			if len(stored) < len(fresh):
				submit(name, answers(questions=fresh[len(stored) : len(stored) + 1]))
				stored.append(fresh[len(stored)])
		return stored

	def come(tables: list[str], first: str, end: str, players: set[str]) -> int:
		changed = set_players(tables, first, end, players)
		for learner in site.learners:
			if first <= digest(learner.user) < end and learner.user not in futures:
				futures[learner.user] = in_other_connection(partial(learn, learner))
		return changed

	monkeypatch.setattr(old_learners, "set_players", come)
	run_patch()
	is_over = True
	assert [future.result(60) for future in futures.values()] == [fresh] * len(site.learners)
	folds.unpark()
	folds.drain(site_now())
	assert unconverted() == {}
	assert replay_season(STANDING_SEASON).differences == 0
	for learner in site.learners:
		assert {*fresh} <= state.tracker(digest(learner.user)).keys()


def test_what_the_earlier_version_writes_behind_the_first_pass_is_found_by_the_second(pending, monkeypatch):
	site, advance = make_old_site(3), old_learners.advance

	def late(number: str, position: str) -> None:
		advance(number, position)
		if number == "first":
			for table in old_learners.TABLES:
				frappe.db.sql(
					f"UPDATE `{table}` SET player = %s WHERE player = %s", (late_user, digest(late_user))
				)

	late_user = site.learners[0].user
	monkeypatch.setattr(old_learners, "advance", late)
	run_patch()
	check(site)
