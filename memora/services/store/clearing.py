"""Deletes what is of no use after some time: notes of runs, admissions, former addresses, imports, and learners who have left.

Bounded statements.

incident_rows.clear_old does the same with incidents, figures/activity with the figures of single learners.
"""

from datetime import datetime

import frappe

from memora.services.store import database, row_names, tables

# How many days a daily job keeps the rows of a DocType: of runs and outages, a school year and some.
KEPT_DAYS = {
	"Safe Mode Incident": 400,
	"Cache Rebuild": 400,
	"Cache Reconciliation": 400,
	"Safe Mode Admission": 1,  # the limits look back an hour at most
	"Memora Former Address": 14,  # a job that has waited for longer goes by who has the address now
	"Anki Import": 90,  # with its file, which may hold a learner's answers
	"Memora Learner": 400,  # who has left, and of whom nothing is left
}
ROWS = 1000  # deleted together

# Which rows may go. A rebuild without an end was cut off.
OLD = {
	"Cache Rebuild": "modified < %(before)s",
	"Cache Reconciliation": "started_at < %(before)s",
	"Safe Mode Admission": "creation < %(before)s",
	"Memora Former Address": "until < %(before)s",
}
DELETE_SQL = "DELETE FROM `tab{doctype}` WHERE {is_old} LIMIT {rows}"

OLD_IMPORTS_SQL = "SELECT name FROM `tabAnki Import` WHERE modified < %(before)s ORDER BY modified"

# A page, in the order of the ids: learners who can't sign in any more, or are nobody's User. An id that others were merged into
# stays for as long as these do.
GONE_SQL = f"""
	SELECT l.name FROM `tabMemora Learner` l LEFT JOIN tabUser u ON u.name = l.user
	WHERE l.name > %(after)s AND l.modified < %(before)s AND l.erasing_since IS NULL AND COALESCE(u.enabled, 0) = 0
	AND l.name NOT IN (SELECT merged_into FROM `tabMemora Learner` WHERE merged_into IS NOT NULL)
	ORDER BY l.name LIMIT {ROWS}"""
# One lookup in each partition
HAS_ROWS_SQL = " UNION ALL ".join(
	f"(SELECT 1 FROM `tab{doctype}` WHERE name BETWEEN %(first)s AND %(last)s LIMIT 1)"
	for doctype in tables.ANY_ROW_SQL
)
DELETE_LEARNER_SQL = "DELETE FROM `tabMemora Learner` WHERE name = %(name)s AND modified < %(before)s"


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


def delete_learners_who_left(before: datetime) -> int:
	"""Deletes the learners of whom no answer and no record is left, and whom nobody has changed since a naive site time.

	Returns how many. Learners whose User can sign in stay: they may be answering. Commits.
	"""
	total, after = 0, ""
	while page := [name for (name,) in frappe.db.sql(GONE_SQL, {"after": after, "before": before})]:
		for name in page:
			total += _delete_if_empty(name, before)
		after = page[-1]
	return total


def _delete_if_empty(name: str, before: datetime) -> bool:
	with database.transaction():
		if frappe.db.sql(HAS_ROWS_SQL, row_names.bounds(name)):
			return False
		frappe.db.sql(DELETE_LEARNER_SQL, {"name": name, "before": before})
		return bool(frappe.db._cursor.rowcount)
