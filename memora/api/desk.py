"""What the desk's own forms ask for, and may change with them: no part of the API. For System and Memora Managers."""

from typing import Any, cast

import frappe
from frappe import _

from memora.api import srs
from memora.api.parsing import parse_filter, parse_name
from memora.api.utils import require_manager
from memora.exceptions import NotConfirmed
from memora.services.figures import memory_view
from memora.services.operations import season_state
from memora.services.operations.admin_jobs import StartedJob
from memora.services.store import seasons


@frappe.whitelist(methods=["GET", "POST"])
def get_season_state(season: str | None = None) -> dict[str, Any]:
	"""Where a season stands, and what may be done with it; see season_state.get. Errors: UnknownSeason 404."""
	require_manager()
	return season_state.get_season_state(parse_name("season", season))


@frappe.whitelist(methods=["POST"])
def archive_season(season: str | None = None, typed_name: str | None = None) -> StartedJob:
	"""As srs.archive_season, confirmed by the season's name, typed again. Errors: also NotConfirmed 400."""
	require_manager()
	# confirmed, it is no preview
	return cast(StartedJob, srs.archive_season(_confirmed(season, typed_name), confirm=True))


@frappe.whitelist(methods=["POST"])
def delete_eligible_records(season: str | None = None, typed_name: str | None = None) -> StartedJob:
	"""As srs.delete_eligible_records of one season, confirmed by its name. Errors: also NotConfirmed 400."""
	require_manager()
	return cast(StartedJob, srs.delete_eligible_records(_confirmed(season, typed_name), confirm=True))


@frappe.whitelist(methods=["GET", "POST"])
def get_memory(doctype: str | None = None, name: str | None = None) -> dict[str, Any]:
	"""Forgetting curve and answers of a Player Memory Tracker or Archived Memory Tracker; see memory_view.get.

	Errors: InvalidFilter 400, UnknownMemory 404.
	"""
	require_manager()
	return memory_view.get_memory_view(parse_name("doctype", doctype), parse_name("name", name))


def _confirmed(season: Any, typed_name: Any) -> str:
	"""The stored name of a season, if it is what was typed; raises NotConfirmed."""
	name = seasons.get_season(parse_name("season", season)).name
	if parse_filter("typed_name", typed_name) != name:
		frappe.throw(
			_("To confirm, type the season's name as it is: {0}. Nothing was changed.").format(
				frappe.bold(frappe.utils.escape_html(name))
			),
			NotConfirmed,
		)
	return name
