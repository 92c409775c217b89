"""The figures on the workspace's number cards, for System and Memora Managers. Not part of the API."""

from typing import Any

import frappe
from frappe import _
from frappe.utils import format_duration, format_time

from memora.api.outages import needs_database
from memora.api.utils import require_manager
from memora.services import site_time
from memora.services.cache import incidents
from memora.services.figures import activity, due_forecast
from memora.services.store import outbox, seasons

ACTIVITY_REPORT, FORECAST_REPORT = ["query-report", "Activity by Day"], ["query-report", "Due Forecast"]


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def learners_today(filters: Any = None) -> dict[str, Any]:
	"""Returns how many learners answered on the present learning day: {value, fieldtype, route} for a number card."""
	require_manager()
	return _number(activity.learners_of_day(site_time.learning_day()), ACTIVITY_REPORT)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def answers_today(filters: Any = None) -> dict[str, Any]:
	"""Returns how many answers of the present learning day are folded: {value, fieldtype, route} for a number card."""
	require_manager()
	return _number(activity.answers_of_day(site_time.learning_day()), ACTIVITY_REPORT)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def due_today(filters: Any = None) -> dict[str, Any]:
	"""Returns how many questions are due today by the active season's forecast: {value, fieldtype, route}."""
	require_manager()
	season = seasons.get_active_season()
	due = due_forecast.due_until(season.name, site_time.learning_day()) if season else 0
	return _number(due, FORECAST_REPORT)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def oldest_unfolded_answer(filters: Any = None) -> str:
	"""Says in a text how long the oldest answer has been waiting to be folded."""
	require_manager()
	oldest = outbox.get_backlog().oldest
	if not oldest:
		return _("None")
	seconds = (site_time.naive_now() - oldest).total_seconds()
	return format_duration(max(round(seconds), 1))


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def safe_mode(filters: Any = None) -> str:
	"""Says in a text since when Safe Mode has been on, or that it is off."""
	require_manager()
	incident = incidents.get_open()
	if not incident:
		return _("Off", context="Safe Mode")
	return _("Since {0}").format(format_time(incident["started_at"], "HH:mm"))


def _number(value: int, route: list[str]) -> dict[str, Any]:
	return {"value": value, "fieldtype": "Int", "route": route}
