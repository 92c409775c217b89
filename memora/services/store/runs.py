"""The notes that long runs leave: Cache Rebuild and Cache Reconciliation."""

from datetime import datetime

import frappe

KEPT_DAYS = 400  # of reconciliations: a school year and some

RESUMABLE_SQL = """
	SELECT name FROM `tabCache Rebuild`
	WHERE season = %(season)s AND modified >= %(since)s AND status != 'Completed'
	AND started_at = (SELECT MAX(started_at) FROM `tabCache Rebuild` WHERE season = %(season)s)"""
LAST_SQL = "SELECT {fields} FROM `tab{doctype}` WHERE season = %s ORDER BY started_at DESC LIMIT 1"
LAST_RATE_SQL = """
	SELECT discrepancy_rate FROM `tabCache Reconciliation` ORDER BY started_at DESC LIMIT 1"""
CLEAR_SQL = f"""
	DELETE FROM `tabCache Reconciliation` WHERE started_at < NOW() - INTERVAL {KEPT_DAYS} DAY LIMIT 1000"""


def find_resumable_rebuild(season: str, since: datetime) -> str | None:
	"""Returns the season's last Cache Rebuild, if it did not complete and went on after a naive site time."""
	rows = frappe.db.sql(RESUMABLE_SQL, {"season": season, "since": since})
	return rows[0][0] if rows else None


def get_last(doctype: str, fields: str, season: str) -> frappe._dict | None:
	"""Returns fields of the season's last run; None if there was none. Both texts are the program's own."""
	rows = frappe.db.sql(LAST_SQL.format(fields=fields, doctype=doctype), (season,), as_dict=True)
	return rows[0] if rows else None


def get_last_discrepancy_rate() -> float | None:
	"""Returns which share of the records was wrong at the last reconciliation; None if there was none."""
	rows = frappe.db.sql(LAST_RATE_SQL)
	return rows[0][0] if rows else None


def clear_old_reconciliations() -> None:
	"""Deletes some of the reconciliations older than KEPT_DAYS; the caller commits."""
	frappe.db.sql(CLEAR_SQL)
