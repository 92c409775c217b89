"""Without a worker the sweeper folds answers; without a queue the submission itself does."""

import time
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import frappe
import pytest
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

from devtools import ports
from memora.services.folding import folds, queueing
from memora.services.folding.folds import fold, sweep_outbox
from tests.integration import fleet as members
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.connections import at_once, raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, site_now
from tests.integration.fleet import CONNECTIONS, PROCESSES
from tests.integration.redis_proxy import RedisProxy
from tests.integration.submitting import answers, read, submit

# Folding by hand


def test_folding_twice_changes_nothing(player):
	submit(player, answers(3))
	(row,) = state.outbox(player)
	assert fold(row.name).name == row.name
	before = state.everything()
	assert fold(row.name) is None
	assert state.everything() == before


def test_a_job_out_of_time_parks_nothing(player):
	submit(player, answers(2))
	(row,) = state.outbox(player)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("LOCK TABLES `tabPlayer Memory Tracker` READ")
		with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(1, JobTimeoutException):
			fold(row.name)
	frappe.db.close()  # in the middle of a statement
	frappe.db.connect()
	assert [row.parked_at for row in state.outbox(player)] == [None]
	assert fold(row.name).name == row.name


def test_what_another_process_is_folding_is_left_to_it(player):
	submit(player, answers(2))
	(row,) = state.outbox(player)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (row.name,))
		assert fold(row.name) is None
		assert state.tracker(player) == {}
		connection.rollback()  # closing it would let the row go a little later
	assert fold(row.name)
	assert len(state.tracker(player)) == 2


# The sweeper


def make_older(player: str, seconds: int) -> None:
	frappe.db.sql(
		"UPDATE `tabReview Outbox` SET creation = creation - INTERVAL %s SECOND WHERE player = %s",
		(seconds, player),
	)
	frappe.db.commit()


def test_the_sweeper_folds_what_waits_for_more_than_a_minute(player, season):
	make_records(player, 3)
	read(player)
	submit(player, answers(2))
	make_older(player, 61)
	assert sweep_outbox() == 1
	assert state.outbox(player) == []
	state.assert_agreement(player, season)


def test_the_sweeper_leaves_what_is_younger_to_the_workers(player, season):
	read(player)
	submit(player, answers(2))
	make_older(player, 30)
	with state.nothing_changes():
		assert sweep_outbox() == 0
	assert state.is_loaded(player, season)


def test_the_sweeper_drops_the_schedule_that_an_answer_did_not_reach(player, season):
	"""A process can die between COMMIT and Redis. The outdated schedule goes; all right ones stay."""
	other, third = make_learner().name, make_learner().name
	for one in (player, other, third):
		read(one)
		submit(one, answers(2))
	srs_redis().zincrby(f"srs:{player}:{season}", -60, bank_questions()[0])
	make_older(player, 120)
	make_older(third, 120)
	assert sweep_outbox() == 2
	assert not state.is_loaded(player, season)
	assert state.is_loaded(third, season)
	assert state.is_loaded(other, season)
	assert len(state.outbox(other)) == 1


def test_the_sweeper_works_without_redis(player):
	submit(player, answers(2))
	make_older(player, 120)
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"
	assert sweep_outbox() == 1
	assert len(state.tracker(player)) == 2


def test_the_sweeper_is_a_scheduled_job_of_every_minute():
	jobs = frappe.get_all(
		"Scheduled Job Type",
		filters={"method": "memora.services.folding.folds.sweep_outbox"},
		fields=["frequency", "cron_format", "stopped"],
	)
	assert jobs == [{"frequency": "Cron", "cron_format": "* * * * *", "stopped": 0}]


# Without a queue


def test_without_a_queue_answers_are_folded_at_once(queue_url, player, season):
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	make_records(player, 3)
	read(player)
	result = submit(player, answers(2))
	assert (result["status"], result["persistence_job_id"], result["is_degraded"]) == ("success", None, False)
	assert state.outbox(player) == []
	state.assert_agreement(player, season)
	assert state.queued_jobs() == {}


