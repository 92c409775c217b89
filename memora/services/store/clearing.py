"""Deletes what is of no use after some time: notes of runs, admissions and imports. Bounded statements.

incident_rows.clear_old does the same with incidents, figures/activity with the figures of single learners.
"""

from datetime import datetime

import frappe

from memora.services.store import database

# How many days a daily job keeps the rows of a DocType: of runs and outages, a school year and some.
KEPT_DAYS = {
	"Safe Mode Incident": 400,
	"Cache Rebuild": 400,
	"Cache Reconciliation": 400,
	"Safe Mode Admission": 1,  # the limits look back an hour at most
	"Anki Import": 90,  # with its file, which may hold a learner's answers
}
ROWS = 1000  # deleted together

# Which rows may go. A rebuild without an end was cut off.
OLD = {
	"Cache Rebuild": "modified < %(before)s",
	"Cache Reconciliation": "started_at < %(before)s",
	"Safe Mode Admission": "creation < %(before)s",
}
DELETE_SQL = "DELETE FROM `tab{doctype}` WHERE {is_old} LIMIT {rows}"

OLD_IMPORTS_SQL = "SELECT name FROM `tabAnki Import` WHERE modified < %(before)s ORDER BY modified"


def delete_old(doctype: str, before: datetime) -> int:
	"""Deletes the rows of one of the DocTypes of OLD from before a naive site time. Returns how many. Commits."""
	statement = DELETE_SQL.format(doctype=doctype, is_old=OLD[doctype], rows=ROWS)
	total, deleted = 0, ROWS
	while deleted == ROWS:
		with database.transaction():
			frappe.db.sql(statement, {"before": before})
			deleted = frappe.db._cursor.rowcount
		total += deleted
	return total


def get_old_imports(before: datetime) -> list[str]:
	"""Returns the names of the Anki Imports that nobody has changed since a naive site time, the oldest first."""
	return [name for (name,) in frappe.db.sql(OLD_IMPORTS_SQL, {"before": before})]
