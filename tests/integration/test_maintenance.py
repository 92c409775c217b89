"""Maintenance mode of Frappe: answers wait on the device, and reads go on where the operator allows them."""

import pytest

from devtools import ports
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_records
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
CLOSED = {"maintenance_mode": 1}
READING = {"maintenance_mode": 1, "allow_reads_during_maintenance": 1}
QUESTIONS = bank_questions()[:5]


@pytest.fixture
def client(web, learner) -> Client:
	make_records(learner.name, question_ids=QUESTIONS)
	return Client(web.url, learner.token)


def check_refused(response) -> None:
	assert response.status_code == 503, response.text
	assert int(response.headers["Retry-After"]) >= 1


def check_answers_wait(client: Client, player: str) -> None:
	refused = client.post(SUBMIT, responses=as_sent(answers(1)), submission_id="s-1")
	check_refused(refused)
	assert refused.json()["exc_type"] in ("DatabaseUnavailable", "JournalUnavailable")
	assert "exc" not in refused.json()
	assert [row for row in state.journal(player) if row.submission_id == "s-1"] == []


def test_all_are_told_when_to_come_back(client, player):
	with site_config(**CLOSED):
		check_answers_wait(client, player)
		check_refused(client.get(READ))
		check_refused(client.request("GET", "/review"))
	assert message(client.post(SUBMIT, responses=as_sent(answers(1)), submission_id="s-1"))["processed"] == 1


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_reads_go_on_and_answers_wait(client, player, season, is_warm):
	if is_warm:
		message(client.get(READ))
	with site_config(**READING):
		session = message(client.get(READ))
		page = client.request("GET", "/review")
		check_answers_wait(client, player)
	assert (ids(session), session["total_due"], session["is_degraded"]) == (QUESTIONS, 5, False)
	assert (page.status_code, QUESTIONS[0] in page.text) == (200, True)
	assert bool(state.cached(player, season)) is is_warm


def test_reads_go_on_without_redis(client, player):
	dead = f"redis://127.0.0.1:{ports.any_free()}/0"
	with site_config(**READING, srs_redis_cache=dead):
		session = message(client.get(READ))
		again = client.get(READ)
		check_answers_wait(client, player)
	assert (ids(session), session["is_degraded"]) == (QUESTIONS, True)
	assert (again.status_code, 1 <= int(again.headers["Retry-After"]) <= 30) == (429, True)
	assert state.rows("Safe Mode Admission") == []
