"""Report: true retention by subject and by week, which is how many reviews of a hundred were recalled."""

from typing import Any

from frappe import _

from memora.memora.report import layout
from memora.services.figures import activity

DAYS = 12 * 7


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	period = layout.get_period(filters, DAYS)
	subjects = activity.by_subject(period.season, period.first, period.last) if period.season else {}
	rows = [
		{"subject": subject or _("No subject"), **layout.figures_of(counts)}
		for subject, counts in subjects.items()
	]
	return _columns(), rows, None, _chart(period)


def _columns() -> list[dict[str, Any]]:
	return [
		layout.column("subject", _("Subject", context="Memora"), "Data", 220),
		layout.column("answers", _("Answers")),
		layout.column("reviews", _("Reviews", context="Memora")),
		layout.column("recalled", _("Recalled")),
		layout.column("retention", _("True Retention"), "Percent", 150, precision=1),
		layout.column("graded_reviews", _("Graded by the Server"), width=160),
		layout.column("graded_retention", _("Retention of These"), "Percent", 160, precision=1),
	]


def _chart(period: layout.Period) -> dict[str, Any]:
	by_week = activity.by_week(period.season, period.first, period.last) if period.season else {}
	weeks = {monday: counts for monday, counts in by_week.items() if counts.reviews}
	labels = [layout.day_label(monday) for monday in weeks]
	values = [counts.retention_percent for counts in weeks.values()]
	return layout.chart("line", labels, {_("True Retention"): values}, layout.GREEN, fieldtype="Percent")
