"""Report: how much learners answered on each day, from Daily Activity."""

from typing import Any

from frappe import _

from memora.memora.report import layout
from memora.services.figures import activity
from memora.services.store.figure_tables import Day

DAYS = 30


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	period = layout.get_period(filters, DAYS)
	days = activity.by_day(period.season, period.first, period.last) if period.season else []
	answers = {day.day: day.counts.answers for day in days}
	values = [answers.get(day, 0) for day in period.days]
	labels = [layout.day_label(day) for day in period.days]
	rows = [_row(day) for day in reversed(days)]
	return _columns(), rows, None, layout.chart("bar", labels, {_("Answers"): values}, layout.BLUE)


def _columns() -> list[dict[str, Any]]:
	return [
		layout.column("day", _("Learning Day"), "Date"),
		layout.column("learners", _("Learners")),
		layout.column("answers", _("Answers")),
		layout.column("reviews", _("Reviews", context="Memora")),
		layout.column("recalled", _("Recalled")),
		layout.column("retention", _("True Retention"), "Percent", 150, precision=1),
		layout.column("graded_reviews", _("Graded by the Server"), width=160),
		layout.column("graded_retention", _("Retention of These"), "Percent", 160, precision=1),
	]


def _row(day: Day) -> dict[str, Any]:
	return {"day": day.day, "learners": day.learners, **layout.figures_of(day.counts)}
