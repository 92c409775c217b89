"""Deletes the records of an archived season after years: first flags records past retention, then deletes flagged ones."""

from datetime import timedelta
from typing import Any

import frappe
from frappe import _

from memora.services import site_time
from memora.services.operations.archiving import FAILURES, only_run
from memora.services.store import archive, database, seasons

RETENTION_DAYS = 3 * 365  # 3 years


def flag_eligible() -> dict[str, Any]:
	"""Flags records archived more than RETENTION_DAYS ago. Commits. Returns {success, flagged_count, cutoff_date}."""
	cutoff = site_time.naive_now() - timedelta(days=RETENTION_DAYS)
	flagged = sum(archive.flag_older(season, cutoff) for season in archive.get_archived_seasons())
	return {"success": True, "flagged_count": flagged, "cutoff_date": cutoff.date()}


def delete_eligible(season_name: str | None = None, confirm: bool = False) -> dict[str, Any]:
	"""Deletes the flagged records of one season or of all. Commits. Returns {success, deleted_count, seasons, error?}.

	`seasons` says how many records of each season were deleted. Unless `confirm` is True nothing is deleted, and `seasons`
	says how many records would be. A season whose records are all flagged loses them at once, another season in bounded
	transactions. A comment on the season first names the user who deletes.
	"""
	deleted: dict[str, int] = {}
	try:
		if confirm is not True:
			error = _("Not confirmed, so nothing was deleted.")
			return _deletion(_count_eligible(season_name), error) | {"deleted_count": 0}
		with only_run():
			for name, count in _count_eligible(season_name).items():
				_delete(name, count, deleted)
	except FAILURES as error:
		frappe.logger("memora").error(f"deleting archived records: {error}")
		return _deletion(deleted, str(error))
	return _deletion(deleted)


def _count_eligible(season_name: str | None) -> dict[str, int]:
	"""Returns the number of flagged records by season, for one season or all. Seasons without any are left out."""
	names = archive.get_archived_seasons() if season_name is None else [seasons.get_season(season_name).name]
	return {name: count for name in names if (count := archive.count_records(name)[2])}


def _delete(season_name: str, eligible: int, deleted: dict[str, int]) -> None:
	"""Deletes a season's flagged records. Notes in `deleted` how many were deleted, even if it fails halfway.

	The comment comes first, so that the name of who deletes is stored before any record is gone.
	"""
	who = frappe.session.user
	with database.transaction():
		text = _("{0} deletes archived records past the retention period: {1}.").format(who, eligible)
		comment = seasons.get_document(season_name).add_comment("Info", text)
	try:
		deleted[season_name] = archive.delete_flagged(season_name)
	except FAILURES:
		deleted[season_name] = eligible - archive.count_records(season_name)[2]
		raise
	finally:
		with database.transaction():
			text = _("{0} deleted archived records past the retention period: {1}.")
			comment.db_set("content", text.format(who, deleted.get(season_name, _("some"))))


def _deletion(counts: dict[str, int], error: str | None = None) -> dict[str, Any]:
	result = {"success": not error, "deleted_count": sum(counts.values()), "seasons": counts}
	return {**result, "error": error} if error else result
