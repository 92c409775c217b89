"""Moves the memory of a season that is over out of the live table, whole, and lets it go years later.

A season is archived by swapping partitions, not by copying rows. The steps, each of them one statement
that either happens or does not, leave its rows in exactly one of three tables:

	1. an empty staging table like the tracker                    rows in the tracker
	2. EXCHANGE the tracker's partition with it                   rows in staging
	3. staging gets the archive's two columns (no row is touched) rows in staging
	4. EXCHANGE the archive's partition with it                   rows in the archive
	5. staging, empty again, is dropped

Which step comes next can be read off the tables, so a run that died is finished by the next one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from typing import Any

import frappe
import pymysql
from frappe import _
from frappe.model.document import Document
from redis.exceptions import RedisError
from typing_extensions import TypedDict

from memora.exceptions import MemoraError, SeasonStateError
from memora.services import (
	alerts,
	archive_store,
	memory_store,
	partition_swap,
	seasons,
	site_time,
	srs_persistence,
)
from memora.services.srs_redis_manager import SRSRedisManager

DOCTYPE = "Game Subscription Season"
LOCK = "archive"  # that an archive or retention run holds
STEPS = 6  # that an archive run reports
FOLD_WAIT_SECONDS = 10  # for submissions that a worker is folding at the moment

# What a run may fail of without harm: refusals, and whatever MariaDB says (locks, a full disk, a lost connection)
FAILURES = (MemoraError, pymysql.err.MySQLError, *memory_store.DATABASE_FAILURES)


class ArchiveStatus(TypedDict):
	"""Counts of a season's records. Those on their way to the archive count as active."""

	season: str
	is_active: bool
	auto_archive: bool
	end_date: date
	active_records: int
	archived_records: int
	eligible_for_deletion: int
	total_records: int


class SRSArchiver:
	"""Manages archiving of old season data.

	The methods return the dictionaries described; what is refused or fails is named in `error`, and then
	nothing is lost: rows stay where they are, and the next run goes on.
	"""

	RETENTION_DAYS = 3 * 365  # 3 years

	def archive_season(self, season_name: str) -> dict[str, Any]:
		"""Archives all memory of a season: {success, archived_count, season, error?}. Commits.

		Refused: an unknown season, the active one, one archived already, and while another run is going on.
		Its journal stays where it is. `archived_count` includes what earlier runs of it have moved.
		"""
		try:
			season_name = seasons.get(season_name).name
			with _only_run():
				count = _archive(season_name)
		except FAILURES as error:
			frappe.logger("memora").error(f"archiving {season_name}: {error}")
			return {"success": False, "archived_count": 0, "season": season_name, "error": str(error)}
		return {"success": True, "archived_count": count, "season": season_name}

	def require_archivable(self, season_name: str) -> None:
		"""Raises UnknownSeason, or SeasonStateError for the active season and one archived already."""
		_refuse_to_archive(seasons.get_document(season_name))

	@alerts.in_site_language()
	def process_auto_archive(self) -> dict[str, Any]:
		"""Archives each season that is over, not active, and set to auto_archive, and completes runs that
		died: {success, archived_seasons (how many), failed_seasons (names)}. One that fails does not stop the
		others; managers are told."""
		today = site_time.naive_now().date()
		results = {name: self.archive_season(name) for name in seasons.get_to_archive(today)}
		failed = [name for name, result in results.items() if not result["success"]]
		for name in failed:
			alerts.tell_managers(
				_("A season could not be archived"),
				f"{name}: {results[name]['error']}",
				(DOCTYPE, name),
			)
		return {
			"success": not failed,
			"archived_seasons": len(results) - len(failed),
			"failed_seasons": failed,
		}

	def flag_eligible_for_deletion(self) -> dict[str, Any]:
		"""Flags what was archived more than RETENTION_DAYS ago: {success, flagged_count, cutoff_date}."""
		cutoff = site_time.naive_now() - timedelta(days=self.RETENTION_DAYS)
		flagged = sum(archive_store.flag(season, cutoff) for season in archive_store.get_seasons())
		return {"success": True, "flagged_count": flagged, "cutoff_date": cutoff.date()}

	def get_archive_status(self, season_name: str) -> ArchiveStatus:
		"""Counts rows, which takes seconds in a season of millions. Raises UnknownSeason."""
		season = seasons.get_document(season_name)
		active, archived, eligible = archive_store.count(season.name)
		return {
			"season": season.name,
			"is_active": bool(season.is_active),
			"auto_archive": bool(season.auto_archive),
			"end_date": season.end_date,
			"active_records": active,
			"archived_records": archived,
			"eligible_for_deletion": eligible,
			"total_records": active + archived,
		}

	def delete_eligible_records(
		self, season_name: str | None = None, confirm: bool = False
	) -> dict[str, Any]:
		"""Deletes what is flagged, of one season or all: {success, deleted_count, seasons, error?}. Commits.

		Unless `confirm` is True nothing is deleted; `seasons` then says how many rows of each would be, else
		how many were. A season of which all is flagged loses its rows at once, others in bounded
		transactions. Who deletes what is noted on the season first.
		"""
		deleted: dict[str, int] = {}
		try:
			if confirm is not True:
				error = _("Not confirmed: nothing was deleted.")
				return _deletion(_count_eligible(season_name), error) | {"deleted_count": 0}
			with _only_run():
				for name, count in _count_eligible(season_name).items():
					_delete(name, count, deleted)
		except FAILURES as error:
			frappe.logger("memora").error(f"deleting archived records: {error}")
			return _deletion(deleted, str(error))
		return _deletion(deleted)


