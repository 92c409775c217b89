"""Gives ids to learners whose rows are from before learners had ids: then a learner was the name of her User.

The names of such rows begin with a digest of that name. The digest becomes the learner's id, so the names stay, and only
the column `player` is rewritten: in all tables of answers at once, together with the learner's document. So whoever finds
the document finds all rows of hers. operations/learner_ids says in which order.
"""

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

import frappe

from memora.services.store import database, ddl, row_names, tables
from memora.services.store.records import RECORD_FIELDS
from memora.services.store.row_names import KEY_BYTES, digest

PATCH = "memora.patches.v1_1.give_learners_ids"
RANGE_ROWS = 2000  # of each table in one transaction, or one learner's, if she has more

TABLES = (
	"tabReview Outbox",
	"tabPlayer Memory Tracker",
	"tabPlayer Review Log",
	"tabArchived Memory Tracker",
)
NOT_RECORDS = TABLES[0], TABLES[2]
MEMORY = [c for c in RECORD_FIELDS if c not in ("question_id", "creation")]

POSITIONS = "memora_learner_ids"  # how far each pass has got
POSITIONS_COLUMNS = "pass varchar(20) PRIMARY KEY, position varchar(20) NOT NULL"
POSITION_SQL = f"SELECT position FROM {POSITIONS} WHERE pass = %s"
ADVANCE_SQL = f"REPLACE INTO {POSITIONS} (pass, position) VALUES (%s, %s)"

IS_PENDING_SQL = "SELECT NOT EXISTS(SELECT 1 FROM `tabPatch Log` WHERE patch = %s AND skipped = 0)"
FIRST_NAME_SQL = "SELECT LEFT(name, 16) FROM `{0}` WHERE name >= %s ORDER BY name LIMIT 1"
NAME_AT_SQL = "SELECT LEFT(name, 16) FROM `{0}` WHERE name >= %s ORDER BY name LIMIT 1 OFFSET %s"
OWNERS_SQL = """
	SELECT LEFT(name, 16), MIN(player) FROM `{0}` WHERE name >= %(first)s AND name < %(end)s
	AND player > '' AND player != LEFT(name, 16) GROUP BY LEFT(name, 16), BINARY player"""
LATE_OWNERS_SQL = """
	SELECT LEFT(name, 16) FROM `tabReview Outbox` WHERE player > '' AND player != LEFT(name, 16)
	UNION SELECT RIGHT(name, 16) FROM `tabDaily Learner` WHERE player > '' AND player != RIGHT(name, 16)"""
SET_PLAYER_SQL = """
	UPDATE `{0}` SET player = LEFT(name, 16) WHERE name >= %(first)s AND name < %(end)s
	AND BINARY player IN %(players)s"""

LEARNERS_SQL = """
	SELECT name, user FROM `tabMemora Learner` WHERE user IN %(users)s OR name IN %(ids)s"""
# An address in place of a name for people is cut at the @
USERS_SQL = """
	SELECT name, SUBSTRING_INDEX(full_name, '@', 1) FROM `tabUser` WHERE name IN %(users)s AND name != 'Guest'"""
ADD_HEAD_SQL = """
	INSERT INTO `tabMemora Learner`
	(name, user, learner_name, creation, modified, owner, modified_by) VALUES """
ADD_TAIL_SQL = " ON DUPLICATE KEY UPDATE owner = owner"
POINT_SQL = """
	INSERT INTO `tabMemora Learner` (name, merged_into, creation, modified, owner, modified_by)
	VALUES (%(old)s, %(id)s, %(now)s, %(now)s, 'Administrator', 'Administrator') ON DUPLICATE KEY UPDATE owner = owner"""

# A row whose new name is taken stays for the next two statements
RENAME_SQL = """
	UPDATE IGNORE `{0}` SET name = CONCAT(%(id)s, SUBSTRING(name, 17)), player = %(id)s
	WHERE name BETWEEN %(first)s AND %(last)s AND BINARY player = %(player)s"""
NEWER_SQL = f"""
	UPDATE `{{0}}` kept JOIN `{{0}}` old
	ON kept.name = CONCAT(%(id)s, SUBSTRING(old.name, 17)) AND kept.season = old.season
	SET {", ".join(f"kept.{c} = old.{c}" for c in MEMORY)}, kept.creation = LEAST(kept.creation, old.creation)
	WHERE old.name BETWEEN %(first)s AND %(last)s AND BINARY old.player = %(player)s
	AND (old.reps, old.last_review_date) > (kept.reps, kept.last_review_date)"""
