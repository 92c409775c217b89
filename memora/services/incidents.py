"""Safe Mode Incidents: each time that Redis was not there, written down in MariaDB.

An open incident also says, to whichever process is the first to reach Redis again, that answers were stored
of which Redis knows nothing. The process that noticed may be gone by then.

What is written here, is written on a connection of its own: the caller's transaction is nobody else's to commit.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import frappe
import pymysql
from frappe import _
from typing_extensions import TypedDict

from memora.services import alerts, memory_store, partition_manager, site_time
from memora.services.circuit_breaker import Unavailable

FLAP_SECONDS = 60  # an outage that begins so soon after one has ended is the same
COUNT_SECONDS = 5  # at least, between two writings of a process's counts
REASON_LENGTH = 140

LOCK_WAIT_SECONDS = 1  # for others who write down the same; a learner waits for it

LOCK_SQL = "SELECT GET_LOCK(CONCAT('memora:incident:', MD5(DATABASE())), %s)"
ROW_LOCK_SQL = "SET innodb_lock_wait_timeout = %s"
LATEST_SQL = "SELECT name, ended_at FROM `tabSafe Mode Incident` ORDER BY started_at DESC LIMIT 1"
OPEN_SQL = """
	INSERT INTO `tabSafe Mode Incident` (name, started_at, reason, creation, modified, owner, modified_by)
	VALUES (%(name)s, %(now)s, %(reason)s, %(now)s, %(now)s, 'Administrator', 'Administrator')"""
REOPEN_SQL = """
	UPDATE `tabSafe Mode Incident` SET ended_at = NULL, duration = NULL, modified = %(now)s
	WHERE name = %(name)s"""
CLOSE_SQL = """
	UPDATE `tabSafe Mode Incident` SET ended_at = %(now)s, modified = %(now)s,
	duration = TIMESTAMPDIFF(SECOND, started_at, %(now)s) WHERE ended_at IS NULL"""
COUNT_SQL = """
	UPDATE `tabSafe Mode Incident`
	SET requests_served = requests_served + %(served)s, requests_limited = requests_limited + %(limited)s
	ORDER BY started_at DESC LIMIT 1"""
IS_OPEN_SQL = "SELECT 1 FROM `tabSafe Mode Incident` WHERE ended_at IS NULL LIMIT 1"
GET_OPEN_SQL = """
	SELECT name, started_at, reason FROM `tabSafe Mode Incident`
	WHERE ended_at IS NULL ORDER BY started_at LIMIT 1"""
TOTALS_SQL = """
	SELECT COUNT(*) AS incidents, COALESCE(SUM(requests_served), 0) AS served,
	COALESCE(SUM(requests_limited), 0) AS limited FROM `tabSafe Mode Incident`"""

OPENING_IS_TO_TELL = "opening_told = 0"
CLOSING_IS_TO_TELL = "closing_told = 0 AND ended_at < %(over_since)s"
# First a look that locks nothing, since other processes count and close meanwhile; then the one row.
TO_TELL_SQL = "SELECT name FROM `tabSafe Mode Incident` WHERE {condition} ORDER BY started_at"
CLAIM_SQL = """
	SELECT name, started_at, duration, reason, requests_served, requests_limited
	FROM `tabSafe Mode Incident` WHERE name = %(name)s AND {condition} FOR UPDATE SKIP LOCKED"""


class OpenIncident(TypedDict):
	"""Since when Redis is not there, and what it said."""

	name: str
	started_at: datetime
	reason: str


@dataclass
class _Counts:
	"""What a process has not written down yet."""

	served: int = 0
	limited: int = 0
	due_at: float = 0.0
	lock: threading.Lock = field(default_factory=threading.Lock)

	def take(self) -> dict[str, int] | None:
		with self.lock:
			taken = {"served": self.served, "limited": self.limited}
			self.served = self.limited = 0
			self.due_at = time.monotonic() + COUNT_SECONDS
		return taken if any(taken.values()) else None


_counts: dict[str, _Counts] = {}


def open_incident(reason: str) -> None:
	"""Notes that Redis is not there, unless it is noted already. Never raises: it runs while things fail."""
	_try(lambda cursor: _open(cursor, reason))
	frappe.flags.memora_incident_noted = True


def _open(cursor: pymysql.cursors.Cursor, reason: str) -> None:
	now = site_time.naive_now()
	cursor.execute(LOCK_SQL, (LOCK_WAIT_SECONDS,))  # it goes with the connection
	if not cursor.fetchone()[0]:
		return  # somebody else is writing it down
	cursor.execute(LATEST_SQL)
	name, ended_at = cursor.fetchone() or (None, None)
	if name and not ended_at:
		return
	if name and ended_at > now - timedelta(seconds=FLAP_SECONDS):
		cursor.execute(REOPEN_SQL, {"name": name, "now": now})
		return
	cursor.execute(OPEN_SQL, {"name": uuid4().hex[:10], "reason": reason[:REASON_LENGTH], "now": now})


def close_incidents() -> None:
	"""Notes that Redis is there again."""
	write_counts()
	_try(lambda cursor: cursor.execute(CLOSE_SQL, {"now": site_time.naive_now()}))


def is_open() -> bool:
	"""Whether an incident has been noted that nobody has closed; raises Unavailable if MariaDB can't tell."""
	try:
		return bool(partition_manager.query(IS_OPEN_SQL))
	except pymysql.err.MySQLError as error:
		raise Unavailable(f"nobody knows what Redis has missed: {error}") from error


