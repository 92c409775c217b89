"""Finds seasons: the active season, a season by name, seasons to archive. Says why no season is active."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, NoReturn

import frappe
from frappe import _
from frappe.model.document import Document

from memora.exceptions import NoActiveSeason, UnknownSeason, quoting
from memora.services.store import database, limits, question_status

NONE, SOME, ALL = ("None", "Some", "All")  # of a season's rows in the archive are flagged for deletion
MOST_EARLIER = 8  # seasons whose memories go along into one
COLUMNS = f"name, end_date, enable_redis, ({question_status.VERSION_SQL}), earlier_seasons"
# As season_of takes them
ACTIVE_COLUMNS = f"s.name, s.end_date, s.enable_redis, ({question_status.VERSION_SQL}), s.earlier_seasons"
ACTIVE_SQL = f"SELECT {COLUMNS} FROM `tabGame Subscription Season` WHERE is_active = 1 LIMIT 1"
BY_NAME_SQL = f"SELECT {COLUMNS} FROM `tabGame Subscription Season` WHERE name = %s"
CLOSED_SQL = f"""
	SELECT is_active, closed_at, archive_started_at, {COLUMNS} FROM `tabGame Subscription Season` WHERE name = %s"""
# For a season that was closed beside its document, or before seasons noted when that was
NOTE_CLOSED_SQL = """
	UPDATE `tabGame Subscription Season` SET closed_at = %s
	WHERE name = %s AND is_active = 0 AND closed_at IS NULL AND archive_started_at IS NULL"""
TO_ARCHIVE_SQL = """
	SELECT name FROM `tabGame Subscription Season`
	WHERE is_active = 0 AND archived_at IS NULL
	AND (auto_archive = 1 AND end_date < %s OR archive_started_at IS NOT NULL) ORDER BY end_date"""
HOLD_SQL = "SELECT 1 FROM `tabGame Subscription Season` WHERE name = %s LOCK IN SHARE MODE"
LOCK_ALL_SQL = "SELECT name FROM `tabGame Subscription Season` ORDER BY name FOR UPDATE"
FOLLOWING_SQL = "SELECT name FROM `tabGame Subscription Season` WHERE carries_on_from = %s"
NOTE_EARLIER_SQL = "UPDATE `tabGame Subscription Season` SET earlier_seasons = %s WHERE carries_on_from = %s"
NOTE_JOB_SQL = """
	UPDATE `tabGame Subscription Season` SET jobs = JSON_SET(COALESCE(jobs, '{}'), %s, %s) WHERE name = %s"""
KEPT_SQL = """
	SELECT name, is_active, archive_started_at, archived_at, eligible_for_deletion, archive_flags
	FROM `tabGame Subscription Season` ORDER BY end_date"""
NOTE_FLAGS_SQL = """
	UPDATE `tabGame Subscription Season` SET archive_flags = %s, eligible_for_deletion = %s WHERE name = %s"""
FLAGGED_SQL = """
	SELECT name FROM `tabGame Subscription Season`
	WHERE eligible_for_deletion = 1 AND is_active = 0 AND archived_at IS NOT NULL ORDER BY end_date"""
NOT_ARCHIVED_SQL = """
	SELECT name, end_date FROM `tabGame Subscription Season`
	WHERE archived_at IS NULL AND end_date < %(day)s ORDER BY end_date"""
UNARCHIVED_SQL = """
	SELECT name FROM `tabGame Subscription Season`
	WHERE archived_at IS NULL AND archive_started_at IS NULL ORDER BY name"""
LATEST_SQL = """
	SELECT name, archived_at IS NOT NULL FROM `tabGame Subscription Season`
	ORDER BY end_date DESC, name LIMIT 1"""

# The active season decides; without one any season that may still be active does, and a site without seasons is to have them.
USES_REDIS_SQL = """
	SELECT COALESCE(MAX(IF(is_active, enable_redis, NULL)), MAX(enable_redis), 1)
	FROM `tabGame Subscription Season` WHERE archived_at IS NULL"""


@dataclass(frozen=True)
class Season:
	"""A season, as far as answers and schedules need to know it.

	`earlier` are the seasons whose memories go along into it, the nearest first.
	`content_version` is the version of what is asked (store/question_status) when the season was read.
	"""

	name: str
	end_date: date
	enable_redis: bool
	content_version: int
	earlier: tuple[str, ...] = ()


def get_active_season() -> Season | None:
	"""Returns the season that learners learn in; None if there is none. One query, never cached."""
	rows = frappe.db.sql(ACTIVE_SQL)
	return season_of(rows[0]) if rows else None


def uses_redis() -> bool:
	"""Says whether learners' schedules are in Redis, as the active season says. One query, never cached."""
	return bool(frappe.db.sql(USES_REDIS_SQL)[0][0])


