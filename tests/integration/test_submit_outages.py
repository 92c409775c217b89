"""A submission whose season has closed, or while Redis or the queue is gone."""

import frappe
import pytest

from devtools import ports
from memora.exceptions import NoActiveSeason, SeasonStateError
from memora.services.store.submissions import write_submission
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import bank_questions, make_record, make_records, site_now
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_submit import SEASON
from tests.integration.waiting import wait_until


def test_without_an_active_season_nothing_is_stored(player, season):
	make_records(player, 1)
	frappe.db.set_value(SEASON, season, "is_active", 0)
	frappe.db.commit()
	with state.nothing_changes(), pytest.raises(NoActiveSeason, match=season):
		submit(player, answers(1))


def test_a_season_that_closes_while_answers_are_stored_takes_none_of_them(player, season):
	make_records(player, 2)
	before = state.everything()
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("UPDATE `tabGame Subscription Season` SET is_active = 0 WHERE name = %s", (season,))
		submission = in_other_connection(lambda: submit_and_commit(player))
		wait_until(somebody_writes_an_outbox_row, "the submission to wait for the season's row")
		connection.commit()
		with pytest.raises(SeasonStateError, match=season):
			submission.result(30)
	after = state.everything()
	assert after.pop(SEASON) != before.pop(SEASON)
	assert after == before


def submit_and_commit(player: str) -> None:
	"""Submits and goes on after an error: a commit would now store what the error left in the transaction."""
	try:
		submit(player, answers(2))
	finally:
		frappe.db.commit()


def somebody_writes_an_outbox_row() -> bool:
	frappe.db.rollback()
	return bool(
		frappe.db.sql(
			"""SELECT 1 FROM information_schema.PROCESSLIST
			WHERE INFO LIKE '%%INSERT INTO `tabReview Outbox`%%' AND ID != CONNECTION_ID()"""
		)
	)


# Without Redis, without a queue


def test_without_redis_answers_are_stored_and_marked(player, season):
	make_records(player, 2)
	frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{ports.any_free()}/0"
	first = submit(player, answers(1))
	assert (first["status"], first["processed"], first["is_degraded"]) == ("success", 1, True)
	second = submit(player, answers(1, questions=bank_questions()[1:2]))
	assert second["is_degraded"] is True
	assert {row.source for row in state.journal(player)} == {"Normal", "Safe Mode"}
	session = read(player)
	assert (ids(session), session["is_degraded"]) == ([], True)
	frappe.db.set_value(SEASON, season, "enable_redis", 0)
	frappe.db.commit()
	third = submit(player, answers(1, questions=bank_questions()[2:3]), "without a cache")
	assert third["is_degraded"] is False
	(row,) = (row for row in state.journal(player) if row.submission_id == "without a cache")
	assert row.source == "Normal"


def test_answers_given_without_redis_are_seen_when_it_is_back(player, season, proxy, manager):
	make_records(player, 3)
	manager.schedules.gateway.server.breaker.open_seconds = 0
	assert ids(read(player)) == bank_questions()[:3]
	proxy.stop()
	assert submit(player, answers(1))["is_degraded"] is True
	proxy.start()
	session = read(player)
	assert (ids(session), session["is_degraded"]) == (bank_questions()[1:3], False)
	assert state.cached(player, season) == state.scores(player, season)


def test_without_redis_enabled_an_answer_is_not_degraded(player, season):
	frappe.db.set_value(SEASON, season, "enable_redis", 0)
	frappe.db.commit()
	assert submit(player, answers(1))["is_degraded"] is False
	assert state.journal(player)[0].source == "Normal"


def test_a_submission_queues_a_job(player):
	result = submit(player, answers(2))
	((queue, jobs),) = state.queued_jobs().items()
	assert queue.endswith(":srs_write")
	assert jobs == [result["persistence_job_id"]]


def test_where_frappe_ignores_commits_no_answer_is_taken(player):
	"""In the hooks of a document's events, since Frappe 16. The document may yet fail, and take the answers with it."""
	if not hasattr(frappe.db, "_disable_transaction_control"):
		pytest.skip("this Frappe commits in the hooks of a document's events")
	frappe.db._disable_transaction_control += 1
	try:
		with state.nothing_changes(), pytest.raises(RuntimeError, match="after_commit"):
			submit(player, answers(2))
	finally:
		frappe.db._disable_transaction_control -= 1
	assert submit(player, answers(2))["processed"] == 2


def test_an_interrupted_submission_leaves_nothing(player, season):
	"""The rows are written; the transaction ends before its commit."""
	with state.nothing_changes():
		write_submission(player, season, "s", [], [make_record("q")], site_now())
		frappe.db.rollback()
