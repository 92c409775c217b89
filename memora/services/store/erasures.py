"""Deletes a learner's rows in bounded transactions, and counts them in a Memora Erasure, which names nobody.

All of it runs on a connection of its own, which locks rows and no gaps between them. So the caller's transaction stays as it
is, also in a hook of a document's event, where Frappe 16 takes no commit. Each transaction deletes at most PAGE_ROWS rows and
adds their number to the erasure: whoever dies between two of them has lost nothing, and the next run goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple

import frappe
from frappe import _

from memora.exceptions import LearnerIsErased
from memora.services.store import database, failures, row_names
from memora.services.store.database import Connection, Cursor

PAGE_ROWS = 5000  # deleted in one transaction
TRIES = 20  # of a transaction, if others are in its way
PAUSE_SECONDS = 0.5

# In the order in which they are emptied: a fold that has taken her outbox writes the tracker, and is waited for
BY_NAME = ("Review Outbox", "Player Review Log", "Player Memory Tracker", "Archived Memory Tracker")
BY_PLAYER = ("Daily Learner", "Safe Mode Admission", "Outdated Schedule")

ISOLATION_SQL = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
LEARNER = "`tabMemora Learner`"
LOCK_SQL = f"""
	SELECT e.name, e.kind FROM {LEARNER} l LEFT JOIN `tabMemora Erasure` e ON e.name = l.erasure
	WHERE l.name = %(learner)s FOR UPDATE"""
NEW_SQL = """
	INSERT INTO `tabMemora Erasure` (name, kind, way, status, reference, begun_at, creation, modified, owner, modified_by)
	VALUES (%(name)s, %(kind)s, %(way)s, 'Running', %(reference)s, %(now)s, %(now)s, %(now)s, 'Administrator', 'Administrator')"""
BEGIN_SQL = f"UPDATE {LEARNER} SET erasing_since = %(now)s, erasure = %(name)s WHERE name = %(learner)s"
BEGIN_DETACHING_SQL = f"UPDATE {LEARNER} SET erasure = %(name)s WHERE name = %(learner)s"
CUT_SQL = (
	f"UPDATE {LEARNER} SET user = NULL, learner_name = NULL, modified = %(now)s WHERE name = %(learner)s"
)
THERE_SQL = f"SELECT 1 FROM {LEARNER} WHERE name = %s"
OF_ERASURE_SQL = f"""
	SELECT l.name, l.user, e.kind FROM {LEARNER} l JOIN `tabMemora Erasure` e ON e.name = l.erasure
	WHERE e.name = %(name)s"""
MERGED_SQL = f"SELECT name FROM {LEARNER} WHERE merged_into IN %(ids)s"
DELETE_LEARNERS_SQL = f"DELETE FROM {LEARNER} WHERE name IN %(ids)s"
RELEASE_SQL = f"UPDATE {LEARNER} SET erasure = NULL WHERE erasure = %(name)s"
FORGET_ADDRESSES_SQL = "DELETE FROM `tabMemora Former Address` WHERE learner IN %(ids)s"
DONE_SQL = """
	UPDATE `tabMemora Erasure` SET status = 'Completed', done_at = %(now)s, modified = %(now)s, error = NULL
	WHERE name = %(name)s"""
FAILED_SQL = "UPDATE `tabMemora Erasure` SET error = %(error)s WHERE name = %(name)s"
ADD_SQL = """
	INSERT INTO `tabMemora Erasure Count`
	(name, parent, parenttype, parentfield, idx, kept_in, removed, creation, modified, owner, modified_by)
	SELECT %(row)s, name, 'Memora Erasure', 'counts',
	(SELECT COUNT(*) + 1 FROM `tabMemora Erasure Count` c WHERE c.parent = e.name),
	%(kept_in)s, %(rows)s, begun_at, begun_at, 'Administrator', 'Administrator'
	FROM `tabMemora Erasure` e WHERE name = %(name)s
	ON DUPLICATE KEY UPDATE removed = removed + VALUES(removed)"""
COUNTS_SQL = "SELECT kept_in, removed FROM `tabMemora Erasure Count` WHERE parent = %(name)s ORDER BY idx"

SEASONS_SQL = """
	SELECT season, COUNT(*) FROM `{table}` WHERE name BETWEEN %(first)s AND %(last)s GROUP BY season"""
PAGE_SQL = f"""
	SELECT MIN(name), MAX(name) FROM (
		SELECT name FROM `{{table}}` WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s
		ORDER BY name LIMIT {PAGE_ROWS}) page"""
DELETE_SQL = "DELETE FROM `{table}` WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s"
OF_PLAYER_SQL = f"SELECT name FROM `{{table}}` WHERE player IN %(players)s LIMIT {PAGE_ROWS}"
DELETE_NAMES_SQL = "DELETE FROM `{table}` WHERE name IN %(names)s"
COUNT_PLAYER_SQL = "SELECT COUNT(*) FROM `{table}` WHERE player IN %(players)s"
# Tables of no DocType: rows on their way to the archive, and those that conversions have replaced or fill
OTHER_TABLES_SQL = """
	SELECT TABLE_NAME FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'player' AND TABLE_NAME NOT LIKE 'tab%%' ORDER BY TABLE_NAME"""


class Erased(NamedTuple):
	"""Who is being erased or detached. `kind` is Erase or Detach. `ids` are hers and those of learners who were merged into her, hers first."""

	erasure: str
	kind: str
	ids: list[str]
	user: str | None

	@property
	def id(self) -> str:
		return self.ids[0]

	@property
	def names(self) -> list[str]:
		"""Returns all that names her: her ids and her User."""
		return [*self.ids, *([self.user] if self.user else [])]


def is_there(learner: str) -> bool:
	"""Says whether a learner is there now. The caller's transaction may show her for longer."""
	return bool(database.query(THERE_SQL, (learner,)))


