"""All figures of one season: counts them, and deletes them in bounded transactions."""

import frappe

from memora.services.store import database

DAYS = 50  # deleted together, with their subjects
ROWS = 5000  # deleted together

COUNT_SQL = """
	SELECT 'Daily Activity', COUNT(*) FROM `tabDaily Activity` WHERE season = %(season)s
	UNION ALL SELECT 'Activity Count', COUNT(*) FROM `tabActivity Count` WHERE season = %(season)s
	UNION ALL SELECT 'Daily Learner', COUNT(*) FROM `tabDaily Learner` WHERE season = %(season)s
	UNION ALL SELECT 'Due Forecast', COUNT(*) FROM `tabDue Forecast` WHERE name = %(season)s"""
DAYS_SQL = f"SELECT name FROM `tabDaily Activity` WHERE season = %(season)s ORDER BY name LIMIT {DAYS}"
DELETE_SUBJECTS_SQL = "DELETE FROM `tabDaily Activity Subject` WHERE parent IN %(names)s"
DELETE_DAYS_SQL = "DELETE FROM `tabDaily Activity` WHERE name IN %(names)s"
DELETE_SOME_SQL = (
	f"DELETE FROM `tabActivity Count` WHERE season = %(season)s LIMIT {ROWS}",
	f"DELETE FROM `tabDaily Learner` WHERE season = %(season)s LIMIT {ROWS}",
	"DELETE FROM `tabDue Forecast Day` WHERE parent = %(season)s",
	"DELETE FROM `tabDue Forecast` WHERE name = %(season)s",
)


def count_rows(season: str) -> dict[str, int]:
	"""Returns {doctype: rows} of the season's figures. Subjects count with their day."""
	return dict(database.query(COUNT_SQL, {"season": season}))


def delete(season: str) -> None:
	"""Deletes the season's figures. Commits. A run that died halfway is finished by the next."""
	while names := [name for (name,) in frappe.db.sql(DAYS_SQL, {"season": season})]:
		with database.transaction():
			frappe.db.sql(DELETE_SUBJECTS_SQL, {"names": names})
			frappe.db.sql(DELETE_DAYS_SQL, {"names": names})
	for statement in DELETE_SOME_SQL:
		while _delete_some(statement, season) == ROWS:
			pass


def _delete_some(statement: str, season: str) -> int:
	with database.transaction():
		frappe.db.sql(statement, {"season": season})
		return frappe.db._cursor.rowcount
