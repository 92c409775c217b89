"""The table of Safe Mode Incidents.

Every write here goes over a connection of its own, because it must not commit the caller's transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from socket import gethostname
from typing import Any
from uuid import uuid4

import frappe

from memora.services.store import database, failures, seasons
from memora.services.store.database import Cursor

LOCK_WAIT_SECONDS = 1  # for a process that notes the same outage; a learner waits meanwhile
REASON_LENGTH = 140

LOCK_SQL = "SELECT GET_LOCK(CONCAT('memora:incident:', MD5(DATABASE())), %s)"
LIMITS_SQL = "SET innodb_lock_wait_timeout = %s, wait_timeout = %s"
LATEST_SQL = "SELECT name, ended_at FROM `tabSafe Mode Incident` ORDER BY started_at DESC LIMIT 1"
OPEN_SQL = """
	INSERT INTO `tabSafe Mode Incident` (name, started_at, reason, host, creation, modified, owner, modified_by)
	VALUES (%(name)s, %(now)s, %(reason)s, %(host)s, %(now)s, %(now)s, 'Administrator', 'Administrator')"""
REOPEN_SQL = """
	UPDATE `tabSafe Mode Incident` SET ended_at = NULL, duration = NULL, modified = %(now)s
	WHERE name = %(name)s"""
# `modified` is when a process met the outage last
MEET_SQL = "UPDATE `tabSafe Mode Incident` SET modified = %(now)s WHERE name = %(name)s"
# One that was met at a time to come was met before the site's clock was set back: another time zone, or the end of summer
CLOSE_SQL = """
	UPDATE `tabSafe Mode Incident` SET ended_at = %(now)s, modified = %(now)s,
	duration = GREATEST(TIMESTAMPDIFF(SECOND, started_at, %(now)s), 0)
	WHERE ended_at IS NULL AND (%(met_before)s IS NULL OR modified < %(met_before)s
	OR modified > %(now)s + INTERVAL 1 MINUTE)"""
COUNT_SQL = """
	UPDATE `tabSafe Mode Incident`
	SET requests_served = requests_served + %(served)s, requests_limited = requests_limited + %(limited)s
	ORDER BY started_at DESC LIMIT 1"""
GET_OPEN_SQL = """
	SELECT name, started_at, reason FROM `tabSafe Mode Incident`
	WHERE ended_at IS NULL ORDER BY started_at LIMIT 1"""
TOTALS_SQL = """
	SELECT COUNT(*) AS incidents, COALESCE(SUM(requests_served), 0) AS served,
	COALESCE(SUM(requests_limited), 0) AS limited FROM `tabSafe Mode Incident`"""

# Memora Health adds up what was cleared: a counter that fell would be taken for one that began anew.
CLEARED_SQL = (
	"SELECT field, value FROM tabSingles WHERE doctype = 'Memora Health' AND field LIKE 'cleared\\_%%'"
)
CLEAR_ROWS = 1000
OLD_SQL = f"""
	SELECT name FROM `tabSafe Mode Incident` WHERE ended_at < %(before)s
	ORDER BY started_at LIMIT {CLEAR_ROWS}"""
CLEAR_SQL = "DELETE FROM `tabSafe Mode Incident` WHERE name IN %(names)s"

OPENING_IS_TO_TELL = "opening_told = 0"
CLOSING_IS_TO_TELL = "closing_told = 0 AND ended_at < %(over_since)s"
# The first statement locks nothing, since other processes count and close meanwhile. The second locks one
# row.
TO_TELL_SQL = "SELECT name FROM `tabSafe Mode Incident` WHERE {condition} ORDER BY started_at"
CLAIM_SQL = """
	SELECT name, started_at, duration, reason, host, requests_served, requests_limited
	FROM `tabSafe Mode Incident` WHERE name = %(name)s AND {condition} FOR UPDATE SKIP LOCKED"""


def open_incident(reason: str, now: datetime, flap_seconds: int) -> None:
	"""Notes that a process has met an outage, unless no schedules are in Redis. Raises failures.ERRORS.

	An incident that is open goes on. One that ended less than `flap_seconds` ago is opened again.
	"""
	with _cursor() as cursor:
		if _is_being_noted(cursor):
			return
		cursor.execute(seasons.USES_REDIS_SQL)
		((is_used,),) = cursor.fetchall()
		if not is_used:
			return
		cursor.execute(LATEST_SQL)
		name, ended_at = cursor.fetchone() or (None, None)
		if name and not ended_at:
			cursor.execute(MEET_SQL, {"name": name, "now": now})
			return
		if name and ended_at > now - timedelta(seconds=flap_seconds):
			cursor.execute(REOPEN_SQL, {"name": name, "now": now})
			return
		values = {
			"name": uuid4().hex[:10],
			"reason": reason[:REASON_LENGTH],
			"host": gethostname(),
			"now": now,
		}
		cursor.execute(OPEN_SQL, values)


def _is_being_noted(cursor: Cursor) -> bool:
	"""Says whether another process is noting the outage. Where MariaDB gives no locks, two may note it: better than none."""
	try:
		cursor.execute(LOCK_SQL, (LOCK_WAIT_SECONDS,))  # it ends with the connection
	except failures.ERRORS as error:
		if failures.is_refused(error):
			return False
		raise
	return cursor.fetchall() == ((0,),)


def close_incidents(now: datetime, met_before: datetime | None = None) -> None:
	"""Notes that outages are over: all, or those that no process has met since `met_before`. Raises failures.ERRORS."""
	with _cursor() as cursor:
		cursor.execute(CLOSE_SQL, {"now": now, "met_before": met_before})


def add_counts(counts: dict[str, int]) -> bool:
	"""Adds {served, limited} to the latest incident. Says whether there is one. Raises failures.ERRORS."""
	with _cursor() as cursor:
		return bool(cursor.execute(COUNT_SQL, counts))


@contextmanager
def _cursor() -> Iterator[Cursor]:
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute(LIMITS_SQL, (LOCK_WAIT_SECONDS, database.HOLDER_RESTS_SECONDS))
		yield cursor


def get_open() -> frappe._dict | None:
	"""Returns {name, started_at, reason} of the incident that is open; None if there is none."""
	rows = frappe.db.sql(GET_OPEN_SQL, as_dict=True)
	return rows[0] if rows else None


def get_totals() -> dict[str, int]:
	"""Returns {incidents, served, limited} of all incidents that there have been."""
	cleared = dict(frappe.db.sql(CLEARED_SQL))
	return {
		name: count + int(cleared.get(f"cleared_{name}") or 0) for name, count in _count(TOTALS_SQL).items()
	}


def clear_old(before: datetime) -> int:
	"""Deletes incidents that ended before a naive site time. Returns how many. Commits.

	get_totals goes on counting them.
	"""
	total = 0
	while names := [name for (name,) in frappe.db.sql(OLD_SQL, {"before": before})]:
		with database.transaction():
			totals = get_totals()
			frappe.db.sql(CLEAR_SQL, {"names": names})
			for name, left in _count(TOTALS_SQL).items():
				frappe.db.set_single_value("Memora Health", f"cleared_{name}", totals[name] - left)
		total += len(names)
	return total


def _count(statement: str) -> dict[str, int]:
	(row,) = frappe.db.sql(statement, as_dict=True)
	return {name: int(value) for name, value in row.items()}


def claim_untold(condition: str, **values: Any) -> Iterator[frappe._dict]:
	"""Yields the incidents that managers have not been told of, each locked until the caller commits.

	`condition` is OPENING_IS_TO_TELL or CLOSING_IS_TO_TELL; `values` are the values that the condition needs.
	Incidents that another process is telling of are left out.
	"""
	for (name,) in frappe.db.sql(TO_TELL_SQL.format(condition=condition), values):
		yield from frappe.db.sql(
			CLAIM_SQL.format(condition=condition), {"name": name, **values}, as_dict=True
		)
