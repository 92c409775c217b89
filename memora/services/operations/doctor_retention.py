"""The doctor's check of what is kept for longer than Memora Settings say. Yields (problem, how to mend it)."""

import shlex
from collections.abc import Iterator
from datetime import timedelta

import frappe
from frappe import _

from memora.services import site_time
from memora.services.settings import get_settings
from memora.services.store import seasons, tables


def retention() -> Iterator[tuple[str, str]]:
	bench = f"bench --site {frappe.local.site} memora"
	last = site_time.naive_now().date() - timedelta(days=get_settings().retention_days)
	for name, end_date in seasons.get_seasons_not_archived(last):
		if _has_rows(name):
			yield (
				_("Season {0} ended on {1} and is not archived. So nothing of it is ever deleted.").format(
					name, end_date
				),
				_("Make sure that the season is not active, then run: {0}").format(
					f"{bench} archive {shlex.quote(name)}"
				),
			)
	for name in filter(_has_rows, seasons.get_flagged_seasons()):
		yield (
			_("Season {0} is past the retention period and has not been deleted.").format(name),
			_("Use the action Retention of the season's form, or run: {0}").format(
				f"{bench} retention --season {shlex.quote(name)}"
			),
		)


def _has_rows(season: str) -> bool:
	return any(tables.season_has_rows(doctype, season) for doctype in tables.ANY_ROW_SQL)
