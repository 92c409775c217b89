"""Question Status: what the question source says of a question now, whether it is asked, and its subject and topic.

A question has a row once the source has told of a change, and at the latest within the hour. Of a question without a row
the tracker's own copy of subject and topic holds, and it is asked. So reads join the tracker with this table, and a change
of one question touches none of the learners' rows.

`version` counts, over all questions, the changes of what is asked: changes that are noted together have the same version,
and a version that can be read was preceded by all versions before. A schedule in Redis notes the version that it agrees
with. Names differ in letter case, as ids do: the table's layout sees to that.
"""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import frappe
from frappe import _

from memora.exceptions import JournalUnavailable
from memora.services import site_time
from memora.services.store import database
from memora.services.store.records import MemoryRecord

TABLE = "tabQuestion Status"
LOCK, LOCK_WAIT_SECONDS = "content", 10  # held from just before a commit to just after it
MOST_CHANGES = 10_000  # that a process keeps; a schedule that lacks more is loaded again
MOST_SENT = 100  # withdrawals that go along with each read of a schedule: some KB
MAX_ROWS = 1000  # of one statement

# To a statement on the tracker, which must be `t`
JOIN_SQL = f"LEFT JOIN `{TABLE}` s ON s.name = t.question_id COLLATE utf8mb4_bin"
IS_LIVE_SQL = "(s.is_live IS NULL OR s.is_live = 1)"
SUBJECT_SQL, TOPIC_SQL = (f"NULLIF(COALESCE(s.{name}, t.{name}), '')" for name in ("subject", "topic"))
IS_SELECTED_SQL = f"{IS_LIVE_SQL} AND (%(subject)s IS NULL OR {SUBJECT_SQL} = %(subject)s)"

VERSION_SQL = f"SELECT COALESCE(MAX(version), 0) FROM `{TABLE}`"
CHANGES_SQL = f"""
	SELECT version, name, is_live FROM `{TABLE}` WHERE version > %s ORDER BY version DESC LIMIT {MOST_CHANGES + 1}"""
# Of records that wait in the outbox: compared by MariaDB, whose letters of either case are equal.
SELECT_SQL = f"""
	SELECT t.question_id FROM JSON_TABLE(%(records)s, '$[*]' COLUMNS (
		question_id VARCHAR(140) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci PATH '$[0]',
		subject VARCHAR(140) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci PATH '$[1]')) t
	{JOIN_SQL} WHERE {IS_SELECTED_SQL}"""
# The caller holds the lock: so these see what was committed last, and nobody waits for long.
GET_SQL = f"SELECT name, is_live, subject, topic FROM `{TABLE}` WHERE name IN %(names)s LOCK IN SHARE MODE"
NEXT_VERSION_SQL = f"{VERSION_SQL} LOCK IN SHARE MODE"
CHANGED_SQL = f"SELECT name FROM `{TABLE}` WHERE name IN %(names)s AND version > 0 AND modified >= %(moment)s"
IS_WITHDRAWN_SQL = f"SELECT 1 FROM `{TABLE}` WHERE name = %s AND is_live = 0"
IS_ANY_WITHDRAWN_SQL = f"SELECT 1 FROM `{TABLE}` WHERE is_live = 0 LIMIT 1"
IDS_SQL = f"SELECT name FROM `{TABLE}` WHERE name > %s ORDER BY name LIMIT {MAX_ROWS}"
# Of Memora's own bank: what is noted otherwise than it is, and what is not noted at all
OUTDATED_SQL = f"""
	SELECT s.name FROM `{TABLE}` s LEFT JOIN `tabGame Question` q ON q.name = s.name
	LEFT JOIN `tabGame Topic` t ON t.name = q.topic
	WHERE s.is_live != COALESCE(q.enabled, 0)
	OR BINARY s.subject != BINARY COALESCE(t.subject, q.subject) OR BINARY s.topic != BINARY q.topic
	UNION SELECT q.name FROM `tabGame Question` q LEFT JOIN `{TABLE}` s ON s.name = q.name
	WHERE s.name IS NULL"""
PUT_SQL = f"INSERT INTO `{TABLE}` (name, is_live, subject, topic, version, creation, modified) VALUES "
PUT_TAIL_SQL = """ ON DUPLICATE KEY UPDATE
	version = IF(VALUES(version) > 0, VALUES(version), version), is_live = VALUES(is_live),
	subject = VALUES(subject), topic = VALUES(topic), modified = VALUES(modified)"""


class Status(NamedTuple):
	"""What the source says of a question. '' stands for no subject or topic, None for what was never known."""

	is_live: bool
	subject: str | None
	topic: str | None