def require_active_season() -> Season:
	"""Returns the active season. Raises NoActiveSeason, whose message says why there is none."""
	season = get_active_season()
	if not season:
		frappe.throw(quoting("{0}", why_none_is_active()), NoActiveSeason)
	return season


def get_season(name: str) -> Season:
	"""Returns a season by name. Raises UnknownSeason."""
	rows = frappe.db.sql(BY_NAME_SQL, (name,))
	if not rows:
		refuse_unknown(name)
	return season_of(rows[0])


def hold(name: str) -> None:
	"""Keeps a season as it is until the transaction ends. As a transaction's first statement: what it reads then is as new."""
	frappe.db.sql(HOLD_SQL, (name,))


def refuse_unknown(name: str) -> NoReturn:
	"""Raises UnknownSeason."""
	frappe.throw(quoting(_("There is no season {0}."), name), UnknownSeason)


class Openness(NamedTuple):
	"""A season, and whether it takes answers. Datetimes are naive site time; None for what has not happened."""

	season: Season
	is_active: bool
	closed_at: datetime | None
	archive_started_at: datetime | None


def get_openness(name: str) -> Openness:
	"""Returns a season by name, and since when it is closed, if it is. Raises UnknownSeason."""
	rows = frappe.db.sql(CLOSED_SQL, (name,))
	if not rows:
		refuse_unknown(name)
	is_active, closed_at, archive_started_at, *row = rows[0]
	return Openness(season_of(row), bool(is_active), closed_at, archive_started_at)


def note_closed(name: str, now: datetime) -> None:
	"""Notes that a season is closed since `now` (naive site time), unless it says so already. The caller commits."""
	frappe.db.sql(NOTE_CLOSED_SQL, (now, name))


def season_of(row: Sequence[Any]) -> Season:
	"""Returns the season of a row with COLUMNS."""
	name, end_date, enable_redis, content_version, earlier = row
	return Season(name, end_date, bool(enable_redis), content_version, tuple(json.loads(earlier or "[]")))


def get_document(name: str, for_update: bool = False) -> Document:
	"""Returns a season's document, locked if `for_update`. Raises UnknownSeason."""
	get_season(name)
	return frappe.get_doc("Game Subscription Season", name, for_update=for_update)


def lock_all() -> None:
	"""Locks all seasons until the transaction ends: nobody opens, closes or archives one, and no answer is stored meanwhile."""
	limits.rest_briefly()
	frappe.db.sql(LOCK_ALL_SQL)


def pass_on_earlier(name: str) -> None:
	"""Has the seasons that carry on from a season note which seasons that carries on from. The caller commits."""
	season = get_season(name)
	following = [following for (following,) in frappe.db.sql(FOLLOWING_SQL, (name,))]
	if following:
		earlier = [name, *season.earlier][:MOST_EARLIER]
		frappe.db.sql(NOTE_EARLIER_SQL, (json.dumps(earlier), name))
	for each in following:
		pass_on_earlier(each)


