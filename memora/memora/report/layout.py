"""Shared by the reports: filters, columns, charts."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import wraps
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.utils import cint, formatdate, getdate, strip_html

from memora.exceptions import InvalidFilter, MemoraError, quoting
from memora.services import site_time
from memora.services.store import learners, seasons
from memora.services.store.figure_tables import Counts

MAX_DAYS = 366  # the longest period
BLUE, GREEN, ORANGE, RED = "#449CF0", "#48BB74", "#ED8936", "#E24C4C"  # as in the workspace's charts


Report = tuple[Any, ...]  # columns, rows, message, chart, and figures above the chart, as Frappe wants them
Execute = Callable[[dict[str, Any] | None], Report]


def refusing(execute: Execute) -> Execute:
	"""Wraps a report's `execute`: an error in the filters is shown beside an empty report.

	Frappe takes a report that raises for a slow report, and makes it a background report for everybody.
	"""

	@wraps(execute)
	def run(filters: dict[str, Any] | None = None) -> Report:
		try:
			return execute(filters)
		except MemoraError as error:
			return [], [], strip_html(str(error))

	return run


class Period(NamedTuple):
	"""A season, and the first and last of some learning days. The season is None if there is no season at all."""

	season: str | None
	first: date
	last: date

	@property
	def days(self) -> list[date]:
		return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def get_season(filters: dict[str, Any] | None) -> str | None:
	"""Returns the filter `season`, by default the active or latest season. Raises UnknownSeason."""
	named = (filters or {}).get("season")
	return seasons.get_season(named).name if named else seasons.get_latest_season()


def get_period(filters: dict[str, Any] | None, days: int) -> Period:
	"""Returns the filters `season`, `from_date` and `to_date`. The default is `days` days up to today.

	Raises InvalidFilter, UnknownSeason.
	"""
	filters = filters or {}
	last = _date("to_date", filters) or site_time.learning_day()
	first = _date("from_date", filters) or last - timedelta(days=days - 1)
	if not 0 <= (last - first).days < MAX_DAYS:
		frappe.throw(
			quoting(_("The period must have 1 to {0} days. It is from {1} to {2}."), MAX_DAYS, first, last),
			InvalidFilter,
		)
	return Period(get_season(filters), first, last)


def learner_columns() -> list[dict[str, Any]]:
	"""Returns the columns of a learner: her name, and a link to her."""
	return [
		column("learner_name", _("Name"), "Data", 180),
		column("player", _("Learner"), "Link", 160, options="Memora Learner"),
	]


def with_names(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
	"""Returns rows with the names of their learners; one query."""
	names = learners.get_names({row["player"] for row in rows})
	return [{**row, "learner_name": names.get(row["player"])} for row in rows]


def _date(field: str, filters: dict[str, Any]) -> date | None:
	try:
		return getdate(filters[field]) if filters.get(field) else None
	except (ValueError, TypeError, frappe.ValidationError):
		frappe.throw(quoting(_("{0} must be a date, not {1}."), field, filters[field]), InvalidFilter)


def get_number(field: str, filters: dict[str, Any] | None, default: int) -> int:
	"""Returns a filter that is a whole number from 1. Raises InvalidFilter."""
	value = (filters or {}).get(field)
	if value in (None, ""):
		return default
	if cint(value) < 1:
		frappe.throw(quoting(_("{0} must be a whole number from 1, not {1}."), field, value), InvalidFilter)
	return cint(value)


def column(
	fieldname: str, label: str, fieldtype: str = "Int", width: int = 120, **more: Any
) -> dict[str, Any]:
	"""Returns a column. `label` is translated already. A Link names its DocType under `options`."""
	return {"fieldname": fieldname, "label": label, "fieldtype": fieldtype, "width": width, **more}


def figures_of(counts: Counts) -> dict[str, Any]:
	"""Returns the counts of answers by name, with the retention of all reviews and of those that the server graded."""
	percents = {"retention": counts.retention_percent, "graded_retention": counts.graded_retention_percent}
	return {**counts._asdict(), **percents}


def chart(
	kind: str, labels: list[str], datasets: dict[str, list[Any]], *colors: str, **more: Any
) -> dict[str, Any]:
	"""Returns a chart of values by name. If all values are 0 the chart has no data, and the desk says so."""
	if not any(value for values in datasets.values() for value in values):
		return {"type": kind, "data": {}}
	data = [{"name": name, "values": values} for name, values in datasets.items()]
	return {"type": kind, "data": {"labels": labels, "datasets": data}, "colors": colors, **more}


def day_label(day: date) -> str:
	"""Returns the day and month that label a day, or the Monday of a week."""
	return formatdate(day, "d MMM")
