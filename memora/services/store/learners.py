"""Learners: which id belongs to which User.

A learner is an id of 16 hex digits. Her User may change, be given to somebody else, or go.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, NoReturn

import frappe

from memora.exceptions import LearnerIsErased
from memora.services.store import database, old_learners, outdated_schedules, row_names, tables
from memora.services.store.row_names import KEY_BYTES
from memora.services.store.seasons import ACTIVE_COLUMNS, Season, season_of

COLUMNS = "name, user, learner_name, erasing_since, merged_into"
BY_USER_SQL = f"SELECT {COLUMNS} FROM `tabMemora Learner` WHERE user = %s"
BY_ID_SQL = f"SELECT {COLUMNS} FROM `tabMemora Learner` WHERE name = %s"
# What a learner's request needs to know first, in one statement; one row, also without learner or season.
WITH_SEASON_SQL = f"""
	SELECT l.name, l.erasing_since, ({outdated_schedules.TOKEN_OF_SQL}), {ACTIVE_COLUMNS} FROM (SELECT 1) one
	LEFT JOIN `tabMemora Learner` l ON l.user = %s
	LEFT JOIN `tabGame Subscription Season` s ON s.is_active = 1 LIMIT 1"""
NAMES_SQL = "SELECT name, learner_name FROM `tabMemora Learner` WHERE name IN %(ids)s AND learner_name > ''"
USER_SQL = "SELECT name FROM `tabUser` WHERE name = %s AND name != 'Guest'"
# The name is shown to people and stored with their figures: an address in its place is cut at the @.
LEARNER_NAME = "SUBSTRING_INDEX({}, '@', 1)"
# Of two first requests at once the second waits here for the first, and then changes nothing. Both wait while the User is
# renamed, merged or deleted, and then find no User of that name.
CREATE_SQL = f"""
	INSERT INTO `tabMemora Learner` (name, user, learner_name, creation, modified, owner, modified_by)
	SELECT %(learner)s, name, {LEARNER_NAME.format("full_name")}, %(now)s, %(now)s, 'Administrator', 'Administrator'
	FROM `tabUser` WHERE name = %(user)s AND name != 'Guest' LOCK IN SHARE MODE
	ON DUPLICATE KEY UPDATE `tabMemora Learner`.user = `tabMemora Learner`.user"""
KEPT_SQL = """
	SELECT 1 FROM `tabMemora Learner` WHERE name = %s AND erasing_since IS NULL AND merged_into IS NULL
	LOCK IN SHARE MODE"""
CREATED_SQL = "SELECT name FROM `tabMemora Learner` WHERE user = %s LOCK IN SHARE MODE"

LOCK_USER_SQL = "SELECT name FROM `tabUser` WHERE name = %s FOR UPDATE"
RELINK_SQL = "UPDATE `tabMemora Learner` SET user = %(user)s, modified = %(now)s WHERE name = %(learner)s"
NOTE_MERGED_SQL = """
	UPDATE `tabMemora Learner` SET user = NULL, merged_into = %(into)s, modified = %(now)s
	WHERE name IN %(ids)s"""
MERGED_SQL = "SELECT name FROM `tabMemora Learner` WHERE merged_into = %s"
RENAME_SQL = f"""
	UPDATE `tabMemora Learner` SET learner_name = {LEARNER_NAME.format("%(name)s")}, modified = %(now)s
	WHERE user = %(user)s AND NOT BINARY learner_name <=> BINARY {LEARNER_NAME.format("%(name)s")}"""
DELETE_SQL = "DELETE FROM `tabMemora Learner` WHERE name IN %(ids)s"
ANY_ROW_SQL = "SELECT 1 FROM `{table}` WHERE name BETWEEN %(first)s AND %(last)s LIMIT 1"


class Learner(NamedTuple):
	"""A learner. `id` never changes; `user` is her Frappe account, None for rows that are nobody's.

	`erasing_since` (naive site time) is set while she is being erased. `merged_into` is the id that her answers have now.
	"""

	id: str
	user: str | None
	learner_name: str | None
	erasing_since: datetime | None
	merged_into: str | None


class Arrival(NamedTuple):
	"""What a request of a user begins with: her id, whether she is being erased, and the active season.

	`outdated` is the token of the note that her schedule of this season is outdated; empty if there is none.
	"""

	id: str | None
	is_erasing: bool
	season: Season | None
	outdated: str


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


def read_with_season(user: str) -> Arrival:
	"""Returns a user's id, if she has one, and the active season; one query."""
	((learner, erasing_since, outdated, *season),) = frappe.db.sql(WITH_SEASON_SQL, (user,))
	return Arrival(learner, bool(erasing_since), season_of(season) if season[0] else None, outdated or "")


