"""A MariaDB, or a proxy before it, that gives no locks: answers are refused by name, and nothing is half done."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import frappe
import pytest

from devtools import ports
from memora.exceptions import DatabaseUnavailable
from memora.services.cache import incidents
from memora.services.operations import doctor_locks
from memora.services.store import database, failures, incident_rows, surroundings
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import bank_questions, make_records
from tests.integration.mariadb_server import Server
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_own_connections import on
from tests.integration.waiting import wait_until

GALERA = "/usr/lib/galera/libgalera_smm.so"
# MariaDB answers it as a server that does not support GET_LOCK answers that: error 1235
REFUSED_SQL = "SELECT 1 FROM (SELECT %s, %s) t WHERE 1 IN (SELECT 1 LIMIT 1)"
WAITING_SQL = "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'"


@pytest.fixture
def no_locks(monkeypatch) -> None:
	monkeypatch.setattr(database, "LOCK_SQL", REFUSED_SQL)
	monkeypatch.setattr(incident_rows, "LOCK_SQL", REFUSED_SQL.replace("%s, %s", "%s"))


def check_refused(action: Callable[[], Any]) -> None:
	with pytest.raises(DatabaseUnavailable, match="gives no lock") as raised:
		action()
	assert raised.value.http_status_code == 503
	assert frappe.flags.retry_after_seconds >= 1


def test_the_error_is_no_passing_one(no_locks):
	with pytest.raises(failures.ERRORS) as raised:
		frappe.db.sql(REFUSED_SQL, (1, 2))
	assert failures.number_of(raised.value) == 1235
	assert not failures.may_pass(raised.value)


def test_answers_are_refused_by_name(no_locks, player):
	check_refused(lambda: submit(player, answers(1)))
	assert state.journal(player) == state.rows("Review Outbox") == []


def test_reads_go_on(no_locks, player, season):
	"""From MariaDB: how many load at once can't be bounded."""
	due = bank_questions()[:2]
	make_records(player, question_ids=due)
	session = read(player)
	assert (ids(session), session["is_degraded"], frappe.local.message_log) == (due, False, [])
	assert not state.is_loaded(player, season)


def test_reads_go_on_in_safe_mode_too(no_locks, no_redis, player):
	due = bank_questions()[:2]
	make_records(player, question_ids=due)
	session = read(player)
	assert (ids(session), session["is_degraded"]) == (due, True)
	incidents.write_counts()  # a process does so every few seconds
	assert [row.requests_served for row in state.rows("Safe Mode Incident")] == [1]


def test_an_incident_is_noted_all_the_same(no_locks):
	incidents.open_incident("gone")
	incidents.open_incident("gone")
	assert len(state.rows("Safe Mode Incident")) == 1


def test_the_doctor_names_the_lock(no_locks):
	((problem, _mend),) = doctor_locks.find_refused_locks()
	assert "GET_LOCK" in problem


def test_the_doctor_is_content_with_one_server():
	assert [*doctor_locks.find_refused_locks(), *doctor_locks.find_writers()] == []


@pytest.fixture
def galera(tmp_path) -> Iterator[Server]:
	"""A cluster of one node."""
	here = f"127.0.0.1:{ports.any_free()}"
	provider = f"--wsrep-provider-options=gmcast.listen_addr=tcp://{here};gcache.size=16M"
	options = (provider, f"--wsrep-provider={GALERA}", f"--wsrep-node-address={here}")
	cluster = ("--wsrep-on=ON", "--wsrep-cluster-address=gcomm://", "--binlog-format=ROW")
	server = Server(tmp_path, options=(*options, *cluster, "--innodb-autoinc-lock-mode=2"))
	yield server
	server.stop()


@pytest.mark.skipif(not Path(GALERA).exists(), reason="Galera is not installed (Debian's package galera-4)")
def test_the_doctor_counts_the_nodes_of_a_galera_cluster(galera):
	"""One node is one writer."""
	nodes, found = on(galera.tcp, lambda: (surroundings.count_galera_nodes(), [*doctor_locks.find_writers()]))
	assert (nodes, found) == (1, [])
	assert surroundings.count_galera_nodes() == 0


def test_a_wait_that_somebody_kills(player):
	"""GET_LOCK answers NULL, which does not mean that another answer is being saved."""

	def send() -> None:
		check_refused(lambda: submit(player, answers(1)))

	with ExitStack() as held, raw_connection() as other, other.cursor() as cursor:
		assert held.enter_context(database.named_lock(player, 0))
		sent = in_other_connection(send)
		wait_until(lambda: cursor.execute(WAITING_SQL), "the submission to wait")
		((waiting,),) = cursor.fetchall()
		cursor.execute(f"KILL QUERY {waiting}")
		sent.result(20)
	assert state.journal(player) == []
