"""Who learns: finds a learner by her User or id, and makes her at the first contact."""

from datetime import datetime
from typing import NamedTuple, NoReturn

import frappe
from frappe import _

from memora.exceptions import UnknownLearner, quoting
from memora.services import site_time
from memora.services.store import former_addresses, learners, row_names
from memora.services.store.seasons import Season


class Sitting(NamedTuple):
	"""Who learns, and in which season; None if no season is active. `outdated` is that of store.learners.Arrival."""

	learner: str
	season: Season | None
	outdated: str = ""


def sit_down(user: str) -> Sitting:
	"""Returns the id of a signed-in user, who becomes a learner now if she is none, and the active season.

	One query for a learner who exists. Raises LearnerIsErased.
	"""
	found = learners.read_with_season(user)
	if found.is_erasing:
		learners.refuse_erased()
	return Sitting(found.id or identify(user), found.season, found.outdated)


def identify(user_or_id: str, named_at: datetime | None = None) -> str:
	"""Returns a learner's id. A User who is no learner yet becomes one now, which commits.

	Takes a User's name or a learner's id; an id whose answers have been given to another learner means the other. An address
	that has changed hands means the learner who had it at `named_at` (naive site time), as far as that is remembered.
	Raises UnknownLearner, LearnerIsErased.
	"""
	found = _find_as_of(user_or_id, named_at) if named_at else _find(user_or_id)
	if found:
		require_whole(found)
		return found.id
	learner = learners.create(user_or_id, site_time.naive_now()) if _is_name(user_or_id) else None
	if named_at and not learner and _is_name(user_or_id):  # named while the address was being changed
		learner = former_addresses.get_last_holder(user_or_id)
	if not learner:
		unknown(user_or_id)
	return learner


def look_up(user_or_id: str) -> str | None:
	"""Returns a learner's id as identify does, but makes nobody a learner: None for who is none."""
	found = _find(user_or_id)
	return found.id if found else None


def user_of(learner: str) -> str | None:
	"""Returns the User whom a learner has now, if any."""
	found = learners.find(learner)
	return found.user if found else None


def get_learner(user_or_id: str) -> learners.Learner:
	"""Returns a learner, also one who is being erased; makes nobody a learner. Raises UnknownLearner."""
	found = _find(user_or_id)
	if not found:
		unknown(user_or_id)
	return found


def _find_as_of(user_or_id: str, moment: datetime) -> learners.Learner | None:
	holder = former_addresses.get_holder(user_or_id, moment) if _is_name(user_or_id) else None
	return _find(holder or user_or_id)


def _find(user_or_id: str) -> learners.Learner | None:
	if not _is_name(user_or_id):
		return None
	if not row_names.is_learner_id(user_or_id):
		return learners.find_by_user(user_or_id)
	found = learners.find(user_or_id)
	while found and found.merged_into:
		found = learners.find(found.merged_into)
	return found


def _is_name(text: object) -> bool:
	return isinstance(text, str) and bool(text)


def require_whole(learner: learners.Learner) -> None:
	"""Raises LearnerIsErased for a learner who is being erased."""
	if learner.erasing_since:
		learners.refuse_erased()


def unknown(user_or_id: str) -> NoReturn:
	"""Raises UnknownLearner."""
	frappe.throw(
		quoting(_("There is no learner {0}. Name a user or a learner's ID."), user_or_id), UnknownLearner
	)
