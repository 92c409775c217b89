"""A second MariaDB with the site as it was a while ago: a replica that lags, another host, a server that demands TLS."""

from collections.abc import Iterator
from typing import NamedTuple

import frappe
import pytest

from devtools import mariadb, ports
from devtools.paths import current_bench
from memora.services.cache.schedules import Schedules
from tests.integration import bench_commands, state
from tests.integration.cleaning import srs_keys, srs_redis
from tests.integration.client import Client, message
from tests.integration.factories import Learner, bank_questions, make_learner, make_records
from tests.integration.mariadb_server import HOST, Server
from tests.integration.redis_server import RedisServer
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids, read, submit
from tests.integration.test_maintenance import READ, READING, SUBMIT, check_answers_wait

pytestmark = pytest.mark.slow
QUESTIONS = bank_questions()[:5]


class Copy(NamedTuple):
	"""A server that knows of the records of two learners, and of no answer since."""

	server: Server
	warm: Learner
	cold: Learner


@pytest.fixture(scope="module")
def copy(site, tmp_path_factory) -> Iterator[Copy]:
	folder = tmp_path_factory.mktemp("copy")
	warm, cold = make_learner(), make_learner()
	for one in (warm, cold):
		make_records(one.name, question_ids=QUESTIONS)
	mariadb.dump(current_bench(), frappe.conf.db_name, folder / "dump.sql")
	texts = ("--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci")
	haste = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync")
	server = Server(folder, frappe.conf.db_name, frappe.conf.db_password, (*texts, *haste, "--server-id=2"))
	server.load(folder / "dump.sql")
	yield Copy(server, warm, cold)
	server.stop()


def test_nothing_is_kept_of_a_replica_that_lags(copy, web, season):
	server, warm, cold = copy
	for one in (warm, cold):
		submit(one.name, answers(questions=QUESTIONS[:2]))
	assert ids(read(warm.name)) == QUESTIONS[2:]
	Schedules().clear_learner(cold.name, season)
	before = state.cached(warm.name, season)
	replica = {"read_from_replica": 1, "replica_host": HOST, "replica_db_port": server.port}
	with site_config(**READING, **replica):
		assert ids(message(Client(web.url, warm.token).get(READ))) == QUESTIONS[2:]
		assert ids(message(Client(web.url, cold.token).get(READ))) == QUESTIONS  # late, as a replica may be
		check_answers_wait(Client(web.url, cold.token), cold.name)
	assert state.cached(warm.name, season) == before
	assert state.cached(cold.name, season) == {}
	assert ids(message(Client(web.url, cold.token).get(READ))) == QUESTIONS[2:]


@pytest.fixture
def other_redis(tmp_path) -> Iterator[RedisServer]:
	server = RedisServer(tmp_path / "redis")
	server.start()
	yield server
	server.kill()


def test_a_site_moves_to_another_host(copy, other_redis, web):
	"""By a dump, to servers that have not seen it: nobody waits for a claim, and nothing here changes any more."""
	client = Client(web.url, copy.cold.token)
	sent = {"responses": as_sent(answers(questions=QUESTIONS[:1])), "submission_id": "moved"}
	read(make_learner().name)
	here = srs_keys()
	with site_config(
		db_host=HOST, db_port=copy.server.port, srs_redis_cache=other_redis.url, redis_queue=other_redis.url
	):
		session = message(client.get(READ))
		assert (ids(session), session["is_degraded"]) == (QUESTIONS, False)
		for is_repeat in (False, True):
			result = message(client.post(SUBMIT, **sent))
			assert (result["processed"], result["is_degraded"]) == (1, False), is_repeat
			assert bench_commands.run("memora", "drain").exit_code == 0
			assert ids(message(client.get(READ))) == QUESTIONS[1:]
		assert "redis_owner" not in bench_commands.run("memora", "doctor").output
	assert srs_keys() == here
	assert other_redis.admin.keys("srs:*")
	journal = (
		f"SELECT COUNT(*) FROM `{frappe.conf.db_name}`.`tabPlayer Review Log` WHERE submission_id = 'moved'"
	)
	assert copy.server.ask(journal) == "1"
	assert state.journal(copy.cold.name) == []


@pytest.fixture
def demanding(copy) -> Iterator[dict[str, object]]:
	"""The site's configuration for that server, which takes its user's connections by TLS only."""
	name = frappe.conf.db_name
	copy.server.execute(f"ALTER USER '{name}'@'localhost' REQUIRE SSL")
	yield {"db_host": HOST, "db_port": copy.server.port, **copy.server.tls}
	copy.server.execute(f"ALTER USER '{name}'@'localhost' REQUIRE NONE")
	srs_redis().delete("{srs:generation}:owner")


def test_all_ways_lead_there_by_tls(copy, demanding, web):
	"""Reads, answers, incidents and commands, of which each opens connections of its own."""
	client = Client(web.url, copy.warm.token)
	with site_config(**demanding, srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		assert ids(message(client.get(READ))) == QUESTIONS
		result = message(client.post(SUBMIT, responses=as_sent(answers(1))))
		assert (result["processed"], result["is_degraded"]) == (1, True)
		status = bench_commands.run("memora", "status")
		assert status.exit_code == 0, status.output
		drained = bench_commands.run("memora", "drain")
		assert drained.exit_code == 0, drained.output
	copied = f"SELECT COUNT(*) FROM `{frappe.conf.db_name}`.`tabSafe Mode Incident`"
	assert copy.server.ask(copied) == "1"
