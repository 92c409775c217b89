"""The reads that Safe Mode has admitted lately: rows of one table, which all hosts count and add to."""

from typing import NamedTuple

import frappe

from memora.services.store import database

EXPIRED_ROWS = 10  # removed with each admission, which adds one

# The server's clock in UTC: one for all hosts, and no change to summer time. If it is set back, or another server takes over whose
# clock is behind, what was admitted before lies in the future and counts no more.
LOOK_SQL = """
	SELECT COALESCE(SUM(admitted_at > UTC_TIMESTAMP(6) - INTERVAL %(window)s SECOND), 0),
	TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6) - INTERVAL %(window)s SECOND, MIN(
		IF(admitted_at > UTC_TIMESTAMP(6) - INTERVAL %(window)s SECOND, admitted_at, NULL))) / 1000000,
	TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6) - INTERVAL %(pause)s SECOND, MAX(
		IF(player = %(player)s, admitted_at, NULL))) / 1000000
	FROM `tabSafe Mode Admission`
	WHERE admitted_at > UTC_TIMESTAMP(6) - INTERVAL %(longest)s SECOND AND admitted_at <= UTC_TIMESTAMP(6)"""
ADMIT_SQL = """
	INSERT INTO `tabSafe Mode Admission` (name, player, admitted_at, creation, modified)
	VALUES (%(name)s, %(player)s, UTC_TIMESTAMP(6), NOW(6), NOW(6))"""
EXPIRE_SQL = """
	DELETE FROM `tabSafe Mode Admission`
	WHERE admitted_at <= UTC_TIMESTAMP(6) - INTERVAL %(longest)s SECOND LIMIT %(rows)s"""


class Admissions(NamedTuple):
	"""The reads that were admitted lately.

	`recent` counts the reads of all learners within the window. `seconds_until_free` is the time until the
	oldest of those reads leaves the window. `seconds_until_again` is the time until this learner may read
	again: None or negative if she may read now.
	"""

	recent: int
	seconds_until_free: float | None
	seconds_until_again: float | None


def look(learner: str, pause_seconds: int, window_seconds: int) -> Admissions:
	"""Counts the reads that were admitted.

	The caller holds a lock if the result decides about an admission.
	"""
	values = {
		"player": learner,
		"pause": pause_seconds,
		"window": window_seconds,
		"longest": max(pause_seconds, window_seconds),
	}
	(found,) = frappe.db.sql(LOOK_SQL, values)
	return Admissions(*found)


def admit(learner: str, longest_seconds: int) -> None:
	"""Adds an admission, and removes a few that are older than `longest_seconds`. Commits."""
	with database.transaction():
		frappe.db.sql(ADMIT_SQL, {"name": frappe.generate_hash(length=20), "player": learner})
		frappe.db.sql(EXPIRE_SQL, {"rows": EXPIRED_ROWS, "longest": longest_seconds})
