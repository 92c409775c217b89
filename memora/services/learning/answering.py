"""Decides which season takes a learner's answers: the active one, or the one they were given in, for a time of grace.

A device that was offline sends what it has kept. So answers may come after the next season has begun.
"""

from datetime import datetime, timedelta

import frappe
from frappe import _
from frappe.utils import formatdate

from memora.exceptions import SeasonOver, SeasonStateError, quoting
from memora.services import site_time
from memora.services.settings import get_settings
from memora.services.store import seasons, tables
from memora.services.store.seasons import Openness, Season

ANSWERED = ("Player Review Log", "Player Memory Tracker")  # a season with a row in one of them was open


def season_of(name: str | None, active: Season | None) -> Season:
	"""Returns the season that takes answers given in the season `name`; without a name, the active season.

	A season that was closed takes them for `grace_days` (Memora Settings), until it is archived. Raises NoActiveSeason
	without a name and an active season, UnknownSeason, SeasonOver, or SeasonStateError for a season that was never open.
	"""
	if not name:
		return active or seasons.require_active_season()
	if active and active.name == name:
		return active
	found = seasons.get_openness(name)
	if not found.is_active:
		_require_grace(found)
	return found.season


def season_stored(name: str, active: Season | None) -> Season:
	"""Returns the season in which a submission is stored, whatever has become of it since."""
	return active if active and active.name == name else seasons.get_season(name)


def _require_grace(found: Openness) -> None:
	"""Raises SeasonOver if a closed season takes no answers any more, SeasonStateError if it has never taken any."""
	name, days = found.season.name, get_settings().grace_days
	if found.archive_started_at:
		text = _(
			"Season {0} has been archived since {1}, so these answers are not counted. They are not learnt in another season either."
		)
		frappe.throw(quoting(text, name, formatdate(found.archive_started_at)), SeasonOver)
	closed_at = found.closed_at or _note_closed(name)
	if closed_at <= site_time.naive_now() - timedelta(days=days):
		text = _(
			"Season {0} was closed on {1}, and took answers for {2} days after that. These came later, so they are not counted. They are not learnt in another season either."
		)
		frappe.throw(quoting(text, name, formatdate(closed_at), days), SeasonOver)


def _note_closed(name: str) -> datetime:
	"""Returns now: nobody has noted when the season was closed. Raises SeasonStateError if it was never open."""
	if not any(tables.season_has_rows(doctype, name) for doctype in ANSWERED):
		frappe.throw(quoting(_("Season {0} is not open for learning."), name), SeasonStateError)
	now = site_time.naive_now()
	seasons.note_closed(name, now)
	return now
