"""Deletes what is left of a season years after it was archived: archive, journal and figures.

A weekly job flags, and somebody who confirms it deletes. A season whose archiving was completed so long ago is flagged as a
whole; then its answers in the journal and its figures go, too. Where a season does not say when its rows were archived, they
are flagged one by one. Each step may be repeated: a run that died is finished by the next.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import frappe
from frappe import _

from memora.services import alerts, site_time
from memora.services.operations.archiving import DOCTYPE, EXACT_ROWS, FAILURES, only_run
from memora.services.settings import get_settings
from memora.services.store import archive, database, journal, partitions, season_figures, seasons, tables
from memora.services.store.loops import go_through, tell_of
from memora.services.store.seasons import Kept

RETENTION_DAYS = 3 * 365  # 3 years, unless Memora Settings say otherwise
WAIT_SECONDS = 60 * 60  # for an archive run, or one that deletes
ARCHIVE = "Archived Memory Tracker"

Rows = dict[str, int]  # how many rows, by DocType


@alerts.in_site_language()
def flag_eligible() -> dict[str, Any]:
	"""Flags what was archived longer ago than Memora Settings keep it, and takes flags back where they keep it longer by now.

	Commits. Returns {success, flagged_count, cutoff_date, flagged_seasons, error?}: how many archived records were flagged, and
	which seasons were flagged as a whole. Managers are told of each of these seasons. A season that fails does not stop the others.

	A season's rows are read when it is flagged, and never again: the season notes what is done.
	"""
	database.new_snapshot()  # rows are flagged on another connection, which sees what is committed
	flagging = _Flagging(site_time.naive_now() - timedelta(days=get_settings().retention_days))
	failed = go_through(_all_kept(), flagging.go)
	result = {
		"success": not failed,
		"flagged_count": flagging.rows,
		"cutoff_date": flagging.cutoff.date(),
		"flagged_seasons": flagging.seasons,
	}
	return {**result, "error": tell_of(failed)} if failed else result


def _all_kept() -> list[Kept]:
	"""Returns all seasons, also those that have only a partition."""
	kept = {season.name: season for season in seasons.get_kept()}
	return [*kept.values(), *(Kept(name) for name in archive.get_partitioned_seasons() if name not in kept)]


class _Flagging:
	"""A run through all seasons. `rows` and `seasons` are what it has flagged."""

	def __init__(self, cutoff: datetime) -> None:
		self.cutoff = cutoff
		self.rows = 0
		self.seasons: list[str] = []

	def go(self, season: Kept) -> None:
		if season.is_past(self.cutoff):
			self._flag_whole(season)
		elif season.is_newer(self.cutoff):
			self._unflag(season)
		elif archive.has_rows(season.name):
			self._flag_by_row(season)

	def _flag_whole(self, season: Kept) -> None:
		if season.is_eligible and season.archive_flags == seasons.ALL:
			return
		seasons.note_flags(season.name, seasons.SOME, season.is_eligible)
		self.rows += archive.flag_all(season.name)
		seasons.note_flags(season.name, seasons.ALL, True)
		if not season.is_eligible:
			self.seasons.append(season.name)
			_tell(season.name)

	def _unflag(self, season: Kept) -> None:
		if season.is_eligible or season.archive_flags != seasons.NONE:
			with only_run(WAIT_SECONDS):  # or somebody deletes what is to be kept
				seasons.note_flags(season.name, seasons.SOME, False)
				archive.unflag_all(season.name)
				seasons.note_flags(season.name, seasons.NONE, False)

	def _flag_by_row(self, season: Kept) -> None:
		"""For rows whose season does not say when they were archived: some may be older than others."""
		seasons.note_flags(season.name, seasons.SOME, False)
		self.rows += archive.flag_older(season.name, self.cutoff)


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
	comment on the season first names the user who deletes. A season that fails does not stop the others.
	"""
	deleted: dict[str, Rows] = {}
	try:
		if confirm is not True:
			error = _("Not confirmed, so nothing was deleted.")
			return _deletion(_count_eligible(season_name), error) | {"deleted_count": 0}
		with only_run():
			eligible = _count_eligible(season_name)
			failed = go_through(eligible, lambda name: _delete(name, eligible[name], deleted))
	except FAILURES as error:
		return _deletion(deleted, str(error))
	if failed:
		frappe.logger("memora").error(f"deleting what is past retention: {failed}")
	return _deletion(deleted, tell_of(failed) if failed else None)


def preview_eligible(season_name: str | None = None) -> dict[str, Any]:
	"""Returns {seasons, rows, is_estimate} as delete_eligible does without `confirm`, for a request that must not take long.

	A count above EXACT_ROWS is an estimate, by two digits. Raises UnknownSeason.
	"""
	estimates: list[bool] = []

	def estimate(name: str, is_whole: bool) -> Rows:
		rows, is_estimate = _estimate(name, is_whole)
		estimates.append(is_estimate)
		return rows

	found = _deletion(_count_eligible(season_name, estimate))
	return {"seasons": found["seasons"], "rows": found["rows"], "is_estimate": any(estimates)}


def _count_eligible(
	season_name: str | None, count: Callable[[str, bool], Rows] | None = None
) -> dict[str, Rows]:
	"""Returns what is flagged of one season or of all, by season. Seasons without any are left out."""
	flagged = seasons.get_flagged_seasons()
	names = [seasons.get_season(season_name).name] if season_name is not None else _all_names(flagged)
	return {name: rows for name in names if (rows := (count or _count)(name, name in flagged))}


def _all_names(flagged: list[str]) -> list[str]:
	return list(dict.fromkeys([*archive.get_archived_seasons(), *flagged]))


def _count(season_name: str, is_whole: bool) -> Rows:
	rows = {ARCHIVE: archive.count_records(season_name).eligible}
	if is_whole:
		rows |= {journal.DOCTYPE: journal.count_rows(season_name), **season_figures.count_rows(season_name)}
	return _not_empty(rows)


def _estimate(season_name: str, is_whole: bool) -> tuple[Rows, bool]:
	"""Returns what is flagged of a season, and whether any of these figures is an estimate."""
	counts = archive.estimate_records(season_name, seasons.get_flags(season_name), EXACT_ROWS)
	rows, is_estimate = {ARCHIVE: counts.eligible}, counts.is_estimate
	if is_whole:
		answers = journal.count_rows(season_name, EXACT_ROWS)
		rows |= {journal.DOCTYPE: answers, **season_figures.count_rows(season_name)}
		is_estimate |= tables.estimate_rows(journal.DOCTYPE, season_name) > EXACT_ROWS
	return _not_empty(rows), is_estimate


def _not_empty(rows: Rows) -> Rows:
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
