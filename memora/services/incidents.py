"""Safe Mode Incidents: each time that Redis was not there, written down in MariaDB.

An open incident also says, to whichever process is the first to reach Redis again, that answers were stored
of which Redis knows nothing. The process that noticed may be gone by then.
"""

from uuid import uuid4

import frappe
import pymysql

from memora.services import partition_manager, site_time
from memora.services.circuit_breaker import Unavailable

OPEN_SQL = """
	INSERT INTO `tabSafe Mode Incident` (name, started_at, reason, creation, modified, owner, modified_by)
	SELECT %(name)s, %(now)s, %(reason)s, %(now)s, %(now)s, 'Administrator', 'Administrator' FROM DUAL
	WHERE NOT EXISTS (SELECT 1 FROM `tabSafe Mode Incident` WHERE ended_at IS NULL FOR UPDATE)"""
CLOSE_SQL = "UPDATE `tabSafe Mode Incident` SET ended_at = %(now)s, modified = %(now)s WHERE ended_at IS NULL"
IS_OPEN_SQL = "SELECT 1 FROM `tabSafe Mode Incident` WHERE ended_at IS NULL LIMIT 1"


def open_incident(reason: str) -> None:
	"""Notes that Redis is not there, unless it is noted already. Never raises: it runs while things fail."""
	_write(OPEN_SQL, {"name": uuid4().hex[:10], "reason": reason[:140]})


def close_incidents() -> None:
	"""Notes that Redis is there again."""
	_write(CLOSE_SQL, {})


def is_open() -> bool:
	"""Whether an incident has been noted that nobody has closed; raises Unavailable if MariaDB can't tell."""
	try:
		return bool(partition_manager.query(IS_OPEN_SQL))
	except pymysql.err.MySQLError as error:
		raise Unavailable(f"nobody knows what Redis has missed: {error}") from error


def _write(statement: str, values: dict) -> None:
	"""On a connection of its own: the caller's transaction is nobody else's to commit."""
	try:
		now = site_time.to_naive(site_time.now())
		with partition_manager.connection() as own, own.cursor() as cursor:
			cursor.execute(statement, {"now": now, **values})
	except pymysql.err.MySQLError as error:
		frappe.logger("memora").error(f"an incident could not be written down: {error}")
