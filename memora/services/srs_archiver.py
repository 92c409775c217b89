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

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import frappe
from frappe import _

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

STEPS = 6  # that an archive run reports

Progress = Callable[[str, int], None]


class SRSArchiver:
	"""Manages archiving of old season data.

	The methods return the dictionaries described; what is refused or fails is named in `error`, and then
	nothing is lost: rows stay where they are, and the next run goes on.
	"""

	RETENTION_DAYS = 3 * 365  # 3 years

	def archive_season(self, season_name: str) -> dict[str, Any]:
		"""Archives all memory of a season: {success, archived_count, season, error?}.

		Refused: an unknown season, the active one, one archived already, and while another run is going on.
		Its journal stays where it is.
		"""
		try:
			with _only_run():
				count = self._archive(season_name)
		except MemoraError as error:
			_note_failure(season_name, error)
			return {"success": False, "archived_count": 0, "season": season_name, "error": str(error)}
		return {"success": True, "archived_count": count, "season": season_name}

	def process_auto_archive(self) -> dict[str, Any]:
		"""Archives each season that is over, not active, and set to auto_archive:
		{success, archived_seasons (how many), failed_seasons (names)}. One that fails does not stop the others."""
		today = site_time.to_naive(site_time.now()).date()
		results = {name: self.archive_season(name) for name in seasons.get_to_archive(today)}
		failed = [name for name, result in results.items() if not result["success"]]
		for name in failed:
			alerts.tell_managers(
				_("A season could not be archived"),
				f"{name}: {results[name]['error']}",
				("Game Subscription Season", name),
			)
		return {
			"success": not failed,
			"archived_seasons": len(results) - len(failed),
			"failed_seasons": failed,
		}

	def flag_eligible_for_deletion(self) -> dict[str, Any]:
		"""Flags what was archived more than RETENTION_DAYS ago: {success, flagged_count, cutoff_date}."""
		cutoff = site_time.to_naive(site_time.now()) - timedelta(days=self.RETENTION_DAYS)
		flagged = sum(archive_store.flag(season, cutoff) for season in archive_store.get_seasons())
		return {"success": True, "flagged_count": flagged, "cutoff_date": cutoff.date()}

	def get_archive_status(self, season_name: str) -> dict[str, Any]:
		"""{season, is_active, auto_archive, end_date, active_records, archived_records,
		eligible_for_deletion, total_records}; counts rows, which takes seconds in a season of millions.
		Raises UnknownSeason."""
		season = seasons.get_document(season_name)
		active, archived, eligible = archive_store.count(season_name)
		return {
			"season": season_name,
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
		"""Deletes what is flagged, of one season or all: {success, deleted_count, seasons, error?}.

		Without `confirm` nothing is deleted; `seasons` then says how many rows of each would be. A season
		of which all is flagged loses its partition at once, others lose their rows in bounded transactions.
		Who deleted what is noted on the season.
		"""
		if season_name:
			seasons.get(season_name)
		names = [season_name] if season_name else archive_store.get_seasons()
		eligible = {name: count for name in names if (count := archive_store.count(name)[2])}
		if not confirm:
			error = _("Not confirmed: nothing was deleted.")
			return {"success": False, "deleted_count": 0, "seasons": eligible, "error": error}
		with _only_run():
			deleted = {name: archive_store.delete_eligible(name) for name in eligible}
		for name, count in deleted.items():
			_note_deletion(name, count)
		return {"success": True, "deleted_count": sum(deleted.values()), "seasons": deleted}

	def _archive(self, season_name: str) -> int:
		_close(season_name)
		report = _reporter(season_name)
		report(_("Folding the last answers"), 1)
		_fold_outbox(season_name)
		report(_("Taking the rows out of the tracker"), 2)
		partition_swap.take_out(season_name)
		report(_("Adding them to the archive"), 3)
		partition_swap.put_in(season_name, site_time.to_naive(site_time.now()))
		report(_("Clearing the cache"), 4)
		SRSRedisManager().clear_season_cache(season_name)
		report(_("Counting"), 5)
		return _finish(season_name, report)


def process_auto_archive() -> dict[str, Any]:
	"""Scheduler entry point, daily."""
	return SRSArchiver().process_auto_archive()


def flag_eligible_for_deletion() -> dict[str, Any]:
	"""Scheduler entry point, weekly."""
	return SRSArchiver().flag_eligible_for_deletion()


@contextmanager
def _only_run() -> Iterator[None]:
	with memory_store.named_lock("archive", wait_seconds=0) as is_mine:
		if not is_mine:
			frappe.throw(_("Another archive or retention run is going on."), SeasonStateError)
		yield


def _close(season_name: str) -> None:
	"""From here on the season takes no answer: those being written are waited for, later ones are refused."""
	with memory_store.transaction():
		season = seasons.get_document(season_name, for_update=True)
		if season.is_active:
			frappe.throw(
				_("Season {0} is active. Deactivate it before archiving it.").format(season_name),
				SeasonStateError,
			)
		if season.archived_at:
			frappe.throw(_("Season {0} is archived already.").format(season_name), SeasonStateError)
		started_at = season.archive_started_at or site_time.to_naive(site_time.now())
		season.db_set("archive_started_at", started_at, update_modified=False)


def _fold_outbox(season_name: str) -> None:
	srs_persistence.drain_season(season_name)
	if memory_store.has_rows("Review Outbox", season_name):
		frappe.throw(
			_("Answers of season {0} wait in Review Outbox and could not be folded.").format(season_name),
			SeasonStateError,
		)


def _finish(season_name: str, report: Progress) -> int:
	left, count, _eligible = archive_store.count(season_name)
	if left:
		frappe.throw(
			_("{0} records reached season {1} meanwhile.").format(left, season_name), SeasonStateError
		)
	with memory_store.transaction():
		season = seasons.get_document(season_name)
		now = site_time.to_naive(site_time.now())
		season.db_set({"archived_at": now, "archived_records": count}, update_modified=False)
	report(_("Archived"), STEPS)
	return count


def _reporter(season_name: str) -> Progress:
	"""Tells the desk and the season's form how far it is."""

	def report(step: str, done: int) -> None:
		with memory_store.transaction():
			seasons.get_document(season_name).db_set("archive_status", step, update_modified=False)
		frappe.publish_realtime(
			"memora_archive", {"season": season_name, "step": step, "done": done, "of": STEPS}
		)

	return report


def _note_failure(season_name: str, error: Exception) -> None:
	frappe.logger("memora").error(f"archiving {season_name}: {error}")
	if frappe.db.exists("Game Subscription Season", season_name):
		with memory_store.transaction():
			season = seasons.get_document(season_name)
			if not season.archived_at:
				season.db_set("archive_status", str(error)[:500], update_modified=False)


def _note_deletion(season_name: str, count: int) -> None:
	with memory_store.transaction():
		note = _("{0} deleted {1} archived records past retention.").format(frappe.session.user, count)
		seasons.get_document(season_name).add_comment("Info", note)
	frappe.logger("memora").info(f"{season_name}: {note}")
