"""MariaDB's sessions may begin with any level of isolation: what relies on locks and on one view of the past holds."""

from collections.abc import Iterator

import frappe
import pytest

from devtools import mariadb
from devtools.paths import current_bench
from memora.services import settings
from memora.services.learning import submissions
from memora.services.store import database, failures, outbox, surroundings
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import STANDING_SEASON, bank_questions, ensure_learner, make_records
from tests.integration.submitting import answers, as_sent, ids, submit

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
LEVELS = ["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"]
SEASON_SQL = "SELECT name FROM `tabGame Subscription Season` WHERE name = %s FOR UPDATE NOWAIT"
SETTING_SQL = """
	SELECT value FROM tabSingles WHERE doctype = 'Memora Settings' AND field = 'day_start_hour' FOR UPDATE NOWAIT"""
LEARNER_SQL = "SELECT name FROM `tabMemora Learner` WHERE name = %s FOR UPDATE NOWAIT"


@pytest.fixture(params=LEVELS)
def level(request) -> Iterator[str]:
	"""The level with which sessions of the server begin."""
	((before,),) = frappe.db.sql("SELECT @@GLOBAL.tx_isolation")
	set_level(request.param)
	yield request.param
	set_level(before)


def set_level(level: str) -> None:
	frappe.db.commit()
	mariadb.execute(current_bench(), f"SET GLOBAL tx_isolation = '{level}'")
	settings.forget_settings()
	settings.get_settings()
	frappe.db.rollback()


def test_a_request_sees_one_moment(level, season):
	def look() -> list[str]:
		surroundings.see_one_moment()
		seen = []
		for value in ("before", "after"):
			seen.append(frappe.db.get_value("Game Subscription Season", season, "archive_flags"))
			with raw_connection(autocommit=True) as other, other.cursor() as cursor:
				cursor.execute(
					"UPDATE `tabGame Subscription Season` SET archive_flags = %s WHERE name = %s",
					(value, season),
				)
		return seen

	assert in_other_connection(look).result(30) == [None, None]


def test_a_submission_holds_what_it_has_looked_at(level, player):
	"""An archive run, an erasure and a change of the calendar wait for it, or it sees them."""
	ensure_learner(player)
	frappe.db.set_single_value("Memora Settings", "day_start_hour", 4)
	frappe.db.commit()
	calendar = outbox.Calendar(
		frappe.db.get_value("Game Subscription Season", STANDING_SEASON, "end_date"), 4
	)

	def insert() -> list[int]:
		key = f"{player}{'0' * 16}"
		outbox.insert(key, player, STANDING_SEASON, "{}", [], frappe.utils.now_datetime(), None, calendar)
		locked = [
			number_of_error(SEASON_SQL, STANDING_SEASON),
			number_of_error(LEARNER_SQL, player),
			number_of_error(SETTING_SQL),
		]
		frappe.db.rollback()
		return locked

	assert in_other_connection(insert).result(20) == [failures.LOCK_WAIT_TIMEOUT] * 3


def number_of_error(statement: str, *values: str) -> int:
	with raw_connection() as other, other.cursor() as cursor:
		try:
			cursor.execute(statement, values)
		except failures.ERRORS as error:
			return failures.number_of(error)
	return 0


def test_a_snapshot_is_of_one_moment(level, player):
	make_records(player, question_ids=bank_questions()[:1])

	def count() -> int:
		return frappe.db.sql("SELECT COUNT(*) FROM `tabPlayer Memory Tracker` WHERE player = %s", (player,))[
			0
		][0]

	def look() -> tuple[int, int]:
		database.new_snapshot()
		before = count()
		in_other_connection(lambda: make_records(player, question_ids=bank_questions()[1:2])).result(20)
		return before, count()

	assert in_other_connection(look).result(30) == (1, 1)


def test_learners_read_and_answer(level, web, learner):
	due = bank_questions()[:2]
	make_records(learner.name, question_ids=due)
	client = Client(web.url, learner.token)
	assert ids(message(client.get(READ))) == due
	assert message(client.post(SUBMIT, responses=as_sent(answers(questions=due[:1]))))["processed"] == 1
	assert ids(message(client.get(READ))) == due[1:]
	assert len(state.journal(learner.name)) == 1


def test_a_season_that_changes_while_a_submission_is_judged_costs_no_answer(player, monkeypatch):
	"""From MariaDB 11.6.2 on, a lock on a row that has changed since it was seen is an error."""
	if not frappe.db.sql("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
		pytest.skip("this MariaDB knows no innodb_snapshot_isolation")
	changes, write = [], submissions.write_submission

	def change() -> None:
		changes.append(1)
		season = {"archive_status": f"change {len(changes)}"}
		frappe.db.set_value("Game Subscription Season", STANDING_SEASON, season, update_modified=False)
		frappe.db.commit()

	def write_late(*values) -> str:
		if not changes:  # from then on it would have to wait for the submission
			in_other_connection(change).result(20)
		return write(*values)

	monkeypatch.setattr(submissions, "write_submission", write_late)
	frappe.db.sql("SET SESSION innodb_snapshot_isolation = ON")
	try:
		assert submit(player, answers(2))["processed"] == 2
	finally:
		frappe.db.sql("SET SESSION innodb_snapshot_isolation = DEFAULT")
		frappe.db.set_value("Game Subscription Season", STANDING_SEASON, "archive_status", None)
		frappe.db.commit()
	assert changes == [1]
