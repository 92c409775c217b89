"""Switches from the active season to another: the one closes and the other opens, in one transaction.

No learner finds the site without a season, and answers to questions of the one that closes count there; see
learning/answering.
"""

from datetime import date, timedelta
from typing import NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from typing_extensions import TypedDict

from memora.exceptions import SeasonStateError, quoting
from memora.services import site_time
from memora.services.settings import get_settings
from memora.services.store import database, outbox, seasons


class SeasonSwitch(TypedDict):
	"""The effect of a switch.

	`closes` is the season that was active, if any; `waiting` counts its submissions that are not folded yet (some ten thousand at most), which a worker
	does; until `late_answers_until` it takes answers that were given before. `carries_on_from` is the season whose memories
	go along into the one that opens.
	"""

	closes: str | None
	opens: str
	waiting: int
	late_answers_until: date | None
	carries_on_from: str | None


class _Pair(NamedTuple):
	closing: Document | None
	opening: Document


def describe_switch(name: str) -> SeasonSwitch:
	"""Returns what a switch to a season would do, and changes nothing. Raises what `switch_season` raises."""
	pair = _pair(name)
	_require_possible(pair)
	return _describe(pair)


def switch_season(name: str) -> SeasonSwitch:
	"""Closes the active season, if there is one, and opens another, which may have been open before. Commits.

	Raises UnknownSeason, or SeasonStateError if the season is active, is being archived or is archived, lacks partitions,
	or is archived automatically. Then nothing is changed.
	"""
	with database.transaction():
		database.new_snapshot()  # or the reads below would show the seasons as they were before the lock
		seasons.lock_all()
		pair = _pair(name)
		_require_possible(pair)
		found = _describe(pair)
		if pair.closing:
			pair.closing.update({"is_active": 0}).save()
		pair.opening.update({"is_active": 1}).save()
	return found


def _pair(name: str) -> _Pair:
	active, opening = seasons.get_active_season(), seasons.get_document(name)
	return _Pair(seasons.get_document(active.name) if active else None, opening)


def _require_possible(pair: _Pair) -> None:
	if pair.opening.is_active:
		frappe.throw(quoting(_("Season {0} is active already."), pair.opening.name), SeasonStateError)
	pair.opening.require_openable()


def _describe(pair: _Pair) -> SeasonSwitch:
	closing, days = pair.closing, get_settings().grace_days
	return {
		"closes": closing.name if closing else None,
		"opens": pair.opening.name,
		"waiting": sum(outbox.count_of_season(closing.name)) if closing else 0,
		"late_answers_until": site_time.naive_now().date() + timedelta(days=days) if closing else None,
		"carries_on_from": pair.opening.carries_on_from or None,
	}