def test_a_queue_that_hangs_is_no_queue(queue_url, player, season):
	proxy = RedisProxy(frappe.conf.redis_queue)
	queue_url(proxy.url)
	submit(player, answers(1))
	proxy.hang()
	result = submit(player, answers(2))
	proxy.stop()
	assert (result["status"], result["persistence_job_id"]) == ("success", None)
	agree_after_folding(player, season)


def test_a_fold_that_would_have_to_wait_is_left_to_the_sweeper(queue_url, player, season, monkeypatch):
	make_records(player, 3)
	monkeypatch.setattr(queueing, "_inline", queueing._InlineFolds())
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabPlayer Memory Tracker` WHERE player = %s FOR UPDATE", (player,))
		assert submit(player, answers(2))["status"] == "success"
	assert len(state.outbox(player)) == 1
	agree_after_folding(player, season)


def test_without_a_queue_a_submission_waits_as_far_as_is_known(queue_url, player):
	job_id = submit(player, answers(1))["persistence_job_id"]
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	assert queueing.get_status(job_id) == {"job_id": job_id, "status": "queued"}


def test_a_process_spends_a_fifth_of_its_time_on_folds_and_has_one_at_a_time(monkeypatch):
	clock = SimpleNamespace(seconds=0.0)
	monkeypatch.setattr(queueing, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
	inline = queueing._InlineFolds()

	def is_mine(at: float, takes: float) -> bool:
		clock.seconds = at
		with inline.turn() as is_mine, inline.turn() as is_anothers:
			assert not is_anothers
			clock.seconds += takes
		return is_mine

	assert is_mine(1000, takes=2)
	assert not is_mine(1009.5, takes=50)
	assert is_mine(1010, takes=0.5)
	assert not is_mine(1012.25, takes=0)
	assert is_mine(1012.5, takes=0)


def agree_after_folding(player: str, season: str) -> None:
	for row in state.outbox(player):
		fold(row.name)
	state.assert_agreement(player, season)


def test_a_storm_is_journalled_whole_and_folded_one_at_a_time_with_pauses(queue_url, monkeypatch):
	no_queue = f"redis://127.0.0.1:{ports.any_free()}/0"
	monkeypatch.setattr(queueing, "_inline", queueing._InlineFolds())
	learners, questions = [make_learner().name for _ in range(8)], bank_questions()[:8]
	folds, fold_inline = [], queueing._fold_inline

	def timed_fold(key: str) -> None:
		begin = time.monotonic()
		fold_inline(key)
		folds.append((begin, time.monotonic()))

	def answer_all(player: str) -> int:
		queue_url(no_queue)
		return sum(submit(player, answers(questions=[question]))["processed"] for question in questions)

	monkeypatch.setattr(queueing, "_fold_inline", timed_fold)
	assert at_once(*[partial(answer_all, player) for player in learners]) == [len(questions)] * len(learners)
	for (begin, end), (next_begin, _end) in pairwise(folds):
		assert next_begin - end >= (end - begin) * (1 / queueing.INLINE_SHARE - 1)
	waiting = len(state.rows("Review Outbox"))
	assert len(folds) > 1
	assert waiting == len(learners) * len(questions) - len(folds)


def test_a_storm_of_eight_processes_is_journalled_whole_and_folded_in_part(fleet):
	questions = bank_questions()[:10]
	players = fleet.run(members.submit, questions=questions)
	journal = [row for player in players for row in state.journal(player)]
	assert len(journal) == len(players) * len(questions) == PROCESSES * CONNECTIONS * 10
	assert "Safe Mode" in {row.source for row in journal}
	waiting = len(state.rows("Review Outbox"))
	assert 0 < waiting < len(journal)
	assert len(folds.drain(site_now()).folded) == waiting
	for player in players:
		assert state.tracker(player).keys() == set(questions)


def test_after_a_failure_the_queue_is_not_asked_for_a_while(queue_url, player):
	proxy = RedisProxy(frappe.conf.redis_queue)
	queue_url(proxy.url)
	proxy.stop()
	assert submit(player, answers(1))["persistence_job_id"] is None
	proxy.start()
	before = proxy.connections
	assert submit(player, answers(1))["persistence_job_id"] is None
	assert proxy.connections == before
	proxy.stop()
