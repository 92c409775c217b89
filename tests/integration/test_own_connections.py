"""Connections of our own: made as Frappe makes its own, with its driver, its types, its TLS and its socket."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import frappe
import pytest
from frappe.database import get_db

from memora.services.store import database, failures, limits
from tests.integration.connections import in_thread
from tests.integration.mariadb_server import Server

T = TypeVar("T")
CIPHER_SQL = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
# One value of each kind of column that Memora's tables have, or that a site may add
VALUES = {
	"CAST(2.123456789 AS DECIMAL(21, 9))": 2.123456789,
	"SUM(1)": 1.0,
	"AVG(2)": 2.0,
	"CAST(1.5 AS DOUBLE)": 1.5,
	"CAST(7 AS INT)": 7,
	"COUNT(*)": 1,
	"TIMESTAMP '2026-11-27 10:00:00.123456'": datetime(2026, 11, 27, 10, 0, 0, 123456),
	"CAST('2026-11-27 10:00:00' AS DATETIME(6))": datetime(2026, 11, 27, 10),
	"CAST('0000-00-00 00:00:00' AS DATETIME(6))": None,
	"DATE '2026-11-27'": date(2026, 11, 27),
	"TIME '10:00:01'": timedelta(hours=10, seconds=1),
	"'é🙂'": "é🙂",
	"JSON_OBJECT('a', 1)": '{"a": 1}',
	"GROUP_CONCAT('a', 'b')": "ab",
	"NULL": None,
	"MD5('a')": "0cc175b9c0f1b6a831c399e269772661",
	"%s": 1.25,
}


def test_values_have_the_types_that_frappe_gives_them():
	statement = f"SELECT {', '.join(VALUES)} FROM DUAL"
	expected = list(VALUES.values())
	for rows in (database.query(statement, (1.25,)), frappe.db.sql(statement, (1.25,))):
		((*found,),) = rows
		assert found == expected
		assert [type(value) for value in found] == [type(value) for value in expected]
	assert database.query("SELECT _binary 'a'")[0][0] == frappe.db.sql("SELECT _binary 'a'")[0][0] == b"a"


def test_what_is_sent_comes_back():
	sent = datetime(2026, 11, 27, 10, 0, 0, 123456), date(2026, 11, 27), 0.1, 10**12, True, None, "%s 'é🙂\\"
	((*found,),) = database.query(f"SELECT {', '.join(['%s'] * len(sent))}", sent)
	assert [str(value) for value in found[:2]] == ["2026-11-27 10:00:00.123456", "2026-11-27"]
	assert found[2:] == [0.1, 10**12, 1, None, "%s 'é🙂\\"]


def test_they_are_of_the_driver_that_frappe_uses():
	frappe.db.sql("SELECT 1")
	with database.connection() as own:
		assert type(own) is type(frappe.db._conn)


def test_each_statement_is_committed():
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute("SELECT @@autocommit, @@in_transaction")
		assert cursor.fetchall() == ((1, 0),)
		own.autocommit(False)
		cursor.execute("SELECT @@autocommit")
		assert cursor.fetchall() == ((0,),)


def test_they_do_not_wait_for_ever():
	((metadata, idle, statement),) = database.query(
		"SELECT @@lock_wait_timeout, @@idle_transaction_timeout, @@max_statement_time"
	)
	assert (metadata, idle) == (database.METADATA_LOCK_WAIT_SECONDS, database.IDLE_SECONDS)
	assert statement == limits.statement_seconds() == 0  # outside of a job


# Servers that take no plain connection


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
	server = Server(tmp_path_factory.mktemp("mariadb"))
	yield server
	server.stop()


def on(configuration: dict[str, Any], action: Callable[[], T]) -> T:
	"""Runs an action in a process of the site whose configuration names another server."""
	return in_thread(action, {"db_socket": None, **configuration}, as_user=None).result(30)


def ciphers() -> tuple[str, str]:
	"""The cipher of Frappe's connection and that of our own."""
	return frappe.db.sql(CIPHER_SQL)[0][1], database.query(CIPHER_SQL)[0][1]


def test_tls_where_the_server_demands_it(server):
	frappes, ours = on({**server.tcp, **server.tls}, ciphers)
	assert frappes == ours
	assert ours.startswith("TLS_")


def test_without_frappes_settings_for_tls_ours_fare_as_frappes_do(server):
	"""A client library may take up TLS by itself, when the server offers it."""

	def outcome(action: Callable[[], Any]) -> Any:
		try:
			return action()
		except failures.ERRORS as error:
			return failures.number_of(error)

	def outcomes() -> tuple[Any, Any]:
		return outcome(lambda: frappe.db.sql(CIPHER_SQL)), outcome(lambda: database.query(CIPHER_SQL))

	frappes, ours = on(server.tcp, outcomes)
	assert ours == frappes
	assert ours != (("Ssl_cipher", ""),)


@pytest.mark.skipif("socket" not in get_db.__code__.co_varnames, reason="this Frappe has no db_socket")
def test_a_socket(server):
	statement = "SELECT USER(), @@hostname, @@socket"
	frappes, ours = on(server.unix, lambda: (frappe.db.sql(statement), database.query(statement)))
	assert ours == frappes
	assert ours[0][2] == server.unix["db_socket"]


@pytest.fixture
def silent() -> Iterator[dict[str, Any]]:
	"""The address of a server behind a firewall: nobody answers whoever asks for a connection."""
	with socket.socket() as listening, ExitStack() as waiting:
		listening.bind(("127.0.0.1", 0))
		listening.listen(0)
		address = listening.getsockname()
		for _number in range(4):  # more than the kernel takes in
			one = waiting.enter_context(socket.socket())
			one.setblocking(False)
			one.connect_ex(address)
		yield {"db_host": address[0], "db_port": address[1]}


def test_a_server_that_does_not_answer_is_given_up(silent):
	def connect() -> int:
		try:
			database.query("SELECT 1")
		except failures.ERRORS as error:
			return failures.number_of(error)
		return 0

	running = in_thread(connect, {"db_socket": None, **silent}, as_user=None)
	assert running.result(3 * database.CONNECT_SECONDS) in (
		2002,
		2003,
	)  # without a limit: after 10 s, or never
