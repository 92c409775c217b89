"""The transactions of an erasure: they name her rows and nobody else's, and are tried again while others are in the way."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import frappe
import pytest

from memora.exceptions import LearnerIsErased
from memora.services.store import erasures, failures, former_addresses
from memora.services.store.erasures import Erased, Session
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_records, make_season
from tests.integration.test_erasing import Her, her, make_her, other  # noqa: F401: fixtures

NOW = datetime(2026, 5, 4, 12)
LATER = NOW + timedelta(minutes=5)
KINDS = ("Erase", "Detach")


@pytest.fixture
def session():
	with erasures.session() as session:
		yield session


def begin(session: Session, who: Her, kind: str = "Erase") -> str:
	return session.begin(who.id, kind, "Command", f"Letter of {who.id}", NOW)


def learner(who: Her) -> frappe._dict:
	(row,) = state.rows("Memora Learner", name=who.id)
	return row


def of_others(*others: Her) -> list[Any]:
	"""All that the database holds of others and of their erasures."""
	ids = [who.id for who in others]
	frappe.db.rollback()
	erased = [row for row in state.rows("Memora Erasure") if any(id in (row.reference or "") for id in ids)]
	return [
		[row for row in state.rows("Memora Learner") if row.name in ids],
		erased,
		[row for row in state.rows("Memora Erasure Count") if row.parent in {e.name for e in erased}],
		[row for row in state.rows("Memora Former Address") if row.learner in ids],
		[row for row in state.rows("Player Memory Tracker") if row.player in ids],
	]


def remember(*everybody: Her) -> None:
	for who in everybody:
		former_addresses.remember(who.user, who.id, NOW)
	frappe.db.commit()


@pytest.mark.parametrize("kind", KINDS)
def test_from_its_begin_to_its_end_an_erasure_changes_nothing_of_others(session, her, other, kind):  # noqa: F811
	merged, friend = make_her(), make_her()
	frappe.db.set_value("Memora Learner", merged.id, "merged_into", her.id)
	frappe.db.set_value("Memora Learner", {"name": ["in", [her.id, friend.id]]}, "learner_name", "Her Name")
	remember(her, merged, other, friend)
	theirs = begin(session, other)
	session.add(theirs, "Files", 3)
	session.fail(theirs, "no disk")
	before = of_others(other, friend)
	assert [len(rows) for rows in before[:4]] == [2, 1, 1, 2]

	hers = begin(session, her, kind)
	assert begin(session, her, kind) == hers
	with pytest.raises(LearnerIsErased):
		begin(session, her, KINDS[kind == "Erase"])
	row = learner(her)
	assert (row.erasure, row.erasing_since) == (hers, NOW if kind == "Erase" else None)
	erased = session.find(hers)
	assert erased == Erased(hers, kind, [her.id, merged.id], her.user)
	assert (erased.id, erased.names) == (her.id, [her.id, merged.id, her.user])
	for kept_in, rows in (("Files", 2), ("Rows", 5), ("Nowhere", 0), ("Files", 4)):
		session.add(hers, kept_in, rows)
	assert list(session.get_counts(hers).items()) == [("Files", 6), ("Rows", 5)]
	assert sorted(row.idx for row in state.rows("Memora Erasure Count", parent=hers)) == [1, 2]
	session.fail(hers, "no time")
	(row,) = state.rows("Memora Erasure", name=hers)
	assert (row.status, row.error) == ("Running", "no time")
	assert of_others(other, friend) == before

	if kind == "Detach":
		session.cut_link(erased, LATER)
		row = learner(her)
		assert (row.user, row.learner_name, row.modified) == (None, None, LATER)
		session.finish(erased, LATER, keeps_learner=True)
		assert (learner(her).erasure, learner(merged).user) == (None, merged.user)
	else:
		session.finish(erased, LATER)
		assert not {her.id, merged.id} & {row.name for row in state.rows("Memora Learner")}
	(row,) = state.rows("Memora Erasure", name=hers)
	assert (row.kind, row.way, row.status, row.error) == (kind, "Command", "Completed", None)
	assert (row.begun_at, row.done_at, row.modified) == (NOW, LATER, LATER)
	assert (row.reference, session.find(hers)) == (f"Letter of {her.id}", None)
	assert {row.learner for row in state.rows("Memora Former Address")} == {other.id, friend.id}
	assert of_others(other, friend) == before


def test_who_is_not_there(session, her):  # noqa: F811
	nobody = Her("nobody@learners.example", "0" * 16)
	assert (begin(session, nobody), session.find("no erasure"), state.rows("Memora Erasure")) == (
		None,
		None,
		[],
	)
	frappe.db.sql("SELECT name FROM `tabMemora Learner`")  # the caller's transaction goes on to show her
	assert erasures.is_there(her.id)
	in_other_connection(lambda: (frappe.db.delete("Memora Learner", her.id), frappe.db.commit())).result(20)
	assert not erasures.is_there(her.id)


@pytest.fixture
def full(her, other, season) -> str:  # noqa: F811
	"""Another season than the standing one: both learners have records in both, and reads that were admitted by id and by User."""
	another = make_season().name
	for who in (her, other):
		for where in (season, another):
			make_records(who.id, 5, season=where)
		for player in who:
			values = {"name": frappe.generate_hash(length=20), "player": player, "admitted_at": NOW}
			frappe.db.sql(
				"INSERT INTO `tabSafe Mode Admission` (name, player, admitted_at) VALUES (%(name)s, %(player)s, %(admitted_at)s)",
				values,
			)
	frappe.db.commit()
	return another


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_of_any_size_hold_her_rows_only(session, her, other, full, limit, monkeypatch):  # noqa: F811
	for name in ("PAGE_SQL", "OF_PLAYER_SQL"):
		text = getattr(erasures, name).replace(f"LIMIT {erasures.PAGE_ROWS}", f"LIMIT {limit}")
		monkeypatch.setattr(erasures, name, text)
	before = of_others(other)
	erased = session.find(begin(session, her))
	found = session.count_rows(session.describe(her.id, her.user))
	assert {kept_in: rows for kept_in, rows in found.items() if rows} == {
		"Player Memory Tracker": 10,
		"Safe Mode Admission": 2,
	}
	session.delete_named(erased, "Player Memory Tracker")
	session.delete_of_player(erased, "tabSafe Mode Admission", "Admissions")
	assert session.get_counts(erased.erasure) == {"Player Memory Tracker": 10, "Admissions": 2}
	assert not any(session.count_rows(erased).values())
	assert of_others(other) == before
	assert {row.player for row in state.rows("Safe Mode Admission")} == {*other}


def test_tables_of_no_doctype_that_name_learners():
	tables = {"memora_kept_b": "player", "memora_kept_a": "player", "memora_kept_c": "players"}
	with raw_connection() as connection, connection.cursor() as cursor:
		try:
			for table, column in tables.items():
				cursor.execute(f"CREATE TABLE {table} ({column} varchar(140))")
			assert erasures.find_other_tables() == ["memora_kept_a", "memora_kept_b"]
		finally:
			cursor.execute(f"DROP TABLE IF EXISTS {', '.join(tables)}")


# Others are in the way


class Pauses:
	"""Counts the pauses between two tries, and does something in the last of so many."""

	def __init__(self, monkeypatch, last: int = 0, action: Callable[[], None] | None = None) -> None:
		self.taken, self.last, self.action = 0, last, action
		monkeypatch.setattr(erasures, "time", SimpleNamespace(sleep=self._sleep))

	def _sleep(self, _seconds: float) -> None:
		self.taken += 1
		if self.action and self.taken == self.last:
			self.action()


@pytest.fixture
def held(session, her):  # noqa: F811
	"""An erasure whose row another connection has locked, and that connection. Nobody waits for a lock."""
	remember(her)
	erasure = begin(session, her)
	session.cursor.execute("SET SESSION innodb_lock_wait_timeout = 0")
	with raw_connection() as holder, holder.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabMemora Erasure` WHERE name = %s FOR UPDATE", (erasure,))
		yield session.find(erasure), holder


def test_a_transaction_is_tried_again_until_nobody_is_in_the_way(session, her, held, monkeypatch):  # noqa: F811
	erased, holder = held
	pauses = Pauses(monkeypatch, 3, holder.rollback)
	session.finish(erased, LATER)
	assert pauses.taken == 3
	assert state.rows("Memora Erasure")[0].status == "Completed"
	assert not erasures.is_there(her.id)


def test_of_one_that_is_given_up_nothing_stays(session, her, held, monkeypatch):  # noqa: F811
	monkeypatch.setattr(erasures, "TRIES", 3)
	erased, holder = held
	pauses = Pauses(monkeypatch)
	with pytest.raises(failures.ERRORS) as raised:
		session.finish(erased, LATER)
	assert (failures.is_in_the_way(raised.value), pauses.taken) == (True, 2)
	holder.rollback()
	session.fail(erased.erasure, "somebody was in the way")  # on the same connection
	(row,) = state.rows("Memora Erasure")
	assert (row.status, row.error) == ("Running", "somebody was in the way")
	assert len(state.rows("Memora Former Address", learner=her.id)) == 1
	assert erasures.is_there(her.id)


def test_what_no_pause_can_mend_is_raised_at_once(session, her, monkeypatch):  # noqa: F811
	pauses = Pauses(monkeypatch)
	erasure = begin(session, her)
	with pytest.raises(failures.ERRORS) as raised:
		session.add(erasure, "x" * 1000, 1)
	assert (failures.is_in_the_way(raised.value), pauses.taken) == (False, 0)
	assert session.get_counts(erasure) == {}


def test_gaps_between_rows_are_not_locked(session):
	session.cursor.execute("SELECT @@tx_isolation, @@autocommit")
	assert session.cursor.fetchall() == (("READ-COMMITTED", 0),)
