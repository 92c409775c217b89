"""The notes that long runs leave: Cache Rebuild and Cache Reconciliation."""

from datetime import datetime

import frappe

RESUMABLE_SQL = """
	SELECT name FROM `tabCache Rebuild`
	WHERE season = %(season)s AND modified >= %(since)s AND status != 'Completed'
	AND started_at = (SELECT MAX(started_at) FROM `tabCache Rebuild` WHERE season = %(season)s)"""
LAST_SQL = "SELECT {fields} FROM `tab{doctype}` WHERE season = %s ORDER BY started_at DESC LIMIT 1"
LAST_RATE_SQL = """
	SELECT discrepancy_rate FROM `tabCache Reconciliation` ORDER BY started_at DESC LIMIT 1"""


def find_resumable_rebuild(season: str, since: datetime) -> str | None:
	"""Returns the name of the season's last Cache Rebuild, if it is to be resumed; else None.

	A rebuild is to be resumed if it did not complete, and still ran after `since` (naive site time).
	"""
	rows = frappe.db.sql(RESUMABLE_SQL, {"season": season, "since": since})
	return rows[0][0] if rows else None


def get_last(doctype: str, fields: str, season: str) -> frappe._dict | None:
	"""Returns fields of the season's last run; None if there was none.

	`doctype` and `fields` become part of the statement: they must be the program's own texts.
	"""
	rows = frappe.db.sql(LAST_SQL.format(fields=fields, doctype=doctype), (season,), as_dict=True)
	return rows[0] if rows else None


def get_last_discrepancy_rate() -> float | None:
	"""Returns the share (0 to 1) of records that the last reconciliation found wrong; None without one."""
	rows = frappe.db.sql(LAST_RATE_SQL)
	return rows[0][0] if rows else None
