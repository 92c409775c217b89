"""The table of the hosts that serve learners. MariaDB's clock says when each was seen."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import frappe

from memora.services.store import database

FORGET_DAYS = 7  # a container gets a new name at each start

NOTE_SQL = """
	INSERT INTO `tabMemora Host` (name, host, seen_at, seconds, read_requests, read_p99_ms, submit_requests,
	submit_p99_ms, is_threaded, counts, creation, modified)
	VALUES (%(name)s, %(host)s, UTC_TIMESTAMP(6), %(seconds)s, %(read_requests)s, %(read_p99_ms)s,
	%(submit_requests)s, %(submit_p99_ms)s, %(is_threaded)s, %(counts)s, NOW(6), NOW(6))
	ON DUPLICATE KEY UPDATE host = VALUES(host), seen_at = VALUES(seen_at), seconds = VALUES(seconds),
	read_requests = VALUES(read_requests), read_p99_ms = VALUES(read_p99_ms),
	submit_requests = VALUES(submit_requests), submit_p99_ms = VALUES(submit_p99_ms),
	is_threaded = VALUES(is_threaded), counts = VALUES(counts), modified = VALUES(modified)"""
FORGET_SQL = """
	DELETE FROM `tabMemora Host` WHERE seen_at < UTC_TIMESTAMP(6) - INTERVAL %(days)s DAY"""
SEEN_SQL = """
	SELECT name, host, seconds, counts FROM `tabMemora Host`
	WHERE seen_at > UTC_TIMESTAMP(6) - INTERVAL %(seconds)s SECOND ORDER BY host, name"""
WITHOUT_THREADS_SQL = """
	SELECT DISTINCT host FROM `tabMemora Host`
	WHERE seen_at > UTC_TIMESTAMP(6) - INTERVAL %(seconds)s SECOND AND NOT is_threaded ORDER BY host"""


class Host(NamedTuple):
	"""A host that was seen lately. `counts` is the JSON that it noted, of the `seconds` before."""

	name: str
	host: str
	seconds: int
	counts: str


def note(values: dict[str, Any]) -> None:
	"""Notes a host's figures; `values` are those of NOTE_SQL. Over a connection of its own. Raises failures.ERRORS."""
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute(NOTE_SQL, values)
		cursor.execute(FORGET_SQL, {"days": FORGET_DAYS})


def get_seen(seconds: int) -> Iterator[Host]:
	"""Yields the hosts that noted their figures in the last `seconds`."""
	for row in frappe.db.sql(SEEN_SQL, {"seconds": seconds}):
		yield Host(*row)


def get_without_threads(seconds: int) -> list[str]:
	"""Returns the hosts of the last `seconds` each of whose web processes serves one request at a time."""
	return [host for (host,) in frappe.db.sql(WITHOUT_THREADS_SQL, {"seconds": seconds})]
