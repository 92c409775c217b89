"""Locks, levels of isolation and transactions, as another connection sees them."""

from collections.abc import Callable

import frappe
import pytest
from rq.timeouts import JobTimeoutException

from memora.exceptions import JournalUnavailable
from memora.services.store import database, failures
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import learner_id
from tests.integration.test_killed_connections import ID_SQL, IS_THERE_SQL, kill
from tests.integration.waiting import wait_until

ONE, OTHER, THIRD = (learner_id(name) for name in ("one", "other", "third"))
PLAIN = "a lock of no learner's"
LIMITS_SQL = "SELECT @@wait_timeout, @@idle_transaction_timeout"
ENDS = pytest.mark.parametrize(
	"end", [lambda: frappe.db.commit(), lambda: frappe.db.rollback()], ids=["commit", "rollback"]
)


def free(*names: str) -> list[bool]:
	"""Says of each lock whether another connection gets it at once."""

	def take(name: str) -> bool:
		with database.named_lock(name, 0) as is_mine:
			return is_mine

	return in_other_connection(lambda: [take(name) for name in names]).result(20)


@pytest.fixture
def held(monkeypatch):
	"""Another connection has the lock of one learner. Nobody waits for a lock."""
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as holder, holder.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(OTHER),))
		yield OTHER


# Locks


@ENDS
def test_locks_are_held_until_the_transaction_ends(end):
	database.hold_learner_locks(THIRD, ONE, THIRD)
	assert database.hold_named_lock(PLAIN, 0)
	assert free(ONE, OTHER, THIRD, PLAIN) == [False, True, False, False]
	assert [database.is_locked(name) for name in (ONE, OTHER, PLAIN)] == [True, False, True]
	database.new_snapshot()
	assert free(ONE, PLAIN) == [False, False]
	end()
	assert free(ONE, THIRD, PLAIN) == [True] * 3
	assert not database.is_locked(PLAIN)


def test_who_gets_one_lock_of_two_keeps_none(held):
	with pytest.raises(JournalUnavailable, match=held):
		database.hold_learner_locks(held, ONE, THIRD)
	assert free(ONE, held, THIRD) == [True, False, True]


@ENDS
def test_a_lock_that_another_has_stays_anothers(held, end):
	assert not database.hold_named_lock(held, 0)
	limits = frappe.db.sql(LIMITS_SQL)
	with database.brief_lock(held, 0) as is_mine:
		assert (is_mine, frappe.db.sql(LIMITS_SQL)) == (False, limits)
	with pytest.raises(JournalUnavailable), database.learner_lock(held):
		pytest.fail("there are two with one lock")
	end()
	assert database.is_locked(held)
	assert free(held) == [False]


# What a transaction sees


def counted() -> int:
	return frappe.db.sql("SELECT COUNT(*) FROM `tabSafe Mode Admission`")[0][0]


def add_by_another() -> None:
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		cursor.execute("INSERT INTO `tabSafe Mode Admission` (name) VALUES (MD5(RAND()))")


def seen() -> list[int]:
	"""What two reads see, between which another connection has added a row."""
	before = counted()
	add_by_another()
	return [before, counted()]


def test_with_read_committed_each_read_sees_what_is_committed_by_then():
	assert seen() == [0, 0]
	with database.read_committed():
		assert seen() == [1, 2]
	frappe.db.commit()
	assert seen() == [2, 2]


def test_a_new_snapshot_sees_all_and_keeps_what_was_written():
	assert seen() == [0, 0]
	database.new_snapshot()
	assert seen() == [1, 1]
	frappe.db.sql("INSERT INTO `tabSafe Mode Admission` (name) VALUES ('mine')")
	database.new_snapshot()
	frappe.db.rollback()
	assert counted() == 3


# Transactions


def write(name: str) -> None:
	frappe.db.sql("INSERT INTO `tabSafe Mode Admission` (name) VALUES (%s)", (name,))


def stored() -> list[str]:
	return [row.name for row in state.rows("Safe Mode Admission")]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, JobTimeoutException])
def test_after_an_error_nothing_stays_that_the_block_has_written(error):
	with database.transaction():
		write("kept")
	with pytest.raises(error), database.transaction():
		write("lost")
		raise error
	frappe.db.commit()
	assert stored() == ["kept"]


