"""Learners: which id belongs to which User.

A learner is an id of 16 hex digits. Her User may change, be given to somebody else, or go.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import frappe

from memora.exceptions import LearnerIsErased
from memora.services.store import database, old_learners
from memora.services.store.row_names import KEY_BYTES
from memora.services.store.seasons import ACTIVE_COLUMNS, Season, season_of

COLUMNS = "name, user, learner_name, erasing_since, merged_into"
BY_USER_SQL = f"SELECT {COLUMNS} FROM `tabMemora Learner` WHERE user = %s"
BY_ID_SQL = f"SELECT {COLUMNS} FROM `tabMemora Learner` WHERE name = %s"
# What a learner's request needs to know first, in one statement; one row, also without learner or season.
WITH_SEASON_SQL = f"""
	SELECT l.name, l.erasing_since, {ACTIVE_COLUMNS} FROM (SELECT 1) one
	LEFT JOIN `tabMemora Learner` l ON l.user = %s
	LEFT JOIN `tabGame Subscription Season` s ON s.is_active = 1 LIMIT 1"""
NAMES_SQL = "SELECT name, learner_name FROM `tabMemora Learner` WHERE name IN %(ids)s AND learner_name > ''"
USER_SQL = "SELECT name, full_name FROM `tabUser` WHERE name = %s AND name != 'Guest'"
# Of two first requests at once the second waits here for the first, and then changes nothing.
CREATE_SQL = """
	INSERT INTO `tabMemora Learner` (name, user, learner_name, creation, modified, owner, modified_by)
	VALUES (%s, %s, %s, %s, %s, 'Administrator', 'Administrator') ON DUPLICATE KEY UPDATE user = user"""
KEPT_SQL = "SELECT 1 FROM `tabMemora Learner` WHERE name = %s AND erasing_since IS NULL LOCK IN SHARE MODE"
CREATED_SQL = "SELECT name FROM `tabMemora Learner` WHERE user = %s LOCK IN SHARE MODE"


class Learner(NamedTuple):
	"""A learner. `id` never changes; `user` is her Frappe account, None for rows that are nobody's.

	`erasing_since` (naive site time) is set while she is being erased. `merged_into` is the id that her answers have now.
	"""

	id: str
	user: str | None
	learner_name: str | None
	erasing_since: datetime | None
	merged_into: str | None


class Standing(NamedTuple):
	"""What a request of a user begins with: her id, whether she is being erased, and the active season."""

	id: str | None
	is_erasing: bool
	season: Season | None


def find_by_user(user: str) -> Learner | None:
	"""Returns the learner who has this User now."""
	rows = frappe.db.sql(BY_USER_SQL, (user,))
	return Learner(*rows[0]) if rows else None


def find(learner: str) -> Learner | None:
	"""Returns a learner by id."""
	rows = frappe.db.sql(BY_ID_SQL, (learner,))
	return Learner(*rows[0]) if rows else None


def get_names(ids: Iterable[str]) -> dict[str, str]:
	"""Returns {id: name for people to read} of learners who have one; one query."""
	return dict(frappe.db.sql(NAMES_SQL, {"ids": [*ids] or [""]}))


def read_with_season(user: str) -> Standing:
	"""Returns a user's id, if she has one, and the active season; one query."""
	((learner, erasing_since, *season),) = frappe.db.sql(WITH_SEASON_SQL, (user,))
	return Standing(learner, bool(erasing_since), season_of(season) if season[0] else None)


def create(user: str, now: datetime) -> str | None:
	"""Makes a learner of a User, if another request has not done so meanwhile, and returns her id. Commits.

	Until the patch has run, rows from before learners had ids come with her. Returns None without such a User. `now` is
	naive site time.
	"""
	found = frappe.db.sql(USER_SQL, (user,))
	if not found:
		return None
	((user, full_name),) = found  # as the User spells it: MariaDB takes letters of either case for equal
	old = old_learners.id_of(user)
	with database.transaction():
		frappe.db.sql(CREATE_SQL, (old or secrets.token_hex(KEY_BYTES), user, full_name, now, now))
		((learner,),) = frappe.db.sql(CREATED_SQL, (user,))
		if learner == old:
			old_learners.adopt(learner, user)
	return learner


def require_kept(learner: str) -> None:
	"""Makes an erasure of a learner wait until this transaction ends. Raises LearnerIsErased if one has begun, or she is gone."""
	if not frappe.db.sql(KEPT_SQL, (learner,)):
		frappe.throw(
			frappe._("This learner's data is being erased. Nothing can be read or stored meanwhile."),
			LearnerIsErased,
		)
