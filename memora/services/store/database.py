"""The handle to MariaDB: transactions, locks, errors that may pass, and connections of our own."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import frappe
import pymysql

from memora.exceptions import JournalUnavailable
from memora.services.store import row_names

# Errors of a statement when MariaDB is not there, or when the statement did not get a lock in time.
DATABASE_FAILURES = (
	frappe.QueryDeadlockError,
	frappe.QueryTimeoutError,
	pymysql.err.OperationalError,
	pymysql.err.InterfaceError,
)
# Numbers of errors whose reason may pass: locks, a server that is shutting down or read-only, a full disk.
# From CLIENT_ERRORS_FROM on, an error means a lost connection.
TRANSIENT_ERRORS = {1021, 1028, 1040, 1053, 1114, 1180, 1205, 1213, 1290, 1317, 1836, 1927}
CLIENT_ERRORS_FROM = 2000

LEARNER_LOCK_WAIT_SECONDS = 5  # for another submission of the learner, which takes milliseconds
METADATA_LOCK_WAIT_SECONDS = 2  # how long new readers may queue behind a waiting ALTER


def is_transient(error: Exception) -> bool:
	"""Says whether the statement that failed may succeed if it is tried again unchanged."""
	if isinstance(error, frappe.QueryDeadlockError | frappe.QueryTimeoutError | pymysql.err.InterfaceError):
		return True
	code = error.args[0] if isinstance(error, pymysql.err.MySQLError) and error.args else 0
	return code in TRANSIENT_ERRORS or code >= CLIENT_ERRORS_FROM


@contextmanager
def learner_lock(learner: str) -> Iterator[None]:
	"""Serialises the changes of one learner's records, across all processes and hosts.

	The block begins with a new transaction, so that its reads see what the last holder committed. Raises
	JournalUnavailable when another request of this learner holds the lock for LEARNER_LOCK_WAIT_SECONDS.
	"""
	with named_lock(learner, LEARNER_LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			JournalUnavailable.throw(
				frappe._("Another answer of yours is still being saved. Send this one again.")
			)
		new_snapshot()
		yield


@contextmanager
def named_lock(name: str, wait_seconds: int) -> Iterator[bool]:
	"""Takes a lock that one connection of this site can hold at a time, across all hosts.

	Yields whether this connection got the lock. The lock ends with its connection, so a process that dies
	keeps no lock.
	"""
	key = _lock_key(name)
	is_mine = bool(frappe.db.sql("SELECT GET_LOCK(%s, %s)", (key, wait_seconds))[0][0])
	try:
		yield is_mine
	finally:
		if is_mine:
			with suppress(*DATABASE_FAILURES):  # a lost connection has released the lock
				frappe.db.sql("SELECT RELEASE_LOCK(%s)", (key,))


def is_locked(name: str) -> bool:
	"""Says whether any connection holds a named_lock."""
	return frappe.db.sql("SELECT IS_USED_LOCK(%s)", (_lock_key(name),))[0][0] is not None


def _lock_key(name: str) -> str:
	return "memora:" + row_names.digest(frappe.conf.db_name, name)


def new_snapshot() -> None:
	"""Ends the transaction's view of the past: the next read sees all that is committed by then.

	Commits what the caller has written before, if anything.
	"""
	if frappe.db.transaction_writes:
		frappe.db.commit()  # a snapshot can only be renewed between transactions
	else:
		frappe.db.begin()


@contextmanager
def read_committed() -> Iterator[None]:
	"""Runs a block whose transactions lock rows, but not the gaps between rows: others can insert meanwhile.

	Only for writers that do not rely on a second read to find what the first read found. Commits what the
	caller has written before, if anything.
	"""
	frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	new_snapshot()  # the level applies from the next transaction on
	try:
		yield
	finally:
		with suppress(*DATABASE_FAILURES):
			frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


@contextmanager
def transaction() -> Iterator[None]:
	"""Commits the block's writes together.

	After any error, also a failed commit, none of the writes stays.
	"""
	try:
		yield
		frappe.db.commit()  # an answer is acknowledged only when committed
	except BaseException:
		with suppress(pymysql.err.Error):  # a lost connection has rolled back already
			frappe.db.rollback()
		raise


def insert(head: str, rows: list[tuple[Any, ...]], tail: str = "") -> None:
	"""Inserts all rows in one statement; does nothing without rows.

	`head` is the statement up to VALUES, `tail` what follows the rows.
	"""
	if not rows:
		return
	one = f"({', '.join(['%s'] * len(rows[0]))})"
	frappe.db.sql(head + ", ".join([one] * len(rows)) + tail, tuple(v for row in rows for v in row))


# Connections of our own


def query(sql: str, values: tuple[Any, ...] | dict[str, Any] = ()) -> tuple[tuple[Any, ...], ...]:
	"""Reads on a connection of our own, so that DDL does not have to wait for this reader.

	A read in Frappe's transaction would keep its tables locked against DDL until the commit.
	"""
	with connection() as own, own.cursor() as cursor:
		cursor.execute(sql, values)
		return cursor.fetchall()


@contextmanager
def connection() -> Iterator[pymysql.Connection]:
	"""Opens a connection to the site's database that commits each statement. Closes it after the block.

	A statement waits METADATA_LOCK_WAIT_SECONDS at most for the lock that DDL needs.
	"""
	conf = frappe.conf
	own = pymysql.connect(
		host=conf.db_host or "127.0.0.1",
		port=int(conf.db_port or 3306),
		unix_socket=conf.get("db_socket"),
		user=conf.get("db_user") or conf.db_name,
		password=conf.db_password,
		database=conf.db_name,
		charset="utf8mb4",
		autocommit=True,
		init_command=f"SET lock_wait_timeout = {METADATA_LOCK_WAIT_SECONDS}",
	)
	try:
		yield own
	finally:
		own.close()


# The server


def ping() -> None:
	"""Raises one of DATABASE_FAILURES if MariaDB does not answer."""
	frappe.db.sql("SELECT 1")


def get_version() -> str:
	"""Returns the server's version as the server writes it, such as `10.11.6-MariaDB-0+deb12u1`."""
	return frappe.db.sql("SELECT VERSION()")[0][0]


def is_durable() -> bool:
	"""Says whether a commit is on disk when it is acknowledged."""
	return frappe.db.sql("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")[0][0] == 1


def get_clock() -> float:
	"""Returns the server's clock as Unix seconds."""
	return float(frappe.db.sql("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])
