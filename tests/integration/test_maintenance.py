"""Maintenance mode of Frappe: answers wait on the device, and reads go on where the operator allows them."""

from collections.abc import Iterator

import frappe
import pytest

from devtools import mariadb, ports
from devtools.paths import current_bench
from memora.services.cache.schedules import Schedules
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import Learner, bank_questions, make_learner, make_records
from tests.integration.mariadb_server import Server
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids, read, submit

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


# A replica that lags


@pytest.fixture
def late(tmp_path) -> Iterator[tuple[Server, Learner, Learner]]:
	"""A server that knows of two learners' records, but of no answer since; and the two, whose schedules are warm and cold."""
	warm, cold = make_learner(), make_learner()
	for one in (warm, cold):
		make_records(one.name, question_ids=QUESTIONS)
	mariadb.dump(current_bench(), frappe.conf.db_name, tmp_path / "dump.sql")
	texts = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci")
	haste = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync")
	server = Server(tmp_path, frappe.conf.db_name, frappe.conf.db_password, (*texts, *haste))
	server.load(tmp_path / "dump.sql")
	yield server, warm, cold
	server.stop()


def reading_from(server: Server) -> dict[str, object]:
	return {
		**READING,
		"read_from_replica": 1,
		"replica_host": server.tcp["db_host"],
		"replica_db_port": server.port,
	}


@pytest.mark.slow
def test_nothing_is_kept_of_a_replica_that_lags(late, web, season):
	server, warm, cold = late
	for one in (warm, cold):
		submit(one.name, answers(questions=QUESTIONS[:2]))
	assert ids(read(warm.name)) == QUESTIONS[2:]
	Schedules().clear_learner(cold.name, season)
	before = state.cached(warm.name, season)
	with site_config(**reading_from(server)):
		assert ids(message(Client(web.url, warm.token).get(READ))) == QUESTIONS[2:]
		assert ids(message(Client(web.url, cold.token).get(READ))) == QUESTIONS  # late, as a replica may be
		check_answers_wait(Client(web.url, cold.token), cold.name)
	assert state.cached(warm.name, season) == before
	assert state.cached(cold.name, season) == {}
	assert ids(message(Client(web.url, cold.token).get(READ))) == QUESTIONS[2:]
