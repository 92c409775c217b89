"""MariaDB takes no writes: `SET GLOBAL read_only = 1`, as an operator sets it, or a failover. What learners read goes on."""

from collections.abc import Iterator
from typing import Any

import frappe
import pytest

from devtools import mariadb, ports
from devtools.paths import current_bench
from memora.hooks import scheduler_events
from memora.services import settings, site_time
from memora.services.cache import server
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.store import failures, surroundings
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_records
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids, read, submit
from tests.integration.waiting import wait_until

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
QUESTIONS = bank_questions()[:3]
SCHEDULED = [
	*(method for methods in scheduler_events["cron"].values() for method in methods),
	*(method for often, methods in scheduler_events.items() if often != "cron" for method in methods),
]


def set_read_only(is_on: bool) -> None:
	frappe.db.commit()  # or it would wait for what this transaction has written
	mariadb.execute(current_bench(), f"SET GLOBAL read_only = {int(is_on)}")


@pytest.fixture
def read_only(client, player) -> Iterator[None]:
	"""A submission waits to be folded."""
	submit(player, answers(questions=bank_questions()[5:6]))
	read(player)
	set_read_only(True)
	yield
	frappe.db.rollback()
	set_read_only(False)
	settings.forget_settings()
	server.server_of.cache_clear()  # it knows for some seconds that nothing can be written


@pytest.fixture
def client(web, learner) -> Client:
	"""Keeps no connection: after a reply Frappe 16 writes into the session, fails, and closes it."""
	make_records(learner.name, question_ids=QUESTIONS)
	client = Client(web.url, learner.token)
	client.session.headers["Connection"] = "close"
	return client


def test_answers_wait_and_are_taken_afterwards(client, read_only, player):
	before = state.journal(player)
	refused = client.post(SUBMIT, responses=as_sent(answers(1)), submission_id="s-1")
	assert (refused.status_code, refused.json()["exc_type"]) == (503, "JournalUnavailable")
	assert int(refused.headers["Retry-After"]) >= 1
	assert "not saved" in refused.text
	assert state.journal(player) == before
	set_read_only(False)
	assert message(client.post(SUBMIT, responses=as_sent(answers(1)), submission_id="s-1"))["processed"] == 1


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_reads_go_on(client, read_only, player, season, is_warm):
	if not is_warm:
		Schedules().clear_learner(player, season)
	for _ in range(2):
		session = message(client.get(READ))
		assert (ids(session)[: len(QUESTIONS)], session["is_degraded"]) == (QUESTIONS, False)


def test_the_page_goes_on(client, read_only):
	"""Each web process notices within seconds; from then on it writes nothing."""

	def statuses() -> set[int]:
		return {client.request("GET", "/review").status_code for _ in range(8)}

	wait_until(lambda: statuses() == {200}, "the page of each process")
	assert statuses() == {200}


def test_a_request_writes_nothing_as_long_as_mariadb_takes_no_writes(read_only):
	settings.forget_settings()
	assert settings.get_settings() and settings.get_server().is_read_only
	surroundings.heed_read_only()
	assert frappe.flags.read_only
	frappe.flags.read_only = False
	set_read_only(False)
	for _ in range(2):  # the first looks again
		surroundings.heed_read_only()
		assert not frappe.flags.read_only


def test_reads_go_on_without_redis(client, read_only):
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		session = message(client.get(READ))
		replies = [client.get(READ) for _ in range(8)]
	assert (ids(session)[: len(QUESTIONS)], session["is_degraded"]) == (QUESTIONS, True)
	refused = [reply for reply in replies if reply.status_code == 429]
	assert len(refused) >= 7  # what the other process has admitted can't be noted for this one
	assert min(int(reply.headers["Retry-After"]) for reply in refused) >= 1


def test_folds_wait(read_only, player):
	with pytest.raises(failures.ERRORS) as raised:
		folds.drain(site_time.naive_now())
	assert failures.is_read_only(raised.value)
	assert [row.parked_at for row in state.outbox(player)] == [None]
	set_read_only(False)
	folds.drain(site_time.naive_now())
	assert (state.outbox(player), len(state.tracker(player))) == ([], len(QUESTIONS) + 1)


def test_scheduled_jobs_say_why_they_fail(read_only):
	"""And none does half of its work."""
	before = stored()
	for method in SCHEDULED:
		frappe.db.rollback()
		try:
			frappe.get_attr(method)()
		except failures.ERRORS as error:
			assert failures.is_read_only(error), f"{method}: {error}"
	frappe.db.rollback()
	assert stored() == before


def stored() -> dict[str, Any]:
	"""All that is stored. Jobs may be queued, and then fail by themselves."""
	return {kind: found for kind, found in state.everything().items() if kind != "jobs"}