def process_auto_archive() -> dict[str, Any]:
	"""Scheduler entry point, daily."""
	return SRSArchiver().process_auto_archive()


def flag_eligible_for_deletion() -> dict[str, Any]:
	"""Scheduler entry point, weekly."""
	return SRSArchiver().flag_eligible_for_deletion()


def archive_season(season_name: str) -> dict[str, Any]:
	"""The job that an administrator starts."""
	return SRSArchiver().archive_season(season_name)


def delete_eligible_records(season_name: str | None = None) -> dict[str, Any]:
	"""The job that an administrator starts who has confirmed it; runs as that user."""
	return SRSArchiver().delete_eligible_records(season_name, confirm=True)


# Archiving


@contextmanager
def _only_run() -> Iterator[None]:
	with memory_store.named_lock(LOCK, wait_seconds=0) as is_mine:
		if not is_mine:
			frappe.throw(_("Another archive or retention run is going on."), SeasonStateError)
		yield


def _archive(season_name: str) -> int:
	_close(season_name)
	try:
		return _move(season_name)
	except FAILURES as error:
		with suppress(*FAILURES):  # MariaDB may be gone
			_set_status(season_name, _("Stopped: {0}").format(error), 0)
		raise


def _move(season_name: str) -> int:
	_report(season_name, _("Folding the last answers"), 1)
	_fold_outbox(season_name)
	_report(season_name, _("Taking the rows out of the tracker"), 2)
	partition_swap.take_out(season_name)
	step = _("Adding the rows to the archive")
	_report(season_name, step, 3)
	partition_swap.put_in(
		season_name,
		site_time.naive_now(),
		on_copied=lambda rows: _report(season_name, _("{0}: {1} copied").format(step, rows), 3),
	)
	_report(season_name, _("Clearing the cache"), 4)
	is_cleared = SRSRedisManager().clear_season_cache(season_name)
	_report(season_name, _("Counting"), 5)
	return _finish(season_name, is_cleared)


def _close(season_name: str) -> None:
	"""From here on the season takes no answer: those being written are waited for, later ones are refused."""
	with memory_store.transaction():
		season = seasons.get_document(season_name, for_update=True)
		_refuse_to_archive(season)
		started_at = season.archive_started_at or site_time.naive_now()
		frappe.db.set_value(DOCTYPE, season_name, "archive_started_at", started_at, update_modified=False)


