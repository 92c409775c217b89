"""What follows when a manager changes the calendar: a season's end, or the hour at which a learning day starts.

Before: how many dates that concerns. Then: a note in the transaction of the change, and a job after its commit.

Another time zone moves no date: tables hold readings of the site's clocks, which stay. But the moments that they stand for
change, so the generation of schedules in Redis names the zone (gateway.database).
"""

from datetime import date, datetime, time, timedelta
from functools import partial

import frappe
from frappe import _
from markupsafe import Markup
from typing_extensions import TypedDict

from memora.exceptions import quoting
from memora.services.operations import moving_dates
from memora.services.settings import get_settings
from memora.services.store import database, date_moves, seasons, tables

EXACT_ROWS = 100_000  # counted in tenths of a second, for which answers wait for the save
SAMPLE_ROWS = 50_000  # that stand for a larger season


class DatesPreview(TypedDict):
	"""How many dates a change concerns, and the sentences for whoever is about to make it; "" if it concerns none."""

	records: int
	is_estimate: bool
	message: str


def preview_end(season: str, new_end: date) -> DatesPreview:
	"""Says how many dates another end of a season would move. Counts a share of a large season. Raises UnknownSeason."""
	document = seasons.get_document(season)
	if document.archive_started_at:
		return {"records": 0, "is_estimate": False, "message": ""}
	return _preview_end(document.name, document.end_date, new_end)


def _preview_end(season: str, old_end: date, new_end: date) -> DatesPreview:
	if new_end == old_end:
		return {"records": 0, "is_estimate": False, "message": ""}
	if new_end < old_end:
		text = _("Dates that lie beyond the new end ({1}): {0}. A job moves them to that day.")
		return _preview(season, new_end + timedelta(days=1), text, new_end)
	text = _(
		"Dates on the old last day ({1}): {0}. A job spreads those that the old end had cut short: they get the rest of their intervals back, as far as the new end lets them."
	)
	return _preview(season, old_end, text, old_end)


def _preview(season: str, first: date, text: str, named: date) -> DatesPreview:
	hour = get_settings().day_start_hour
	start = datetime.combine(first, time(hour))
	records, is_estimate = date_moves.count_from(season, start, EXACT_ROWS, SAMPLE_ROWS)
	message = quoting(text, _shown(records, is_estimate), frappe.format(named, "Date")) if records else ""
	return {"records": records, "is_estimate": is_estimate, "message": message}


def preview_hour(new_hour: int) -> DatesPreview:
	"""Says how many dates another hour for the start of a learning day would move; by InnoDB's estimate."""
	old = get_settings().day_start_hour
	records = sum(tables.estimate_rows(date_moves.TRACKER, season) for season in seasons.get_unarchived())
	if new_hour == old or not records:
		return {"records": 0, "is_estimate": True, "message": ""}
	text = _(
		"Dates that move from {1} to {2} o'clock: {0}, in all seasons that are not archived. A job does it. The learning day that goes on now may get longer or shorter."
	)
	return {
		"records": records,
		"is_estimate": True,
		"message": quoting(text, _shown(records, is_estimate=True), f"{old}:00", f"{new_hour}:00"),
	}


def _shown(records: int, is_estimate: bool) -> str:
	if not is_estimate:
		return f"{records:,}"
	return _("about {0}").format(f"{round(records, 2 - len(str(records))):,}")


# In the transaction of the change


def follow_end(season: str, old_end: date, new_end: date) -> None:
	"""Notes that a season has another end, has a job move its dates after the commit, and says how many there are."""
	message = _preview_end(season, old_end, new_end)["message"]
	date_moves.note_change(season, old_end=old_end)
	database.after_commit(partial(moving_dates.start, season))
	if message:
		frappe.msgprint(quoting("{0}", Markup(message)), indicator="blue", alert=True)


def follow_hour(old_hour: int, new_hour: int) -> None:
	"""Notes that learning days start at another hour, and has jobs move the dates of all seasons after the commit.

	Call it before the settings are written: a submission locks its season before it reads them.
	"""
	message = preview_hour(new_hour)["message"]
	for season in seasons.get_unarchived():
		date_moves.note_change(season, old_hour=old_hour)
		database.after_commit(partial(moving_dates.start, season))
	if message:
		frappe.msgprint(quoting("{0}", Markup(message)), indicator="blue", alert=True)