DELETE_SQL = "DELETE FROM `{0}` WHERE name BETWEEN %(first)s AND %(last)s AND BINARY player = %(player)s"

WAITING_SQL = """
	SELECT name FROM `tabReview Outbox` WHERE name BETWEEN %(first)s AND %(last)s AND parked_at IS NULL"""

# Daily Learner's names end in the learner's id
DAYS_SQL = """
	UPDATE `tabDaily Learner` d JOIN `tabMemora Learner` l ON l.name = RIGHT(d.name, 16)
	SET d.player = l.name WHERE d.name > %(after)s AND d.name <= %(last)s AND d.player != l.name"""
MOVE_DAYS_SQL = """
	INSERT INTO `tabDaily Learner` (name, day, season, player, answers, practised, learnt, creation)
	SELECT CONCAT(LEFT(d.name, 24), l.merged_into), d.day, d.season, l.merged_into, d.answers, d.practised, d.learnt, d.creation
	FROM `tabDaily Learner` d JOIN `tabMemora Learner` l ON l.name = RIGHT(d.name, 16) AND l.merged_into > ''
	WHERE d.name > %(after)s AND d.name <= %(last)s
	ON DUPLICATE KEY UPDATE answers = `tabDaily Learner`.answers + VALUES(answers),
	practised = CONCAT(COALESCE(`tabDaily Learner`.practised, ''), COALESCE(VALUES(practised), '')),
	learnt = `tabDaily Learner`.learnt + VALUES(learnt)"""
DELETE_MOVED_DAYS_SQL = """
	DELETE d FROM `tabDaily Learner` d JOIN `tabMemora Learner` l ON l.name = RIGHT(d.name, 16) AND l.merged_into > ''
	WHERE d.name > %(after)s AND d.name <= %(last)s"""
PAGE_SQL = (
	"SELECT MAX(name) FROM (SELECT name FROM `tabDaily Learner` WHERE name > %s ORDER BY name LIMIT %s) page"
)
IMPORTERS_SQL = "SELECT DISTINCT learner FROM `tabAnki Import` WHERE learner > ''"
SET_IMPORTER_SQL = "UPDATE `tabAnki Import` SET learner = %s WHERE learner = %s"
FORGET_ADMISSIONS_SQL = "DELETE FROM `tabSafe Mode Admission`"


class Owner(NamedTuple):
	"""Rows whose names begin with an id, and whose column `player` says something else: `player`."""

	id: str
	player: str


def is_pending() -> bool:
	"""Says whether the patch has not run to its end on this site."""
	return bool(frappe.db.sql(IS_PENDING_SQL, (PATCH,))[0][0])


# One learner at her first contact, before the patch has come to her


def id_of(user: str) -> str | None:
	"""Returns the id that this User's rows begin with. None if she is a learner, another has the id, or the patch has run."""
	if not is_pending():
		return None
	found = frappe.db.sql(LEARNERS_SQL, {"users": [user], "ids": [digest(user)]})
	return None if found else digest(user)


def adopt(learner: str, user: str) -> None:
	"""Gives a User's rows to the learner that she becomes now. The caller commits."""
	first, end = row_names.names_of_learner(learner)
	for table in list_tables():
		frappe.db.sql(SET_PLAYER_SQL.format(table), {"first": first, "end": end, "players": [user]})


# All learners, range by range


def list_tables() -> list[str]:
	"""Returns the tables whose rows hold answers, in the order in which a fold locks rows."""
	return [*TABLES, *tables.list_staging()]


def begin() -> None:
	ddl.create(POSITIONS, POSITIONS_COLUMNS)


def end() -> None:
	ddl.drop(POSITIONS)


def next_range(names: Iterable[str], number: str) -> tuple[str, str] | None:
	"""Returns the next ids of a pass, (first, the one after the last); None if no rows are left.

	In each table the range holds about RANGE_ROWS rows at most, or one learner.
	"""
	rows = frappe.db.sql(POSITION_SQL, (number,))
	position = rows[0][0] if rows else ""
	firsts, ends = [], []
	for table in names:
		firsts += [name for (name,) in frappe.db.sql(FIRST_NAME_SQL.format(table), (position,))]
		ends += [name for (name,) in frappe.db.sql(NAME_AT_SQL.format(table), (position, RANGE_ROWS))]
	if not firsts:
		return None
	first, end = min(firsts), min(ends, default="g")
	return first, end if end > first else first + "g"


