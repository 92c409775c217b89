"""Report: the questions that learners forget again and again. Goes through the whole season, in the background."""

from typing import Any

from frappe import _

from memora.memora.report import layout
from memora.services.figures import survey


@layout.refusing
def execute(filters: dict[str, Any] | None = None) -> layout.Report:
	season = layout.get_season(filters)
	lapses = layout.get_number("lapses", filters, survey.LEECH_LAPSES)
	found = survey.find_leeches(season, lapses, (filters or {}).get("subject") or None) if season else None
	if not found or not found.rows:
		return _columns(), [], None, layout.chart("bar", [], {})
	by_subject = sorted(found.by_subject.items(), key=lambda item: -item[1])
	labels = [subject or _("No subject") for subject, _number in by_subject]
	chart = layout.chart(
		"bar", labels, {_("Leeches"): [number for _subject, number in by_subject]}, layout.RED
	)
	return _columns(), layout.with_names([row._asdict() for row in found.rows]), _message(found), chart


def _message(found: survey.Leeches) -> str | None:
	total = sum(found.by_subject.values())
	if total == len(found.rows):
		return None
	return _("The list shows the worst {0} of {1}.").format(len(found.rows), total)


def _columns() -> list[dict[str, Any]]:
	return [
		*layout.learner_columns(),
		layout.column("question_id", _("Question ID"), "Data", 180),
		layout.column("subject", _("Subject", context="Memora"), "Data"),
		layout.column("topic", _("Topic", context="Memora"), "Data", 160),
		layout.column("lapses", _("Lapses"), width=90),
		layout.column("reps", _("Repetitions"), width=100),
		layout.column("stability", _("Stability (Days)"), "Float", 140, precision=1),
		layout.column("difficulty", _("Difficulty"), "Float", precision=1),
		layout.column("next_review_date", _("Next Review Date"), "Datetime", 190),
	]