@dataclass(frozen=True)
class Changes:
	"""The newest changes of what is asked, as of `version`: [(version, question id, whether it is asked now)], oldest first.

	Each question is among them once, with its last change. Changes up to `forgotten` are not among them.
	"""

	version: int
	forgotten: int
	entries: list[tuple[int, str, bool]]

	@cached_property
	def withdrawals(self) -> tuple[int, list[Any]]:
		"""Returns (first, [version, question id, …]): the newest withdrawals, MOST_SENT at most.

		After the version `first` nothing but these has changed.
		"""
		start = len(self.entries)
		while start and not self.entries[start - 1][2] and len(self.entries) - start < MOST_SENT:
			start -= 1
		first = self.entries[start - 1][0] if start else self.forgotten
		return first, [part for version, name, _live in self.entries[start:] for part in (version, name)]

	def since(self, version: int) -> list[tuple[int, str, bool]] | None:
		"""Returns the changes after a version; None if some of them are forgotten."""
		if version < self.forgotten:
			return None
		return self.entries[bisect_right(self.entries, version, key=lambda entry: entry[0]) :]


NO_CHANGES = Changes(0, 0, [])

_known: dict[str, Changes] = {}


def get_version() -> int:
	"""Returns the version of what is asked; one query, answered from an index."""
	return frappe.db.sql(VERSION_SQL)[0][0]


def get_changes(version: int) -> Changes:
	"""Returns the changes up to a version that was read just now. Asks MariaDB only if this process does not know them."""
	known = _known.get(frappe.local.site)
	if not known or known.version > version:  # the site has been restored, or this transaction began earlier
		known = NO_CHANGES
	if known.version < version:
		known = _known[frappe.local.site] = _read_on(known)
	return known


def forget_changes() -> None:
	"""Makes this process read the changes anew."""
	_known.pop(frappe.local.site, None)


def _read_on(known: Changes) -> Changes:
	rows = [(v, q, bool(live)) for v, q, live in frappe.db.sql(CHANGES_SQL, (known.version,))][::-1]
	if not rows:
		return known
	changed = {question_id for _version, question_id, _live in rows}
	entries = [entry for entry in known.entries if entry[1] not in changed] + rows
	lost = len(entries) - MOST_CHANGES
	forgotten = entries[lost - 1][0] if lost > 0 else known.forgotten
	return Changes(rows[-1][0], forgotten, entries[max(0, lost) :])


def get_changed(question_ids: Collection[str], moment: datetime) -> set[str]:
	"""Returns which of some questions may have been withdrawn, or come back, since a moment (naive site time). One query at most."""
	if not question_ids:
		return set()
	values = {"names": [*question_ids], "moment": moment}
	return {question_id for (question_id,) in frappe.db.sql(CHANGED_SQL, values)}


def select(records: Collection[MemoryRecord], subject: str | None = None) -> set[str]:
	"""Returns which questions of some records are asked, and are of a subject if one is given; at most one query."""
	if not records:
		return set()
	pairs = json.dumps([[record.question_id, record.subject] for record in records])
	rows = frappe.db.sql(SELECT_SQL, {"records": pairs, "subject": subject})
	return {question_id for (question_id,) in rows}


# Changes. All are made under the lock.


def hold_lock(wait_seconds: int) -> None:
	"""Takes the lock until the caller's transaction ends. Raises JournalUnavailable if others hold it for longer."""
	if not database.hold_named_lock(LOCK, wait_seconds):
		JournalUnavailable.throw(_("Other questions are being changed. Try again in a moment."))


def is_withdrawn(question_id: str) -> bool:
	"""Says whether a question was withdrawn when it was last looked at."""
	return bool(frappe.db.sql(IS_WITHDRAWN_SQL, (question_id,)))


def is_any_withdrawn() -> bool:
	"""Says whether any question is withdrawn."""
	return bool(frappe.db.sql(IS_ANY_WITHDRAWN_SQL))


def get_statuses(question_ids: Iterable[str]) -> dict[str, Status]:
	"""Returns {question_id: status} of the questions that have one."""
	ids, found = iter(question_ids), dict[str, Status]()
	while names := list(islice(ids, MAX_ROWS)):
		found |= {
			name: Status(bool(is_live), *place)
			for name, is_live, *place in frappe.db.sql(GET_SQL, {"names": names})
		}
	return found


def put(statuses: dict[str, Status], changed: Collection[str]) -> None:
	"""Stores statuses. Those of `changed`, which change what is asked, get the next version. The caller commits."""
	version = frappe.db.sql(NEXT_VERSION_SQL)[0][0] + 1
	now = site_time.naive_now()
	rows = [(name, *status, version if name in changed else 0, now, now) for name, status in statuses.items()]
	for start in range(0, len(rows), MAX_ROWS):
		database.insert(PUT_SQL, rows[start : start + MAX_ROWS], PUT_TAIL_SQL)


def get_ids() -> Iterator[str]:
	"""Yields the ids of all questions that have a status."""
	after = ""
	while page := [name for (name,) in frappe.db.sql(IDS_SQL, (after,))]:
		yield from page
		after = page[-1]


def find_outdated() -> list[str]:
	"""Returns the questions of Memora's own bank whose status is not what the bank says."""
	return [name for (name,) in frappe.db.sql(OUTDATED_SQL)]
