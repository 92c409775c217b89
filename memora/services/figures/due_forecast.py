"""Forecasts how many questions fall due in a season on each of the next learning days.

A forecast is computed from the tracker once a learning day and kept in `Due Forecast`. In a season of up to EXACT_ROWS
records the forecast is exact: a scan of one index, which takes seconds. In a larger season a share of the learners
stands for all. Row names begin with a hash of the learner, so an interval of names is a random share of the learners,
and its size is known. No estimate of the table's size goes into the result. The result is off by about
100 / sqrt(learners in the share) percent.
"""

import random
from datetime import date, timedelta

import frappe
from frappe import _
from frappe.model.document import Document

from memora.services import site_time
from memora.services.settings import get_settings
from memora.services.store import database, figure_tables, question_status, row_names, scans, seasons, tables

DOCTYPE, TRACKER = "Due Forecast", "Player Memory Tracker"
DAYS = 30  # after the present learning day
EXACT_ROWS = 3_000_000  # an index scan of some seconds; meanwhile no partition can be made
SAMPLE_ROWS = 1_000_000  # that stand for a larger season


def compute_daily_forecast() -> None:
	"""Makes the active season's forecast, if it is outdated. Commits."""
	if is_outdated():
		compute_forecast()


def is_outdated() -> bool:
	"""Says whether the active season lacks a forecast for the present learning day and the questions that are asked now.

	The scheduler looks hourly: the learning day may start at any hour, and questions may be withdrawn at any hour.
	"""
	season = seasons.get_active_season()
	if not season:
		return False
	known = frappe.db.get_value(DOCTYPE, season.name, ["first_day", "content_version"])
	return known != (site_time.learning_day(), question_status.get_version())


def compute_forecast(season: str | None = None) -> dict[str, object]:
	"""Makes the forecast of a season, by default of the active one. The new forecast replaces the old.

	Returns {season, first_day, overdue, due_today, records, is_estimate, sampled_percent}; {error} if no season is named
	and none is active. Raises UnknownSeason. Commits.
	"""
	found = seasons.get_season(season) if season else seasons.get_active_season()
	if not found:
		return {"error": _("No season is active.")}
	document = _count(found.name)
	with database.transaction():
		_store(document)
	names = ("season", "first_day", "overdue", "records", "is_estimate", "sampled_percent")
	return {**{name: document.get(name) for name in names}, "due_today": document.days[0].records}


def _count(season: str) -> Document:
	today = site_time.learning_day()
	rows = tables.estimate_rows(TRACKER, season)
	how_many = 1 if rows <= EXACT_ROWS else -(-rows // SAMPLE_ROWS)
	share = random.choice(row_names.shares(how_many)) if how_many > 1 else None
	database.new_snapshot()
	version = question_status.get_version()
	found = scans.get_due_by_day(season, today, DAYS + 1, get_settings().day_start_hour, share)
	database.new_snapshot()  # ends the read, so that DDL does not wait for it
	due = {day: records * how_many for day, records in found.items()}
	return frappe.get_doc(
		{
			"doctype": DOCTYPE,
			"season": season,
			"computed_at": site_time.naive_now(),
			"first_day": today,
			"content_version": version,
			"records": sum(due.values()),
			"overdue": due.get(-1, 0),
			"later": due.get(DAYS + 1, 0),
			"is_estimate": int(how_many > 1),
			"sampled_percent": round(100 / how_many, 3),
			"days": [
				{"day": today + timedelta(days=day), "records": due.get(day, 0)} for day in range(DAYS + 1)
			],
		}
	)


def _store(document: Document) -> None:
	forget_forecast(document.season)
	document.insert(ignore_permissions=True)


def forget_forecast(season: str) -> None:
	"""Deletes the forecast of a season; the caller commits."""
	frappe.db.delete("Due Forecast Day", {"parent": season})
	frappe.db.delete(DOCTYPE, {"name": season})


def get_forecast(season: str) -> Document | None:
	"""Returns a season's forecast, or None if there is none yet."""
	return frappe.get_doc(DOCTYPE, season) if frappe.db.exists(DOCTYPE, season) else None


def due_until(season: str, day: date) -> int:
	"""Returns how many questions are due by the end of a learning day, by the season's forecast; 0 without a forecast."""
	overdue = frappe.db.get_value(DOCTYPE, season, "overdue") or 0
	return overdue + figure_tables.get_due_until(season, day)
