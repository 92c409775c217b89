"""The handle to MariaDB: transactions, locks, and connections of our own. Module failures tells its errors apart."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple, Protocol

import frappe
from rq.timeouts import JobTimeoutException

from memora.exceptions import DatabaseUnavailable, JournalUnavailable, quoting
from memora.services.settings import get_server
from memora.services.store import failures, limits, row_names

LEARNER_LOCK_WAIT_SECONDS = 5  # for another submission of the learner, which takes milliseconds
# A process that holds a lock for which learners wait rests between two statements for milliseconds. If it hangs, or its
# host is cut off, MariaDB would keep its connection, and nobody else would get the lock, for wait_timeout: eight hours.
HOLDER_RESTS_SECONDS = 25
METADATA_LOCK_WAIT_SECONDS = 2  # how long new readers may queue behind a waiting ALTER
CONNECT_SECONDS = 3
IDLE_SECONDS = 30  # between two statements of a transaction of our own, which are milliseconds apart

REPEATABLE_READ = "REPEATABLE-READ"  # as MariaDB writes it
LEVEL_SQL = "SET SESSION TRANSACTION ISOLATION LEVEL {}"
LOCK_SQL = "SELECT GET_LOCK(%s, %s)"
# tabSingles has been there since the site was made, and Frappe alters it never. InnoDB takes the time from the table's
# file: it changes when a dump is restored over the site, and when files are copied to another place.
IDENTITY_SQL = """
	SELECT DATABASE(), @@hostname, @@port, @@server_id, @@read_only, (
		SELECT UNIX_TIMESTAMP(CREATE_TIME) FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabSingles')"""

OWN_SESSION_SQL = """
	SET SESSION autocommit = 1, lock_wait_timeout = %s, idle_transaction_timeout = %s, max_statement_time = %s"""
HOLD_SQL = "SET SESSION wait_timeout = %s, idle_transaction_timeout = %s"
RELEASE_SQL = "SELECT RELEASE_LOCK(%s)"
# In one statement, for it stands in the way of every answer
RELEASE_BRIEF_SQL = """
	SET SESSION wait_timeout = DEFAULT, idle_transaction_timeout = DEFAULT, @memora_lock = RELEASE_LOCK(%s)"""


@contextmanager
def learner_lock(learner: str) -> Iterator[None]:
	"""Serialises the changes of one learner's records, across all processes and hosts.

	The block begins with a new transaction, so that its reads see what the last holder committed. Raises
	JournalUnavailable when another request of this learner holds the lock for LEARNER_LOCK_WAIT_SECONDS.
	"""
	with brief_lock(learner, LEARNER_LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			JournalUnavailable.throw(
				frappe._("Another answer of yours is still being saved. Send this one again.")
			)
		new_snapshot()
		yield


@contextmanager
def brief_lock(name: str, wait_seconds: int) -> Iterator[bool]:
	"""Takes a lock for which learners wait, as named_lock does, and yields whether this connection got it.

	If the block rests for HOLDER_RESTS_SECONDS between two statements, MariaDB takes connection, transaction and lock away.
	"""
	with named_lock(name, wait_seconds, RELEASE_BRIEF_SQL) as is_mine:
		if is_mine:
			frappe.db.sql(HOLD_SQL, (HOLDER_RESTS_SECONDS, HOLDER_RESTS_SECONDS))
		yield is_mine


def hold_learner_locks(*learners: str) -> None:
	"""Takes the locks of learners, always in the same order, until the caller's transaction ends.

	Later reads of this transaction see what the last holders committed only if they lock what they read. Raises
	JournalUnavailable when a request of one of them holds her lock for LEARNER_LOCK_WAIT_SECONDS.
	"""
	with ExitStack() as held:
		for learner in sorted(set(learners)):
			if not held.enter_context(brief_lock(learner, LEARNER_LOCK_WAIT_SECONDS)):
				text = frappe._("An answer of learner {0} is being saved. Try again.")
				JournalUnavailable.throw(quoting(text, learner))
		_hold_to_the_end(held)


def hold_named_lock(name: str, wait_seconds: int) -> bool:
	"""Takes a named_lock until the caller's transaction ends; says whether it was got."""
	with ExitStack() as held:
		is_mine = held.enter_context(named_lock(name, wait_seconds))
		_hold_to_the_end(held)
	return is_mine


def _hold_to_the_end(held: ExitStack) -> None:
	release = held.pop_all().close
	frappe.db.after_commit.add(release)
	frappe.db.after_rollback.add(release)


@contextmanager
def named_lock(name: str, wait_seconds: int, release: str = RELEASE_SQL) -> Iterator[bool]:
	"""Takes a lock that one connection of this site can hold at a time, across all hosts.

	Yields whether this connection got the lock. The lock ends with its connection, so a process that dies
	keeps no lock. Raises DatabaseUnavailable if MariaDB, or a proxy before it, gives no locks.
	"""
	key = _lock_key(name)
	is_mine = bool(_ask_for_lock(LOCK_SQL, key, wait_seconds))
	try:
		yield is_mine
	finally:
		if is_mine:
			with suppress(*failures.FAILURES):  # a lost connection has released the lock
				frappe.db.sql(release, (key,))


def is_locked(name: str) -> bool:
	"""Says whether any connection holds a named_lock."""
	return frappe.db.sql("SELECT IS_USED_LOCK(%s)", (_lock_key(name),))[0][0] is not None


def _ask_for_lock(*statement: Any) -> int:
	"""Returns 1 if the lock is this connection's now, 0 if another has it. Raises DatabaseUnavailable if it is refused."""
	sql, *values = statement
	try:
		((answer,),) = frappe.db.sql(sql, values)
	except failures.ERRORS as error:
		if not failures.is_refused(error):
			raise
		answer, reason = None, str(error)
	else:
		reason = "it answers NULL, as when somebody kills the query"
	if answer is None:
		frappe.logger("memora").error(f"MariaDB gives no lock {values[0]} (GET_LOCK): {reason}")
		DatabaseUnavailable.throw(
			frappe._("The database gives no lock. Nothing is saved. Try again in some seconds.")
		)
	return answer


def _lock_key(name: str) -> str:
	return "memora:" + row_names.digest(frappe.conf.db_name, name)


def new_snapshot() -> None:
	"""Ends the transaction's view of the past: the next read sees all that is committed by then.

	Commits what the caller has written before, if anything. The view holds for the whole transaction also where MariaDB's
	sessions begin with another level than REPEATABLE READ: two reads must not see a fold between them.
	"""
	if get_server().isolation != REPEATABLE_READ:
		frappe.db.sql(LEVEL_SQL.format(REPEATABLE_READ.replace("-", " ")))  # from the next transaction on
	_begin()


def _begin() -> None:
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
	frappe.db.sql(LEVEL_SQL.format("READ COMMITTED"))
	_begin()  # the level applies from the next transaction on
	try:
		yield
	finally:
		with suppress(*failures.FAILURES):
			frappe.db.sql(LEVEL_SQL.format("REPEATABLE READ"))


def takes_commits() -> bool:
	"""Says whether Frappe takes a commit: not in a hook of a document's event on version 16, whose caller commits."""
	return not getattr(frappe.db, "_disable_transaction_control", 0)


@contextmanager
def transaction() -> Iterator[None]:
	"""Commits the block's writes together.

	After any error, also a failed commit, none of the writes stays. Raises RuntimeError in a hook of another document's
	event on Frappe 16, which takes no commit there: what was acknowledged would be lost if the document is not saved.
	Raises InReadOnlyMode where only_reads says so: a replica might even take the writes.
	"""
	if only_reads():
		raise frappe.InReadOnlyMode("This connection is for reading only.")
	if not takes_commits():
		raise RuntimeError(
			"Frappe ignores commits in doc_events. Call Memora in frappe.db.after_commit or in a job."
		)
	try:
		yield
		frappe.db.commit()  # an answer is acknowledged only when committed
	except BaseException:
		with suppress(*failures.ERRORS):  # a lost connection has rolled back already
			frappe.db.rollback()
		raise


def after_commit(action: Callable[[], None]) -> None:
	"""Has an action done after the caller's commit. What is committed by then can't fail any more: an error is only logged.

	Only the end of a job's time goes on, which comes once.
	"""

	def guarded() -> None:
		try:
			action()
		except JobTimeoutException:
			raise
		except Exception as error:  # whatever it is, the caller has succeeded
			frappe.logger("memora").error(f"after a commit: {error}", exc_info=True)

	frappe.db.after_commit.add(guarded)


def insert(head: str, rows: list[tuple[Any, ...]], tail: str = "") -> None:
	"""Inserts all rows in one statement; does nothing without rows.

	`head` is the statement up to VALUES, `tail` what follows the rows.
	"""
	if not rows:
		return
	one = f"({', '.join(['%s'] * len(rows[0]))})"
	frappe.db.sql(head + ", ".join([one] * len(rows)) + tail, tuple(v for row in rows for v in row))


# Connections of our own


class Cursor(Protocol):
	"""What Memora uses of a driver's cursor."""

	description: Sequence[Sequence[Any]]

	def execute(self, query: str, args: Any = None) -> int: ...
	def executemany(self, query: str, args: Sequence[Any]) -> int | None: ...
	def fetchone(self) -> tuple[Any, ...] | None: ...
	def fetchall(self) -> tuple[tuple[Any, ...], ...]: ...
	def __enter__(self) -> "Cursor": ...
	def __exit__(self, *error: Any) -> None: ...


class Connection(Protocol):
	"""What Memora uses of a driver's connection."""

	def cursor(self) -> Cursor: ...
	def autocommit(self, on: bool) -> None: ...
	def commit(self) -> None: ...
	def close(self) -> None: ...


def query(sql: str, values: tuple[Any, ...] | dict[str, Any] = ()) -> tuple[tuple[Any, ...], ...]:
	"""Reads on a connection of our own, so that DDL does not have to wait for this reader.

	A read in Frappe's transaction would keep its tables locked against DDL until the commit.
	"""
	with connection() as own, own.cursor() as cursor:
		cursor.execute(sql, values)
		return cursor.fetchall()


@contextmanager
def connection() -> Iterator[Connection]:
	"""Opens a connection to the site's database that commits each statement. Closes it after the block.

	Frappe makes the connection: its driver, address, TLS and types are those of frappe.db. A statement waits
	METADATA_LOCK_WAIT_SECONDS at most for the lock that DDL needs. An address that does not answer is given up after
	CONNECT_SECONDS: a learner's request may be what asks. Frappe sets no such limit.
	"""
	own: Connection = type(_primary()).create_connection(_Hurried(_primary()))
	try:
		with own.cursor() as cursor:
			seconds = METADATA_LOCK_WAIT_SECONDS, IDLE_SECONDS, limits.statement_seconds()
			cursor.execute(OWN_SESSION_SQL, seconds)
		yield own
	finally:
		own.close()


class _Hurried:
	"""What Frappe asks for when it makes a connection: as its own, but with a limit."""

	def __init__(self, of: Any) -> None:
		self._of = of

	def get_connection_settings(self) -> dict[str, Any]:
		return {**self._of.get_connection_settings(), "connect_timeout": CONNECT_SECONDS}


def _primary() -> Any:
	"""Returns Frappe's connection, but for a request that Frappe has connected with a replica."""
	return getattr(frappe.local, "primary_db", None) or frappe.local.db


def only_reads() -> bool:
	"""Says whether this request takes no writes: the site is in maintenance, or Frappe has connected with a replica.

	A replica may lag. So nothing that is read meanwhile may be kept for later requests.
	"""
	return bool(frappe.flags.read_only) or _primary() is not frappe.local.db


# The server


def connect() -> None:
	"""Connects Frappe with MariaDB, if it is not connected yet. Raises one of failures.FAILURES."""
	if not frappe.db._conn:
		frappe.db.connect()


def let_go() -> None:
	"""Takes a lost connection away from Frappe, which goes on as if it had never had any."""
	if lost := frappe.local.db:
		with suppress(*failures.ERRORS):
			lost.close()
	frappe.local.db = None


def renew() -> None:
	"""Gives Frappe a new connection in place of one that may have been cut off in the middle of an answer."""
	with suppress(*failures.ERRORS):
		frappe.local.db.close()
	frappe.local.db._conn = None
	frappe.local.db.connect()


def ping() -> None:
	"""Raises one of failures.FAILURES if MariaDB does not answer."""
	frappe.db.sql("SELECT 1")


class Identity(NamedTuple):
	"""Which database this is. `born` is when its files were made, as Unix seconds; 0 while a backup is being restored."""

	name: str
	server: str
	born: int
	is_read_only: bool


def get_identity() -> Identity:
	"""Returns the identity of the primary that this site writes to. Raises one of failures.ERRORS."""
	((name, host, port, server_id, is_read_only, born),) = _primary().sql(IDENTITY_SQL)
	return Identity(name, f"{host}:{port}/{server_id}", int(born or 0), bool(is_read_only))
