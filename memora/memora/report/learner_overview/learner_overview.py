"""Report: how much each learner of a season knows. Goes through the whole season, in the background."""

from typing import Any

from frappe import _

from memora.memora.report import layout
from memora.services.figures import survey


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	season = layout.get_season(filters)
	found = survey.survey_learners(season) if season else None
	if not found or not found.rows:
		return _columns(), [], None, layout.chart("bar", [], {})
	labels = [_("Nothing"), *(_("Up to {0}").format(limit) for limit in survey.DUE_LIMITS[1:]), _("More")]
	chart = layout.chart("bar", labels, {_("Learners by Questions Due"): found.by_due}, layout.BLUE)
	return (
		_columns(),
		layout.with_names([row._asdict() for row in found.rows]),
		_message(found),
		chart,
		_summary(found),
	)


def _message(found: survey.Learners) -> str | None:
	if found.learners == len(found.rows):
		return None
	return _("The list shows {0} of {1} learners: those with the most questions due.").format(
		len(found.rows), found.learners
	)


def _columns() -> list[dict[str, Any]]:
	return [
		*layout.learner_columns(),
		layout.column("questions", _("Questions")),
		layout.column("due", _("Due Now")),
		layout.column("lapses", _("Lapses")),
		layout.column("stability", _("Mean Stability (Days)"), "Float", 170, precision=1),
		layout.column("first_answer", _("First Answer"), "Datetime", 190),
		layout.column("last_answer", _("Last Answer"), "Datetime", 190),
	]


def _summary(found: survey.Learners) -> list[dict[str, Any]]:
	figures = {_("Learners"): found.learners, _("Questions"): found.questions, _("Due Now"): found.due}
	return [{"label": label, "value": value, "datatype": "Int"} for label, value in figures.items()]
