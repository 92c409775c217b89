"""The endpoints of the desk's forms, for System and Memora Managers.

These endpoints are not part of the API: they may change with the forms.
"""

from typing import Any, cast

import frappe
from frappe import _

from memora.api import srs
from memora.api.outages import needs_database
from memora.api.parsing import Filter, Flag, Name, parse_date, parse_filter, parse_hour, parse_name
from memora.api.utils import require_manager
from memora.exceptions import InvalidFilter, NotConfirmed, quoting
from memora.services.figures import memory_view
from memora.services.operations import calendar_changes, season_state
from memora.services.operations.admin_jobs import StartedJob
from memora.services.operations.calendar_changes import DatesPreview
from memora.services.store import question_learners, seasons
from memora.services.store.question_learners import LearnersOfQuestions

MAX_QUESTIONS = 500  # that a list of the desk shows at once


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_season_state(season: Name = None) -> dict[str, Any]:
	"""Returns where a season stands, and what may be done with it; see season_state.get_season_state.

	Errors: InvalidFilter 400, UnknownSeason 404.
	"""
	require_manager()
	return season_state.get_season_state(parse_name("season", season))


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def preview_end_date(season: Name = None, end_date: Name = None) -> DatesPreview:
	"""Says how many dates a season's job would move if it ended on `end_date`, a date in ISO format.

	Errors: InvalidFilter 400, UnknownSeason 404.
	"""
	require_manager()
	return calendar_changes.preview_end(parse_name("season", season), parse_date("end_date", end_date))


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def preview_day_start_hour(hour: Name = None) -> DatesPreview:
	"""Says how many dates would move if a learning day started at another hour, from 0 to 23. Errors: InvalidFilter 400."""
	require_manager()
	return calendar_changes.preview_hour(parse_hour("hour", hour))


@frappe.whitelist(methods=["POST"])
@needs_database()
def archive_season(
	season: Name = None, typed_name: Filter = None, before_its_end: Flag = False
) -> StartedJob:
	"""Starts a job that archives a season. `typed_name` confirms: it must be the season's name.

	A season whose last day is not over needs `before_its_end`, too.

	Errors: InvalidFilter, NotConfirmed 400, UnknownSeason 404, SeasonNotOver, SeasonStateError 409, QueueUnavailable 503.
	"""
	require_manager()
	# a confirmed call starts a job and returns no preview
	name = _confirmed(season, typed_name)
	return cast(StartedJob, srs.archive_season(name, confirm=True, before_its_end=before_its_end))


@frappe.whitelist(methods=["POST"])
@needs_database()
def delete_eligible_records(season: Name = None, typed_name: Filter = None) -> StartedJob:
	"""Starts a job that deletes what is flagged of a season. `typed_name` confirms: it must be the season's name.

	Errors: InvalidFilter, NotConfirmed 400, UnknownSeason 404, QueueUnavailable 503.
	"""
	require_manager()
	return cast(StartedJob, srs.delete_eligible_records(_confirmed(season, typed_name), confirm=True))


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_memory(doctype: Name = None, name: Name = None) -> dict[str, Any]:
	"""Returns the forgetting curve and the answers of a record in tracker or archive; see memory_view.get_memory_view.

	Errors: InvalidFilter 400, UnknownMemory 404.
	"""
	require_manager()
	return memory_view.get_memory_view(parse_name("doctype", doctype), parse_name("name", name))


@frappe.whitelist(methods=["POST"])
@needs_database()
def count_learners_of_questions(questions: Any = None) -> LearnersOfQuestions:
	"""Returns how many learners know at least one of these questions in the active season: {learners, is_estimate}.

	`questions` are 1 to 500 names. Errors: InvalidFilter 400.
	"""
	require_manager()
	names, season = _questions(questions), seasons.get_active_season()
	return (
		question_learners.count_learners(season.name, names)
		if season
		else {"learners": 0, "is_estimate": False}
	)


@frappe.whitelist(methods=["POST"])
@needs_database()
def withdraw_questions(questions: Any = None) -> int:
	"""Withdraws questions, 1 to 500 names: they are neither taught nor asked. Their history stays.

	Returns how many were not withdrawn before. Errors: InvalidFilter 400.
	"""
	require_manager()
	asked = frappe.get_all(
		"Game Question", {"name": ("in", _questions(questions)), "enabled": 1}, pluck="name"
	)
	for name in asked:
		frappe.get_doc("Game Question", name).update({"enabled": 0}).save()
	return len(asked)


def _questions(questions: Any) -> list[str]:
	try:
		names = frappe.parse_json(questions)
	except ValueError:
		names = None
	if not (
		isinstance(names, list)
		and 1 <= len(names) <= MAX_QUESTIONS
		and all(isinstance(n, str) for n in names)
	):
		frappe.throw(_("questions must be a list of 1 to {0} names.").format(MAX_QUESTIONS), InvalidFilter)
	return names


def _confirmed(season: Any, typed_name: Any) -> str:
	"""Returns the stored name of a season. Raises UnknownSeason, or NotConfirmed if another name was typed."""
	name = seasons.get_season(parse_name("season", season)).name
	if parse_filter("typed_name", typed_name) != name:
		frappe.throw(
			quoting(_("To confirm, type the season's name as it is: {0}. Nothing was changed."), name),
			NotConfirmed,
		)
	return name
