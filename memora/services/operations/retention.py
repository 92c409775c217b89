"""Deletes what is left of a season years after it was archived: archive, journal and figures.

A weekly job flags, and somebody who confirms it deletes. Archived records are flagged one by one, by when each was
archived. A season whose archiving was completed so long ago is flagged as a whole; then its answers in the journal and its
figures go, too. Each step may be repeated: a run that died is finished by the next.
"""

from datetime import timedelta
from typing import Any

import frappe
from frappe import _

from memora.services import alerts, site_time
from memora.services.operations.archiving import DOCTYPE, FAILURES, only_run
from memora.services.settings import get_settings
from memora.services.store import archive, database, journal, partitions, season_figures, seasons

RETENTION_DAYS = 3 * 365  # 3 years, unless Memora Settings say otherwise
ARCHIVE = "Archived Memory Tracker"
EXACT_ROWS = 1_000_000  # of a journal, which a request may count in a second or two

Rows = dict[str, int]  # how many rows, by DocType


@alerts.in_site_language()
def flag_eligible() -> dict[str, Any]:
	"""Flags what was archived longer ago than Memora Settings keep it, and takes flags back where they keep it longer by now.

	Commits. Returns {success, flagged_count, cutoff_date, flagged_seasons}: how many archived records were flagged, and which
	seasons were flagged as a whole. Managers are told of each of these seasons.
	"""
	database.new_snapshot()  # rows are flagged on another connection, which sees what is committed
	cutoff = site_time.naive_now() - timedelta(days=get_settings().retention_days)
	flagged = sum(archive.flag_older(season, cutoff) for season in archive.get_archived_seasons())
	with database.transaction():
		names = seasons.flag_past_retention(cutoff)
	for name in names:
		_tell(name)
	return {
		"success": True,
		"flagged_count": flagged,
		"cutoff_date": cutoff.date(),
		"flagged_seasons": names,
	}


def _tell(season_name: str) -> None:
	text = _(
		"Archive, answers and figures of season {0} are to be deleted. Its form has the action Retention."
	)
	subject = _("A season is past the retention period")
	alerts.tell_managers(subject, text.format(season_name), (DOCTYPE, season_name), is_error=False)


def delete_eligible(season_name: str | None = None, confirm: bool = False) -> dict[str, Any]:
	"""Deletes what is flagged of one season or of all. Commits. Returns {success, deleted_count, seasons, rows, error?}.

	`rows` says how many rows of each DocType were deleted, by season; `seasons` and `deleted_count` how many of these were
	archived records. Unless `confirm` is True nothing is deleted, and `rows` and `seasons` say what would be. A season of which
	all is flagged loses archive and journal by a truncated partition each; otherwise records go in bounded transactions. A
	comment on the season first names the user who deletes.
	"""
	deleted: dict[str, Rows] = {}
	try:
		if confirm is not True:
			error = _("Not confirmed, so nothing was deleted.")
			return _deletion(_count_eligible(season_name), error) | {"deleted_count": 0}
		with only_run():
			for name, rows in _count_eligible(season_name).items():
				_delete(name, rows, deleted)
	except FAILURES as error:
		frappe.logger("memora").error(f"deleting what is past retention: {error}")
		return _deletion(deleted, str(error))
	return _deletion(deleted)


def preview_eligible(season_name: str | None = None) -> dict[str, Any]:
	"""Returns {seasons, rows} as delete_eligible does without `confirm`, for a request that must not take long.

	Of a journal with more than EXACT_ROWS rows it tells an estimate, rounded. Raises UnknownSeason.
	"""
	found = _deletion(_count_eligible(season_name, EXACT_ROWS))
	return {name: found[name] for name in ("seasons", "rows")}


def _count_eligible(season_name: str | None, exact_up_to: int | None = None) -> dict[str, Rows]:
	"""Returns what is flagged of one season or of all, by season. Seasons without any are left out."""
	flagged = seasons.get_flagged_seasons()
	names = [seasons.get_season(season_name).name] if season_name is not None else _all_names(flagged)
	return {name: rows for name in names if (rows := _count(name, name in flagged, exact_up_to))}


def _all_names(flagged: list[str]) -> list[str]:
	return list(dict.fromkeys([*archive.get_archived_seasons(), *flagged]))


def _count(season_name: str, is_whole: bool, exact_up_to: int | None = None) -> Rows:
	rows = {ARCHIVE: archive.count_records(season_name)[2]}
	if is_whole:
		answers = journal.count_rows(season_name, exact_up_to)
		rows |= {journal.DOCTYPE: answers, **season_figures.count_rows(season_name)}
	return {doctype: count for doctype, count in rows.items() if count}


def _delete(season_name: str, rows: Rows, deleted: dict[str, Rows]) -> None:
	"""Deletes what is flagged of a season. Notes in `deleted` what was deleted, even if it fails halfway.

	The comment comes first, so that the name of who deletes is stored before any row is gone.
	"""
	with database.transaction():
		text = _what(_("{0} deletes what is past the retention period: {1}."), rows)
		comment = seasons.get_document(season_name).add_comment("Info", text)
	try:
		_delete_rows(season_name, rows)
		deleted[season_name] = rows
	except FAILURES:
		left = _count(season_name, is_whole=len(rows.keys() - {ARCHIVE}) > 0)
		deleted[season_name] = {doctype: count - left.get(doctype, 0) for doctype, count in rows.items()}
		raise
	finally:
		with database.transaction():
			text = _("{0} deleted what is past the retention period: {1}.")
			comment.db_set("content", _what(text, deleted.get(season_name)))


def _delete_rows(season_name: str, rows: Rows) -> None:
	if ARCHIVE in rows:
		archive.delete_flagged(season_name)
	if journal.DOCTYPE in rows:
		partitions.empty_partition(journal.DOCTYPE, season_name)
	if rows.keys() - {ARCHIVE, journal.DOCTYPE}:
		season_figures.delete(season_name)


def _what(text: str, rows: Rows | None) -> str:
	what = ", ".join(f"{count} × {_(doctype)}" for doctype, count in (rows or {}).items() if count)
	return text.format(frappe.session.user, what or _("some"))


def _deletion(rows: dict[str, Rows], error: str | None = None) -> dict[str, Any]:
	counts = {name: of_season.get(ARCHIVE, 0) for name, of_season in rows.items()}
	result = {"success": not error, "deleted_count": sum(counts.values()), "seasons": counts, "rows": rows}
	return {**result, "error": error} if error else result