@pytest.mark.parametrize(("where", "value"), [("flags", "read_only"), ("db", "_disable_transaction_control")])
def test_where_nothing_can_be_committed_nothing_is_done(monkeypatch, where, value):
	"""In a request that only reads, and in a hook of a document's event on Frappe 16."""
	assert database.takes_commits() and not database.only_reads()
	if where == "flags":
		monkeypatch.setitem(frappe.flags, value, 1)
	else:
		monkeypatch.setattr(frappe.local.db, value, 1, raising=False)
	refusal = frappe.InReadOnlyMode if where == "flags" else RuntimeError
	with pytest.raises(refusal), database.transaction():
		pytest.fail("the block has begun")
	assert (database.takes_commits(), database.only_reads()) == (where == "flags", where == "flags")


def test_what_follows_a_commit_fails_no_commit():
	done: list[str] = []

	def fail() -> None:
		raise ValueError("of a follower")

	for action in (lambda: done.append("first"), fail, lambda: done.append("last")):
		database.after_commit(action)
	assert done == []
	frappe.db.commit()
	assert done == ["first", "last"]
	database.after_commit(lambda: done.append("never"))
	frappe.db.rollback()
	frappe.db.commit()
	assert done == ["first", "last"]


def test_the_end_of_a_jobs_time_goes_on():
	def end() -> None:
		raise JobTimeoutException

	database.after_commit(end)
	with pytest.raises(JobTimeoutException):
		frappe.db.commit()


@pytest.mark.parametrize(
	"block",
	[lambda: database.named_lock(PLAIN, 0), database.read_committed, database.transaction],
	ids=["lock", "level", "transaction"],
)
def test_where_the_connection_is_lost_too_the_first_error_is_told(block: Callable):
	def run() -> None:
		with block():
			kill(frappe.db.sql(ID_SQL)[0][0])
			raise ValueError("of the block")

	with pytest.raises(ValueError, match="of the block"):
		in_other_connection(run).result(20)


# Connections


def is_there(number: int) -> bool:
	with raw_connection() as other, other.cursor() as cursor:
		return bool(cursor.execute(IS_THERE_SQL, (number,)))


def mine() -> int:
	return frappe.db.sql(ID_SQL)[0][0]


def test_a_connection_of_our_own_ends_with_its_block():
	numbers = []
	with pytest.raises(ValueError), database.connection() as own, own.cursor() as cursor:
		cursor.execute(ID_SQL)
		numbers += [number for (number,) in cursor.fetchall()]
		raise ValueError
	numbers += [number for (number,) in database.query(ID_SQL)]
	assert mine() not in numbers
	wait_until(lambda: not any(map(is_there, numbers)), "their end")


def test_which_database_this_is(monkeypatch):
	((name, server, born),) = database.query(
		"""SELECT DATABASE(), CONCAT(@@hostname, ':', @@port, '/', @@server_id), FLOOR(UNIX_TIMESTAMP(CREATE_TIME))
		FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabSingles'"""
	)
	assert database.get_identity() == (name, server, born, False)
	monkeypatch.setattr(
		database, "IDENTITY_SQL", database.IDENTITY_SQL.replace("tabSingles", "not restored yet")
	)
	assert database.get_identity() == (name, server, 0, False)


def test_frappes_connection_is_made_once_renewed_and_let_go():
	def run() -> tuple[int, int]:
		first = mine()
		database.connect()
		assert mine() == first
		database.renew()
		assert frappe.db._conn
		second = mine()
		frappe.db.close()
		database.connect()
		assert frappe.db._conn
		third = mine()
		assert len({first, second, third}) == 3
		database.let_go()
		assert frappe.local.db is None
		database.let_go()
		return first, third

	numbers = in_other_connection(run).result(20)
	wait_until(lambda: not any(map(is_there, numbers)), "their end")


@pytest.mark.parametrize("action", [database.renew, database.let_go])
def test_a_lost_connection_can_be_renewed_and_let_go(action):
	def run() -> bool:
		kill(mine())
		with pytest.raises(failures.FAILURES) as raised:
			database.ping()
		assert failures.is_lost(raised.value)
		action()
		return action is database.let_go or not database.ping()

	assert in_other_connection(run).result(20)