def get_open() -> OpenIncident | None:
	"""The incident that is going on."""
	rows = frappe.db.sql(GET_OPEN_SQL, as_dict=True)
	return rows[0] if rows else None


def get_totals() -> dict[str, int]:
	"""{incidents, served, limited} of all incidents that are kept."""
	(row,) = frappe.db.sql(TOTALS_SQL, as_dict=True)
	return {name: int(value) for name, value in row.items()}


def count(served: int = 0, limited: int = 0) -> None:
	"""Adds to the requests of the latest incident; they are written down every few seconds."""
	counts = _counts.setdefault(frappe.local.site, _Counts())
	with counts.lock:
		counts.served += served
		counts.limited += limited
		is_due = time.monotonic() >= counts.due_at
	if is_due:
		write_counts()


def write_counts() -> None:
	"""Writes down what this process has counted."""
	counts = _counts.get(frappe.local.site)
	if taken := counts and counts.take():
		_try(lambda cursor: cursor.execute(COUNT_SQL, taken))


@alerts.in_site_language()
def tell() -> None:
	"""Tells managers of each incident when it has begun and when it has been over for FLAP_SECONDS.

	Each is told once, whoever calls this. Commits. Runs every minute, and at the end of a request that noted one.
	"""
	memory_store.new_snapshot()
	over_since = site_time.naive_now() - timedelta(seconds=FLAP_SECONDS)
	for incident in _claimed(OPENING_IS_TO_TELL):
		message = _("The schedules' Redis can't be used: {0}").format(incident.reason)
		_tell(incident.name, "opening_told", _("Safe Mode is on"), message, is_error=True)
	for incident in _claimed(CLOSING_IS_TO_TELL, over_since=over_since):
		_tell(incident.name, "closing_told", _("Safe Mode is over"), _summary(incident), is_error=False)


def _claimed(condition: str, **values: Any) -> Iterator[frappe._dict]:
	"""The incidents of which this holds, each locked until the caller commits; without those that another
	process is telling of."""
	for (name,) in frappe.db.sql(TO_TELL_SQL.format(condition=condition), values):
		yield from frappe.db.sql(
			CLAIM_SQL.format(condition=condition), {"name": name, **values}, as_dict=True
		)


def _tell(name: str, told: str, subject: str, message: str, is_error: bool) -> None:
	"""In one transaction with the note that it has been told."""
	frappe.db.set_value("Safe Mode Incident", name, told, 1, update_modified=False)
	alerts.tell_managers(subject, message, ("Safe Mode Incident", name), is_error=is_error, by_mail=True)


def _summary(incident: frappe._dict) -> str:
	return _(
		"It lasted {0} from {1} on. {2} readings were admitted, {3} put off; no answer was refused."
	).format(
		timedelta(seconds=int(incident.duration or 0)),
		incident.started_at.replace(microsecond=0),
		incident.requests_served,
		incident.requests_limited,
	)


def _try(action) -> None:
	try:
		with partition_manager.connection() as own, own.cursor() as cursor:
			cursor.execute(ROW_LOCK_SQL, (LOCK_WAIT_SECONDS,))
			action(cursor)
	except pymysql.err.MySQLError as error:
		frappe.logger("memora").error(f"an incident could not be written down: {error}")
