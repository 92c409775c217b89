"""MariaDB's clock decides when an answer was given and what is due, whatever a host's own clock says."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import frappe
import pytest

from devtools import processes, shell
from memora.services import site_time
from memora.services.operations import clocks
from memora.services.settings import forget_settings
from memora.services.store import tracker
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_records
from tests.integration.served_ahead import AHEAD_SECONDS
from tests.integration.submitting import answers, as_sent, ids, read, submit

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
SOURCE = Path(__file__).with_name("clock_ahead.c")


@pytest.fixture
def behind() -> Iterator[None]:
	"""MariaDB's clock, as this process sees it, is an hour behind, and stands still."""
	frappe.db.sql(f"SET timestamp = UNIX_TIMESTAMP() - {AHEAD_SECONDS}")
	forget_settings()
	site_time.now()
	clocks._next_looks.clear()
	yield
	frappe.db.sql("SET timestamp = DEFAULT")
	forget_settings()
	site_time.now()


def told() -> list[frappe._dict]:
	return [row for row in state.rows("Notification Log") if "clock" in row.subject]


def test_clocks_that_agree_are_left_alone():
	assert site_time.now() and site_time.clock_is_off() == 0
	clocks.watch()
	assert told() == []


def test_an_answer_is_given_when_mariadb_says(behind, player):
	((now,),) = frappe.db.sql("SELECT UNIX_TIMESTAMP()")
	assert AHEAD_SECONDS - 30 < site_time.clock_is_off() < AHEAD_SECONDS + 30
	submit(player, answers(1))
	(row,) = state.journal(player)
	assert abs(site_time.to_epoch(row.creation) - now) < 60


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_what_is_due_is_due_by_mariadb(behind, player, is_warm):
	"""In Redis and in MariaDB alike."""
	soon, due = bank_questions()[:2]
	now = site_time.naive_now()
	make_records(player, question_ids=[soon], next_review_date=now + timedelta(minutes=30))
	make_records(player, question_ids=[due], next_review_date=now - timedelta(minutes=30))
	if is_warm:
		read(player)
	session = read(player)
	assert (ids(session), session["total_due"]) == ([due], 1)


def test_managers_are_told_of_the_host_once(behind):
	for _ in range(3):
		clocks._next_looks.clear()
		clocks.watch()
	(row,) = told()
	assert (row.for_user, "differs from MariaDB's by 36" in row.email_content) == ("Administrator", True)


@pytest.fixture
def web_ahead(site, tmp_path) -> Iterator[processes.Handle]:
	"""Gunicorn on a host whose clock is an hour ahead."""
	library = tmp_path / "clock_ahead.so"
	subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
	ahead = {"LD_PRELOAD": str(library)}
	with processes.web(site, env=ahead, app="tests.integration.served_ahead:application") as web:
		yield web


@pytest.mark.skipif(not shell.find("gcc"), reason="gcc is not installed")
def test_a_web_host_that_is_an_hour_ahead(web_ahead, learner, season):
	"""Her reviews begin there no earlier, and her answers are given there no later."""
	due, soon = bank_questions()[:2]
	now = site_time.naive_now()
	make_records(learner.name, question_ids=[soon], next_review_date=now + timedelta(minutes=30))
	make_records(learner.name, question_ids=[due])
	ahead = Client(web_ahead.url, learner.token)
	assert ids(message(ahead.get(READ))) == [due]
	assert message(ahead.post(SUBMIT, responses=as_sent(answers(questions=[due]))))["processed"] == 1
	(row,), record = state.journal(learner.name), tracker.get_records(learner.name, season, [due])[due]
	assert max(abs(row.creation - now), abs(record.last_review_date - now)) < timedelta(minutes=2)
	assert len(told()) == 1