def _refuse_to_archive(season: Document) -> None:
	if season.is_active:
		frappe.throw(
			_("Season {0} is active. Deactivate it before archiving it.").format(season.name),
			SeasonStateError,
		)
	if season.archived_at:
		frappe.throw(_("Season {0} is archived already.").format(season.name), SeasonStateError)


def _fold_outbox(season_name: str) -> None:
	waited_seconds = 0
	while waiting := frappe.db.count("Review Outbox", {"season": season_name}):
		if srs_persistence.drain_season(season_name):
			waited_seconds = 0
			continue
		memory_store.new_snapshot()
		parked = frappe.db.count("Review Outbox", {"season": season_name, "parked_at": ("is", "set")})
		if parked or waited_seconds >= FOLD_WAIT_SECONDS:
			_refuse_unfolded(season_name, waiting, parked)
		waited_seconds += 1
		time.sleep(1)
		memory_store.new_snapshot()


def _refuse_unfolded(season_name: str, waiting: int, parked: int) -> None:
	frappe.throw(
		_(
			"{0} submissions of season {1} wait in Review Outbox, {2} of them parked with the reason why they "
			"could not be folded. Mend that, run `bench memora drain --parked`, and archive again."
		).format(waiting, season_name, parked),
		SeasonStateError,
	)


def _finish(season_name: str, is_cache_cleared: bool) -> int:
	left, count = archive_store.count_moved(season_name)
	if left:
		frappe.throw(
			_("{0} records reached season {1} meanwhile. Archive it again.").format(left, season_name),
			SeasonStateError,
		)
	status = _("Archived", context="Memora")
	if not is_cache_cleared:
		status = _(
			"Archived. Redis did not answer: this season's schedules stay there, unused, until they expire."
		)
	with memory_store.transaction():
		values = {
			"archived_at": site_time.naive_now(),
			"archived_records": count,
			"archive_status": status,
			"archive_step": STEPS,
		}
		frappe.db.set_value(DOCTYPE, season_name, values, update_modified=False)
	_publish(season_name, status, STEPS)
	return count


def _report(season_name: str, step: str, done: int) -> None:
	"""Tells the season's document and whoever looks at its form how far it is."""
	_set_status(season_name, step, done)
	_publish(season_name, step, done)


def _set_status(season_name: str, status: str, step: int) -> None:
	values = {"archive_status": status, "archive_step": step}
	with memory_store.transaction():
		frappe.db.set_value(DOCTYPE, season_name, values, update_modified=False)


def _publish(season_name: str, step: str, done: int) -> None:
	"""Under a name of its own: Frappe would put a dialog before the form of what is called `progress`."""
	progress = {"percent": 100 * done / STEPS, "description": step}
	with suppress(RedisError):
		frappe.publish_realtime("memora_archive", progress, doctype=DOCTYPE, docname=season_name)


# Retention


def _count_eligible(season_name: str | None) -> dict[str, int]:
	"""How many rows are flagged, of one season or all that have any."""
	names = archive_store.get_seasons() if season_name is None else [seasons.get(season_name).name]
	return {name: count for name in names if (count := archive_store.count(name)[2])}


def _delete(season_name: str, eligible: int, deleted: dict[str, int]) -> None:
	"""Notes in `deleted` how many rows went, also when it fails halfway.

	The comment comes first: nothing shall be deleted of which nobody knows who did it.
	"""
	who = frappe.session.user
	with memory_store.transaction():
		text = _("{0} deletes {1} archived records past retention.").format(who, eligible)
		comment = seasons.get_document(season_name).add_comment("Info", text)
	try:
		deleted[season_name] = archive_store.delete_eligible(season_name)
	except FAILURES:
		deleted[season_name] = eligible - archive_store.count(season_name)[2]
		raise
	finally:
		with memory_store.transaction():
			text = _("{0} deleted {1} archived records past retention.")
			comment.db_set("content", text.format(who, deleted.get(season_name, _("some"))))


def _deletion(counts: dict[str, int], error: str | None = None) -> dict[str, Any]:
	result = {"success": not error, "deleted_count": sum(counts.values()), "seasons": counts}
	return {**result, "error": error} if error else result
