"""What the scheduler knows of Memora's jobs: Frappe's Scheduled Job Types."""

from datetime import datetime

import frappe
from frappe.utils import get_datetime, now_datetime

DOCTYPE = "Scheduled Job Type"
OURS = {"method": ("like", "memora.%")}


def get_due() -> dict[str, datetime]:
	"""Returns {method: when it is due next, in the site's time} of Memora's jobs. One that never ran counts from when it was made."""
	due = {}
	for name in frappe.get_all(DOCTYPE, {**OURS, "stopped": 0}, pluck="name"):
		job = frappe.get_doc(DOCTYPE, name)
		job.last_execution = job.last_execution or job.creation
		due[job.method] = job.get_next_execution()
	return due


def get_last_runs() -> dict[str, datetime | None]:
	"""Returns {method: when it last began, in the site's time} of Memora's jobs, stopped ones included."""
	rows = frappe.get_all(DOCTYPE, OURS, ["method", "last_execution"], order_by="method")
	return {row.method: row.last_execution for row in rows}


def get_stopped() -> list[str]:
	return frappe.get_all(DOCTYPE, {**OURS, "stopped": 1}, pluck="method", order_by="method")


def get_ahead(now: datetime) -> dict[str, datetime]:
	"""Returns {name: since when it counts} of all apps' jobs that count from a time to come, and so don't begin before it."""
	rows = frappe.get_all(DOCTYPE, fields=["name", "creation", "last_execution"])
	since = {row.name: get_datetime(row.last_execution or row.creation) for row in rows}
	return {name: time for name, time in since.items() if time > now}


def begin_now(*_of_event: object) -> None:
	"""Has jobs that were made, or have run, by the clock of a time zone further east count from now.

	A site is installed in Frappe's own time zone, and gets that of the schools later.
	"""
	now = now_datetime()
	for name in get_ahead(now):
		frappe.db.set_value(DOCTYPE, name, {"creation": now, "last_execution": None}, update_modified=False)
