"""Shows one record as its form in the desk draws it: the forgetting curve, and the answers that led to the record."""

from datetime import date, timedelta
from typing import Any

import frappe
from frappe import _

from memora.exceptions import InvalidFilter, UnknownMemory, quoting
from memora.services import site_time
from memora.services.learning import scheduling
from memora.services.learning.scheduling import LearningCalendar
from memora.services.learning.season_scheduler import memory_of
from memora.services.settings import get_settings
from memora.services.store import journal, row_names, tracker
from memora.services.store.records import EXTERNAL, JournalEntry, MemoryRecord

DOCTYPES = ("Player Memory Tracker", "Archived Memory Tracker")
MAX_POINTS = 60  # of the curve; more can't be told apart on a screen
MAX_ANSWERS = 100
MARGIN = 0.2  # the curve goes on by this share after the last day that is marked
MIN_DAYS = 7


def get_memory_view(doctype: str, name: str) -> dict[str, Any]:
	"""Returns {curve, history, has_more} of a record in the tracker or the archive, by two queries.

	curve      {days (ISO dates), recall (0 to 1 on each day), today, due, desired_retention}. The days are learning days
	           from the last review on; `today` is null if the curve ends long before today
	history    the last MAX_ANSWERS answers, the oldest first: {name, reviewed_at, kind, rating, quality
	           (both null for kind External), predicted_recall (null at first sight, unless she knew it from a season before), stability_after}

	Raises InvalidFilter for another doctype, UnknownMemory if there is no row of this name.
	"""
	if doctype not in DOCTYPES:
		frappe.throw(
			quoting(_("doctype must be {0} or {1}, not {2}."), *DOCTYPES, doctype),
			InvalidFilter,
		)
	found = tracker.get_memory(doctype, name)
	if not found:
		frappe.throw(quoting(_("There is no {0} {1}."), _(doctype), name), UnknownMemory)
	learner, season, record = found
	answers = journal.get_history(learner, season, record.question_id, MAX_ANSWERS + 1)
	return {
		"curve": _curve(record),
		"history": [_answer(*answer) for answer in reversed(answers[:MAX_ANSWERS])],
		"has_more": len(answers) > MAX_ANSWERS,
	}


def find_memory(learner: str, season: str, question_id: str) -> dict[str, str] | None:
	"""Returns {doctype, name} of a learner's record of a question, from the tracker or the archive; None without one."""
	name = row_names.tracker_name(learner, season, question_id)
	for doctype in DOCTYPES:
		if tracker.get_memory(doctype, name):
			return {"doctype": doctype, "name": name}
	return None


def _curve(record: MemoryRecord) -> dict[str, Any]:
	settings, zone = get_settings(), site_time.site_zone()
	calendar = LearningCalendar(zone, settings.day_start_hour)
	memory = memory_of(record, zone)
	first, due = calendar.day_of(memory.last_review), calendar.day_of(memory.due)
	today = calendar.day_of(site_time.now())
	days = curve_days(first, due, today)
	return {
		"days": [day.isoformat() for day in days],
		"recall": scheduling.recall(memory, days, calendar),
		"today": today.isoformat() if today in days else None,
		"due": due.isoformat(),
		"desired_retention": settings.desired_retention,
	}


def curve_days(first: date, due: date, today: date) -> list[date]:
	"""Returns about MAX_POINTS days, and the due day and today, from the last review to some time after both.

	Today is left out if ten intervals have passed since the last review, as in an archive: the curve would be all tail.
	"""
	interval = max((due - first).days, MIN_DAYS)
	marked = {day for day in (due, today) if first <= day <= first + timedelta(days=10 * interval)}
	length = round(max([interval, *((day - first).days for day in marked)]) * (1 + MARGIN))
	step = -(-length // MAX_POINTS)
	return sorted({first + timedelta(days=n) for n in range(0, length + 1, step)} | marked)


def _answer(name: str, entry: JournalEntry) -> dict[str, Any]:
	return {
		"name": name,
		"reviewed_at": str(entry.reviewed_at),
		"kind": entry.kind,
		"rating": entry.rating or None,
		"quality": None if entry.kind == EXTERNAL else entry.quality,
		"predicted_recall": entry.predicted_recall or None,
		"stability_after": entry.stability_after,
	}
