"""The seeds' door to archiving and retention; the rooms behind it are operations/archiving and operations/retention."""

from typing import Any

from memora.services.operations import archiving, retention
from memora.services.operations.archiving import ArchiveStatus


class SRSArchiver:
	"""Manages archiving of old season data.

	The methods return the dictionaries described. What is refused or fails is named in `error`; then nothing is lost: rows
	stay where they are, and the next run goes on.
	"""

	RETENTION_DAYS = retention.RETENTION_DAYS

	def archive_season(self, season_name: str) -> dict[str, Any]:
		"""Archives all memory of a season: {success, archived_count, season, error?}. Commits."""
		return archiving.archive_season(season_name)

	def process_auto_archive(self) -> dict[str, Any]:
		"""Archives each season that is over and set to auto_archive: {success, archived_seasons, failed_seasons}."""
		return archiving.archive_seasons_that_are_over()

	def flag_eligible_for_deletion(self) -> dict[str, Any]:
		"""Flags what was archived more than RETENTION_DAYS ago: {success, flagged_count, cutoff_date}."""
		return retention.flag_eligible()

	def get_archive_status(self, season_name: str) -> ArchiveStatus:
		"""Counts a season's rows, which takes seconds where there are millions. Raises UnknownSeason."""
		return archiving.get_archive_status(season_name)

	def delete_eligible_records(
		self, season_name: str | None = None, confirm: bool = False
	) -> dict[str, Any]:
		"""Deletes what is flagged, of one season or all: {success, deleted_count, seasons, error?}. Commits.

		Unless `confirm` is True nothing is deleted; `seasons` then says how many rows of each would be.
		"""
		return retention.delete_eligible(season_name, confirm)


def process_auto_archive() -> dict[str, Any]:
	"""Scheduler entry point, daily."""
	return archiving.archive_seasons_that_are_over()


def flag_eligible_for_deletion() -> dict[str, Any]:
	"""Scheduler entry point, weekly."""
	return retention.flag_eligible()


def archive_season(season_name: str) -> dict[str, Any]:
	"""The job that an administrator starts."""
	return archiving.archive_season(season_name)


def delete_eligible_records(season_name: str | None = None) -> dict[str, Any]:
	"""The job of an administrator who has confirmed the deletion; runs as that user."""
	return retention.delete_eligible(season_name, confirm=True)
