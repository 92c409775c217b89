"""The seeds' door to archiving and retention; the rooms behind it are operations/archiving and operations/retention."""

from typing import Any

from memora.services.operations import archiving, retention, scheduled_jobs
from memora.services.operations.archiving import ArchiveStatus


class SRSArchiver:
	"""Manages archiving of old season data.

	The methods return the dictionaries described. If a run is refused or fails, `error` says why, and nothing is lost:
	rows stay where they are, and the next run goes on.
	"""

	RETENTION_DAYS = retention.RETENTION_DAYS

	def archive_season(self, season_name: str, *, before_its_end: bool = False) -> dict[str, Any]:
		"""Archives all records of a season. Commits. Returns {success, archived_count, season, error?}.

		A season whose last day is not over is refused, unless `before_its_end`.
		"""
		return archiving.archive_season(season_name, before_its_end=before_its_end)

	def process_auto_archive(self) -> dict[str, Any]:
		"""Archives each season that is over and set to auto_archive. Commits.

		Returns {success, archived_seasons, failed_seasons}.
		"""
		return archiving.archive_seasons_that_are_over()

	def flag_eligible_for_deletion(self) -> dict[str, Any]:
		"""Flags records archived longer ago than Memora Settings keep them, RETENTION_DAYS by default. Commits.

		Returns {success, flagged_count, cutoff_date, flagged_seasons}: seasons of which answers and figures are flagged, too.
		"""
		return retention.flag_eligible()

	def get_archive_status(self, season_name: str) -> ArchiveStatus:
		"""Counts a season's records, which takes seconds if there are millions. Raises UnknownSeason."""
		return archiving.get_archive_status(season_name)

	def delete_eligible_records(
		self, season_name: str | None = None, confirm: bool = False
	) -> dict[str, Any]:
		"""Deletes what is flagged of one season or of all. Commits.

		Returns {success, deleted_count, seasons, rows, error?}. Unless `confirm` is True nothing is deleted; then `seasons`
		says how many archived records of each season would be, and `rows` how many rows of each DocType.
		"""
		return retention.delete_eligible(season_name, confirm)


def process_auto_archive() -> dict[str, Any]:
	"""Archives the seasons that are over and set to auto_archive. Called by the scheduler, daily, only queues the job that does it."""
	if scheduled_jobs.is_called_by_scheduler():
		return scheduled_jobs.start_scheduled("archive")
	return archiving.archive_seasons_that_are_over()


def flag_eligible_for_deletion() -> dict[str, Any]:
	"""Flags what is past retention. Called by the scheduler, weekly, only queues the job that does it."""
	if scheduled_jobs.is_called_by_scheduler():
		return scheduled_jobs.start_scheduled("flag")
	return retention.flag_eligible()


def archive_season(season_name: str, before_its_end: bool = False) -> dict[str, Any]:
	"""Archives a season. Runs as a job that a manager has started."""
	return archiving.archive_season(season_name, before_its_end=before_its_end)


def delete_eligible_records(season_name: str | None = None) -> dict[str, Any]:
	"""Deletes what is flagged. Runs as a job, for the manager who has confirmed the deletion."""
	return retention.delete_eligible(season_name, confirm=True)