def advance(number: str, position: str) -> None:
	"""Notes that a pass has done all ids before a position. The caller commits."""
	frappe.db.sql(ADVANCE_SQL, (number, position))


def read_owners(names: Iterable[str], first: str, end: str) -> set[Owner]:
	"""Returns whose the rows of a range are that do not say so by id."""
	bounds = {"first": first, "end": end}
	return {Owner(*row) for table in names for row in frappe.db.sql(OWNERS_SQL.format(table), bounds)}


def find_late() -> set[str]:
	"""Returns the ids of rows that a process of the earlier version has written of late, in the two small tables."""
	return {id for (id,) in frappe.db.sql(LATE_OWNERS_SQL)}


def set_players(names: Iterable[str], first: str, end: str, players: Collection[str]) -> int:
	"""Writes the id into the rows of a range that say one of these players. Returns how many. The caller commits."""
	if not players:
		return 0
	values, changed = {"first": first, "end": end, "players": list(players)}, 0
	for table in names:
		frappe.db.sql(SET_PLAYER_SQL.format(table), values)
		changed += frappe.db._cursor.rowcount
	return changed


def identify(players: Collection[str], now: datetime) -> dict[str, str]:
	"""Returns {player: id} of Users, and makes those learners who are none yet. The caller commits.

	The id of a new one is the digest that her rows' names begin with. A User who is gone, or whose name is spelled
	otherwise, leaves a learner without User. `now` is naive site time.
	"""
	if not players:
		return {}
	ids = {player: digest(player) for player in players}
	values = {"users": list(ids), "ids": list(ids.values())}
	known = dict(frappe.db.sql(LEARNERS_SQL, values))
	by_user = {user: id for id, user in known.items() if user}
	full_names = dict(frappe.db.sql(USERS_SQL, values))
	ids |= {player: by_user[player] for player in ids.keys() & by_user.keys()}
	rows = []
	for player in ids.keys() - by_user.keys():
		user = player if player in full_names else None
		if ids[player] in known and (user or known[ids[player]]):  # it is another learner's by now
			ids[player] = secrets.token_hex(KEY_BYTES)
		rows.append((ids[player], user, full_names.get(player), now, now, "Administrator", "Administrator"))
	database.insert(ADD_HEAD_SQL, sorted(rows), ADD_TAIL_SQL)
	return ids


# Rows whose names begin with the id of somebody else


def move_rows(names: Iterable[str], owner: Owner, learner: str, now: datetime) -> None:
	"""Gives rows to a learner, under names that begin with her id. The caller commits.

	Of two records of a question the one of the newer answer stays. The old id leads to the learner from now on, unless it
	is a learner's.
	"""
	first, last = row_names.names_of_learner(owner.id)
	values = {"first": first, "last": last, "player": owner.player, "id": learner}
	for table in names:
		frappe.db.sql(RENAME_SQL.format(table), values)
		if table not in NOT_RECORDS:
			frappe.db.sql(NEWER_SQL.format(table), values)
		frappe.db.sql(DELETE_SQL.format(table), values)
	frappe.db.sql(POINT_SQL, {"old": owner.id, "id": learner, "now": now})


def get_waiting(learner: str) -> list[str]:
	"""Returns the names of a learner's submissions that wait to be folded."""
	return [name for (name,) in frappe.db.sql(WAITING_SQL, row_names.bounds(learner))]


# Other tables


def set_players_of_days() -> None:
	"""Writes the ids into Daily Learner, page by page. Commits."""
	after = ""
	while last := frappe.db.sql(PAGE_SQL, (after, RANGE_ROWS))[0][0]:
		with database.transaction():
			for statement in (MOVE_DAYS_SQL, DELETE_MOVED_DAYS_SQL, DAYS_SQL):
				frappe.db.sql(statement, {"after": after, "last": last})
		after = last


def set_importers(now: datetime) -> None:
	"""Writes the ids of those whose history an Anki import brings along. Commits."""
	players = {p for (p,) in frappe.db.sql(IMPORTERS_SQL) if not row_names.is_learner_id(p)}
	with database.transaction():
		for player, learner in identify(players, now).items():
			frappe.db.sql(SET_IMPORTER_SQL, (learner, player))


def forget_admissions() -> None:
	"""Forgets who has lately read in Safe Mode. Commits."""
	with database.transaction():
		frappe.db.sql(FORGET_ADMISSIONS_SQL)