def find_other_tables() -> list[str]:
	"""Returns the tables of no DocType that hold learners' rows."""
	return [table for (table,) in database.query(OTHER_TABLES_SQL, {})]


@contextmanager
def session() -> Iterator["Session"]:
	"""Opens the connection that an erasure runs on, and closes it after the block."""
	with database.connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		cursor.execute(ISOLATION_SQL)
		yield Session(own, cursor)


class Session:
	"""The transactions of an erasure. Each is tried again while others are in its way, and raises what stops it then."""

	def __init__(self, connection: Connection, cursor: Cursor) -> None:
		self.connection, self.cursor = connection, cursor

	# The erasure

	def begin(self, learner: str, kind: str, way: str, reference: str | None, now: datetime) -> str | None:
		"""Notes that an erasure or detachment has begun, and returns its name. From an erasure on her requests are refused.

		If one has begun before returns the name of that. None if there is no such learner. Raises LearnerIsErased if one of
		the other kind has begun.
		"""
		values = {"learner": learner, "kind": kind, "way": way, "reference": reference, "now": now}
		return self._transaction(lambda: self._begin(values))

	def _begin(self, values: dict[str, Any]) -> str | None:
		found = self._fetch(LOCK_SQL, values)
		if not found:
			return None
		((erasure, kind),) = found
		if erasure and kind != values["kind"]:
			frappe.throw(
				_("This learner is being erased or detached. That must end before the other can begin."),
				LearnerIsErased,
			)
		if erasure:
			return erasure
		values = {**values, "name": frappe.generate_hash(length=10)}
		self.cursor.execute(NEW_SQL, values)
		self.cursor.execute(BEGIN_SQL if values["kind"] == "Erase" else BEGIN_DETACHING_SQL, values)
		return values["name"]

	def find(self, erasure: str) -> Erased | None:
		"""Returns whose erasure this is; None once it is done."""
		rows = self._transaction(lambda: self._fetch(OF_ERASURE_SQL, {"name": erasure}))
		if not rows:
			return None
		((learner, user, kind),) = rows
		return Erased(erasure, kind, self._with_merged(learner), user)

	def describe(self, learner: str, user: str | None) -> Erased:
		"""Returns all that names a learner of whom no erasure has begun."""
		return Erased("", "", self._with_merged(learner), user)

	def _with_merged(self, learner: str) -> list[str]:
		ids, last = [learner], [learner]
		while last:
			rows = self._transaction(lambda: self._fetch(MERGED_SQL, {"ids": last}))  # noqa: B023: called at once
			last = [name for (name,) in rows if name not in ids]
			ids += last
		return ids

	def add(self, erasure: str, kept_in: str, rows: int) -> None:
		"""Adds to the count of what an erasure has removed."""
		self._transaction(lambda: self._add(erasure, kept_in, rows))

	def get_counts(self, erasure: str) -> dict[str, int]:
		"""Returns {where it was kept: how much was removed} of an erasure."""
		return dict(self._transaction(lambda: self._fetch(COUNTS_SQL, {"name": erasure})))

	def fail(self, erasure: str, error: str) -> None:
		"""Notes why a run has stopped."""
		self._transaction(lambda: self.cursor.execute(FAILED_SQL, {"name": erasure, "error": error}))

	def cut_link(self, erased: Erased, now: datetime) -> None:
		"""Takes her User and her name away from a learner. Her rows are nobody's then."""
		self._transaction(lambda: self.cursor.execute(CUT_SQL, {"learner": erased.id, "now": now}))

	def finish(self, erased: Erased, now: datetime, keeps_learner: bool = False) -> None:
		"""Deletes the learner, or only cuts her link to the erasure, and notes that all is done."""
		values = {"name": erased.erasure, "ids": erased.ids, "now": now}

		def end() -> None:
			self.cursor.execute(FORGET_ADDRESSES_SQL, values)
			self.cursor.execute(RELEASE_SQL if keeps_learner else DELETE_LEARNERS_SQL, values)
			self.cursor.execute(DONE_SQL, values)

		self._transaction(end)

	# Rows

	def count_rows(self, erased: Erased) -> dict[str, int]:
		"""Returns {DocType or table: rows that name her}. Changes nothing."""
		named = {doctype: self._count_named(doctype, erased.ids) for doctype in BY_NAME}
		others = {table: table for table in find_other_tables()} | {d: f"tab{d}" for d in BY_PLAYER}
		return named | {label: self._count_player(table, erased.names) for label, table in others.items()}

	def _count_named(self, doctype: str, ids: Sequence[str]) -> int:
		return sum(count for learner in ids for _season, count in self._seasons(doctype, learner))

	def _count_player(self, table: str, players: Sequence[str]) -> int:
		statement = COUNT_PLAYER_SQL.format(table=table)
		((count,),) = self._transaction(lambda: self._fetch(statement, {"players": players}))
		return count

	def delete_named(self, erased: Erased, doctype: str) -> None:
		"""Deletes her rows of one of BY_NAME, page by page, by primary key, in one season after the other.

		Returns when no row is left. Waits for a fold that has taken a row.
		"""
		for learner in erased.ids:
			while found := self._seasons(doctype, learner):
				for season, _count in found:
					self._delete_season(erased, doctype, learner, season)

	def _delete_season(self, erased: Erased, doctype: str, learner: str, season: str) -> None:
		first, last = row_names.names_of_learner(learner)
		values = {"season": season, "first": first, "last": last}
		page, delete = (sql.format(table=f"tab{doctype}") for sql in (PAGE_SQL, DELETE_SQL))

		def one_page() -> bool:
			((begin, end),) = self._fetch(page, values)
			if begin is None:
				return False
			rows = self.cursor.execute(delete, {**values, "first": begin, "last": end})
			self._add(erased.erasure, doctype, rows)
			return True

		while self._transaction(one_page):
			pass

	def delete_of_player(self, erased: Erased, table: str, label: str) -> None:
		"""Deletes the rows of a table that name her by id or by User, page by page."""
		page, delete = OF_PLAYER_SQL.format(table=table), DELETE_NAMES_SQL.format(table=table)

		def one_page() -> bool:
			names = [name for (name,) in self._fetch(page, {"players": erased.names})]
			if names:
				self._add(erased.erasure, label, self.cursor.execute(delete, {"names": names}))
			return bool(names)

		while self._transaction(one_page):
			pass

	def _seasons(self, doctype: str, learner: str) -> Sequence[tuple[Any, ...]]:
		first, last = row_names.names_of_learner(learner)
		statement = SEASONS_SQL.format(table=f"tab{doctype}")
		return self._transaction(lambda: self._fetch(statement, {"first": first, "last": last}))

	# How a transaction is run

	def _add(self, erasure: str, kept_in: str, rows: int) -> None:
		if not rows:
			return
		row = row_names.digest(erasure, kept_in)
		self.cursor.execute(ADD_SQL, {"name": erasure, "row": row, "kept_in": kept_in, "rows": rows})

	def _fetch(self, statement: str, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
		self.cursor.execute(statement, values)
		return self.cursor.fetchall()

	def _transaction(self, work: Callable[[], Any]) -> Any:
		for tries_left in reversed(range(TRIES)):
			try:
				result = work()
				self.connection.commit()
				return result
			except BaseException as error:  # none of it stays, whatever it was
				with suppress(*failures.ERRORS):  # a lost connection has rolled back already
					self.cursor.execute("ROLLBACK")
				if not failures.is_in_the_way(error) or not tries_left:
					raise
				time.sleep(PAUSE_SECONDS)
		raise AssertionError("unreachable")