def note_job(name: str, kind: str, job_id: str) -> None:
	"""Remembers the last job of a kind that was started for a season. Commits."""
	with database.transaction():
		frappe.db.sql(NOTE_JOB_SQL, (f"$.{kind}", job_id, name))


def get_jobs(season: Document) -> dict[str, str]:
	"""Returns {kind: job_id}: the last job of each kind that was started for a season."""
	return json.loads(season.jobs or "{}")


def get_seasons_to_archive(today: date) -> list[str]:
	"""Returns the seasons that the scheduler archives: they are neither active nor archived.

	Their end date has passed and they have auto_archive set, or their archiving has begun and must be
	finished.
	"""
	return [name for (name,) in frappe.db.sql(TO_ARCHIVE_SQL, (today,))]


class Kept(NamedTuple):
	"""What retention has to know of a season. Datetimes are naive site time.

	`archive_flags` says which of its rows in the archive are flagged: NONE, SOME or ALL; None if nobody knows.
	"""

	name: str
	is_active: bool = False
	archive_started_at: datetime | None = None
	archived_at: datetime | None = None
	is_eligible: bool = False
	archive_flags: str | None = None

	def is_past(self, cutoff: datetime) -> bool:
		"""Says whether all of the season was archived before `cutoff`. Never of an active season."""
		return not self.is_active and self.archived_at is not None and self.archived_at < cutoff

	def is_newer(self, cutoff: datetime) -> bool:
		"""Says whether no row of the season was archived before `cutoff`."""
		return self.archive_started_at is not None and self.archive_started_at >= cutoff


def get_kept() -> list[Kept]:
	"""Returns what retention has to know of all seasons, those that ended first in front."""
	return [
		Kept(name, bool(is_active), started_at, archived_at, bool(is_eligible), flags)
		for name, is_active, started_at, archived_at, is_eligible, flags in frappe.db.sql(KEPT_SQL)
	]


def get_flags(name: str) -> str | None:
	"""Returns which rows of a season in the archive are flagged, as Kept has it."""
	return frappe.db.get_value("Game Subscription Season", name, "archive_flags")


def note_flags(name: str, flags: str, is_eligible: bool) -> None:
	"""Notes which rows of a season in the archive are flagged, and whether the season is as a whole. Commits."""
	with database.transaction():
		frappe.db.sql(NOTE_FLAGS_SQL, (flags, int(is_eligible), name))


def get_flagged_seasons() -> list[str]:
	"""Returns the seasons of which nothing is to be kept. None of them is active."""
	return [name for (name,) in database.query(FLAGGED_SQL)]


def get_seasons_not_archived(day: date) -> list[tuple[str, date]]:
	"""Returns (name, end date) of the seasons that ended before a day and are not archived."""
	return list(frappe.db.sql(NOT_ARCHIVED_SQL, {"day": day}))


def get_unarchived() -> list[str]:
	"""Returns the seasons whose records are in the tracker and can be changed there."""
	return [name for (name,) in frappe.db.sql(UNARCHIVED_SQL)]


def get_latest_season() -> str | None:
	"""Returns the active season, or else the season that ends last; None if there is no season."""
	if active := get_active_season():
		return active.name
	rows = frappe.db.sql(LATEST_SQL)
	return rows[0][0] if rows else None


def why_none_is_active() -> str:
	"""Returns what a learner reads when no season is active."""
	rows = frappe.db.sql(LATEST_SQL)
	if not rows:
		return _("No season has been set up yet.")
	name, is_archived = rows[0]
	if is_archived:
		return _("Season {0} is over, and its records are archived.").format(name)
	return _("Season {0} is not open for learning.").format(name)


def canonical_name(name: str | None) -> str:
	"""Returns one spelling for names that look alike: MariaDB would put them into one partition.

	The spelling is NFC, with each run of white space as one blank, and no blank at the ends. Letter case is
	kept: names that differ in letter case alone clash on the primary key.
	"""
	return " ".join(unicodedata.normalize("NFC", name or "").split())