def current_key(key: str) -> str:
	"""Returns what a submission's key is now: another, if the learner whom it begins with has been merged into another."""
	learner = find(key[: 2 * KEY_BYTES])
	return learner.merged_into + key[2 * KEY_BYTES :] if learner and learner.merged_into else key


def create(user: str, now: datetime) -> str | None:
	"""Makes a learner of a User, if another request has not done so meanwhile, and returns her id. Commits.

	Until the patch has run, rows from before learners had ids come with her. Returns None without such a User. `now` is
	naive site time.
	"""
	found = frappe.db.sql(USER_SQL, (user,))
	if not found:
		return None
	((user,),) = found  # as the User spells it: MariaDB takes letters of either case for equal
	old = old_learners.id_of(user)
	with database.transaction():
		frappe.db.sql(CREATE_SQL, {"learner": old or secrets.token_hex(KEY_BYTES), "user": user, "now": now})
		created = frappe.db.sql(CREATED_SQL, (user,))  # none if the User was renamed meanwhile
		if old and created and created[0][0] == old:
			old_learners.adopt(old, user)
	return created[0][0] if created else None


def require_kept(learner: str) -> None:
	"""Makes an erasure of a learner wait until this transaction ends.

	Raises LearnerIsErased if one has begun, or if she is gone or merged into another.
	"""
	if not frappe.db.sql(KEPT_SQL, (learner,)):
		refuse_erased()


def refuse_erased() -> NoReturn:
	"""Raises LearnerIsErased."""
	frappe.throw(
		frappe._("This learner's data is being erased. Nothing can be read or stored meanwhile."),
		LearnerIsErased,
	)


# When a User changes. The caller commits.


def lock_user(user: str) -> Learner | None:
	"""Keeps a User from becoming a learner until the transaction ends, and returns the learner who has this User."""
	frappe.db.sql(LOCK_USER_SQL, (user,))
	rows = frappe.db.sql(f"{BY_USER_SQL} FOR UPDATE", (user,))
	return Learner(*rows[0]) if rows else None


def relink(learner: str, user: str | None, now: datetime) -> None:
	"""Gives a learner another User, or none."""
	frappe.db.sql(RELINK_SQL, {"learner": learner, "user": user, "now": now})


def note_merged(learner: str, into: str, now: datetime) -> None:
	"""Notes that the answers of a learner, and of those whose answers she has got, are another's now."""
	frappe.db.sql(NOTE_MERGED_SQL, {"ids": _with_merged(learner), "into": into, "now": now})


def rename(user: str, full_name: str, now: datetime) -> None:
	"""Gives the learner of a User, if there is one, another name for people. Writes nothing if it is the same."""
	frappe.db.sql(RENAME_SQL, {"user": user, "name": full_name, "now": now})


def has_rows(learner: str) -> bool:
	"""Says whether a learner has a row among the answers, wherever they are on their way to the archive.

	Sees all that is committed, and locks nothing: whoever holds her lock can rely on it.
	"""
	tables_ = [f"tab{doctype}" for doctype in tables.ANY_ROW_SQL] + tables.list_staging()
	return any(database.query(ANY_ROW_SQL.format(table=t), row_names.bounds(learner)) for t in tables_)


def delete(learner: str) -> None:
	"""Deletes a learner who has no rows, and those whose answers she has got."""
	frappe.db.sql(DELETE_SQL, {"ids": _with_merged(learner)})


def _with_merged(learner: str) -> list[str]:
	"""Returns a learner's id and those merged into it. Locks nothing: each answer locks a row of the same table."""
	return [learner, *(name for (name,) in database.query(MERGED_SQL, (learner,)))]
