"""Report: how many questions fall due in a season on each of the next days, from the last forecast."""

from itertools import accumulate
from typing import Any

from frappe import _
from frappe.model.document import Document
from frappe.utils import format_datetime

from memora.memora.report import layout
from memora.services.figures import due_forecast


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	season = layout.get_season(filters)
	forecast = due_forecast.get_forecast(season) if season else None
	if not forecast:
		return _columns(), [], _("There is no forecast yet."), layout.chart("bar", [], {})
	return _columns(), _rows(forecast), _message(forecast), _chart(forecast), _summary(forecast)


def _columns() -> list[dict[str, Any]]:
	return [
		layout.column("day", _("Learning Day"), "Date"),
		layout.column("due", _("Due")),
		layout.column("in_all", _("Total So Far"), width=160),
	]


def _rows(forecast: Document) -> list[dict[str, Any]]:
	in_all = list(accumulate((row.records for row in forecast.days), initial=forecast.overdue))[1:]
	return [
		{"day": row.day, "due": row.records, "in_all": total}
		for row, total in zip(forecast.days, in_all, strict=True)
	]


def _message(forecast: Document) -> str:
	when = format_datetime(forecast.computed_at)
	if not forecast.is_estimate:
		return _("Counted exactly on {0}.").format(when)
	text = _("Estimated from {0} % of the learners on {1}.")
	return text.format(f"{forecast.sampled_percent:g}", when)


def _chart(forecast: Document) -> dict[str, Any]:
	due = [row.records for row in forecast.days]
	overdue = [forecast.overdue, *[0] * (len(due) - 1)]
	labels = [layout.day_label(row.day) for row in forecast.days]
	datasets = {_("Due"): due, _("Overdue"): overdue}
	return layout.chart("bar", labels, datasets, layout.ORANGE, layout.RED, barOptions={"stacked": 1})


def _summary(forecast: Document) -> list[dict[str, Any]]:
	figures = {
		_("Overdue"): forecast.overdue,
		_("Due Today"): forecast.days[0].records,
		_("Later"): forecast.later,
		_("All Questions"): forecast.records,
	}
	return [{"label": label, "value": value, "datatype": "Int"} for label, value in figures.items()]
