"""Lets the memory of an archived season go, years later: flags what is past retention, and deletes what is flagged."""

from datetime import timedelta
from typing import Any

import frappe
from frappe import _

from memora.services import site_time
from memora.services.operations.archiving import FAILURES, only_run
from memora.services.store import archive, database, seasons

RETENTION_DAYS = 3 * 365  # 3 years


def flag_eligible() -> dict[str, Any]:
	"""Flags what was archived more than RETENTION_DAYS ago: {success, flagged_count, cutoff_date}. Commits."""
	cutoff = site_time.naive_now() - timedelta(days=RETENTION_DAYS)
	flagged = sum(archive.flag_older(season, cutoff) for season in archive.get_archived_seasons())
	return {"success": True, "flagged_count": flagged, "cutoff_date": cutoff.date()}


def delete_eligible(season_name: str | None = None, confirm: bool = False) -> dict[str, Any]:
	"""Deletes what is flagged, of one season or all: {success, deleted_count, seasons, error?}. Commits.

	Unless `confirm` is True nothing is deleted, and `seasons` says how many rows of each would be; else `seasons` says how
	many were. A season whose rows are all flagged loses them at once, others lose them in bounded transactions. The name
	of the user who deletes is noted on the season first.
	"""
	deleted: dict[str, int] = {}
	try:
		if confirm is not True:
			error = _("Not confirmed: nothing was deleted.")
			return _deletion(_count_eligible(season_name), error) | {"deleted_count": 0}
		with only_run():
			for name, count in _count_eligible(season_name).items():
				_delete(name, count, deleted)
	except FAILURES as error:
		frappe.logger("memora").error(f"deleting archived records: {error}")
		return _deletion(deleted, str(error))
	return _deletion(deleted)


def _count_eligible(season_name: str | None) -> dict[str, int]:
	"""How many rows are flagged, of one season or all that have any."""
	names = archive.get_archived_seasons() if season_name is None else [seasons.get_season(season_name).name]
	return {name: count for name in names if (count := archive.count_records(name)[2])}


def _delete(season_name: str, eligible: int, deleted: dict[str, int]) -> None:
	"""Notes in `deleted` how many rows went, also when it fails halfway.

	The comment comes first: nothing shall be deleted of which nobody knows who did it.
	"""
	who = frappe.session.user
	with database.transaction():
		text = _("{0} deletes {1} archived records past retention.").format(who, eligible)
		comment = seasons.get_document(season_name).add_comment("Info", text)
	try:
		deleted[season_name] = archive.delete_flagged(season_name)
	except FAILURES:
		deleted[season_name] = eligible - archive.count_records(season_name)[2]
		raise
	finally:
		with database.transaction():
			text = _("{0} deleted {1} archived records past retention.")
			comment.db_set("content", text.format(who, deleted.get(season_name, _("some"))))


def _deletion(counts: dict[str, int], error: str | None = None) -> dict[str, Any]:
	result = {"success": not error, "deleted_count": sum(counts.values()), "seasons": counts}
	return {**result, "error": error} if error else result
