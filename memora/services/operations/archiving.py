"""Moves all records of a season that is over from the tracker to the archive.

A season is archived by swapping partitions, not by copying rows. Each step is one statement. A step happens or does not
happen, and afterwards all of the season's rows are in one of three tables:

	1. make an empty table, with the tracker's columns                    rows in the tracker
	2. EXCHANGE the tracker's partition with it: it is the staging table  rows in the staging table
	3. add the archive's two columns to it (no row is touched)            rows in the staging table
	4. EXCHANGE the archive's partition with it, and drop it              rows in the archive

The tables themselves tell which step comes next, so the next run finishes a run that died. If step 4 is impossible, the
rows are copied in chunks instead; see store/swap.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import formatdate
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException
from typing_extensions import TypedDict

from memora.exceptions import JobFailed, MemoraError, SeasonNotOver, SeasonStateError, quoting
from memora.services import alerts, site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.store import archive, database, failures, outbox, seasons, swap
from memora.services.store.loops import go_through

DOCTYPE = "Game Subscription Season"
LOCK = "archive"  # an archive or retention run holds this lock
EXACT_ROWS = 1_000_000  # which a request may count, in a second or two
STEPS = 6  # of progress that an archive run reports
FOLD_WAIT_SECONDS = 30  # for submissions that others are folding: one that hangs loses its locks after 20

# Errors that end a run without harm: refusals, and errors of MariaDB (locks, a full disk, a lost connection)
FAILURES: tuple[type[Exception], ...] = (MemoraError, *failures.ERRORS)
STOPS: tuple[type[Exception], ...] = (*FAILURES, JobTimeoutException)


class ArchiveStatus(TypedDict):
	"""A season's records, counted. Records on their way to the archive count as active."""

	season: str
	is_active: bool
	auto_archive: bool
	end_date: date
	active_records: int
	archived_records: int
	eligible_for_deletion: int
	total_records: int


class ShownStatus(ArchiveStatus):
	"""A season's records, as a request shows them. If `is_estimate` is true, the figures are estimates by two digits."""

	is_estimate: bool


def archive_season(season_name: str, *, before_its_end: bool = False) -> dict[str, Any]:
	"""Archives all records of a season. Commits. Returns {success, archived_count, season, error?}.

	Refuses an unknown season, the active season, and a season that is archived already; and unless `before_its_end`, a season
	whose last day is not over. Refuses every season while another
	run is going on. The journal stays where it is. `archived_count` includes records that earlier runs have moved.
	"""
	try:
		season_name = seasons.get_season(season_name).name
		with only_run():
			count = _archive(season_name, before_its_end)
	except FAILURES as error:
		frappe.logger("memora").error(f"archiving {season_name}: {error}")
		return {"success": False, "archived_count": 0, "season": season_name, "error": str(error)}
	return {"success": True, "archived_count": count, "season": season_name}


@alerts.in_site_language()
def archive_seasons_that_are_over() -> dict[str, Any]:
	"""Archives each season that is over, not active, and set to auto_archive. Completes runs that died. Commits.

	Returns {success, archived_seasons (how many), failed_seasons (names)}. A season that fails does not stop the other
	seasons. Managers are told of each failure.
	"""
	today = site_time.naive_now().date()
	names = seasons.get_seasons_to_archive(today)
	failed = list(go_through(names, _archive_by_schedule, _tell_of_failure))
	return {"success": not failed, "archived_seasons": len(names) - len(failed), "failed_seasons": failed}


def _archive_by_schedule(season_name: str) -> None:
	if error := archive_season(season_name).get("error"):
		raise JobFailed(error)


def _tell_of_failure(season_name: str, error: Exception) -> None:
	text = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
	alerts.tell_managers(
		_("A season could not be archived"), f"{season_name}: {text}", (DOCTYPE, season_name)
	)


def get_archive_status(season_name: str) -> ArchiveStatus:
	"""Counts a season's records, which takes seconds if there are millions. Raises UnknownSeason."""
	season = seasons.get_document(season_name)
	return _status(season, archive.count_records(season.name))


def show_archive_status(season_name: str) -> ShownStatus:
	"""Returns the status for a request, which must not take long: more than EXACT_ROWS are estimated. Raises UnknownSeason."""
	season = seasons.get_document(season_name)
	counts = archive.estimate_records(season.name, season.archive_flags, EXACT_ROWS)
	return {**_status(season, counts), "is_estimate": counts.is_estimate}


def _status(season: Document, counts: archive.RecordCounts) -> ArchiveStatus:
	return {
		"season": season.name,
		"is_active": bool(season.is_active),
		"auto_archive": bool(season.auto_archive),
		"end_date": season.end_date,
		"active_records": counts.active,
		"archived_records": counts.archived,
		"eligible_for_deletion": counts.eligible,
		"total_records": counts.active + counts.archived,
	}


def require_archivable(season_name: str, before_its_end: bool = False) -> None:
	"""Raises UnknownSeason, SeasonNotOver, or SeasonStateError if the season is active or archived already."""
	_refuse_to_archive(seasons.get_document(season_name), before_its_end)


def is_over(end_date: date) -> bool:
	"""Says whether a season's last day is over."""
	return end_date < site_time.naive_now().date()


@contextmanager
def only_run(wait_seconds: int = 0) -> Iterator[None]:
	"""Keeps other archive and retention runs away. Raises SeasonStateError while another run is going on."""
	with database.named_lock(LOCK, wait_seconds) as is_mine:
		if not is_mine:
			frappe.throw(_("Another archive or retention run is going on."), SeasonStateError)
		yield


def _archive(season_name: str, before_its_end: bool) -> int:
	_close(season_name, before_its_end)
	try:
		return _move(season_name)
	except STOPS as error:
		with suppress(*FAILURES):  # MariaDB may be down
			if isinstance(error, JobTimeoutException):  # perhaps while MariaDB was answering
				database.renew()
			_set_status(season_name, _("Stopped: {0}").format(error), 0)
		raise


def _move(season_name: str) -> int:
	_report(season_name, _("Processing the last answers"), 1)
	_fold_outbox(season_name)
	_report(season_name, _("Removing the rows from the tracker"), 2)
	swap.take_out(season_name)
	step = _("Adding the rows to the archive")
	_report(season_name, step, 3)
	swap.put_in(
		season_name,
		site_time.naive_now(),
		on_copied=lambda rows: _report(season_name, _("{0}: {1} copied").format(step, rows), 3),
	)
	_report(season_name, _("Clearing the cache"), 4)
	is_cleared = Schedules().clear_season(season_name) or not seasons.uses_redis()
	_report(season_name, _("Counting"), 5)
	return _finish(season_name, is_cleared)


def _close(season_name: str, before_its_end: bool) -> None:
	"""Closes the season: waits for answers that are being written, and has later answers refused."""
	with database.transaction():
		season = seasons.get_document(season_name, for_update=True)
		_refuse_to_archive(season, before_its_end)
		started_at = season.archive_started_at or site_time.naive_now()
		frappe.db.set_value(DOCTYPE, season_name, "archive_started_at", started_at, update_modified=False)


def _refuse_to_archive(season: Document, before_its_end: bool) -> None:
	if season.is_active:
		frappe.throw(
			quoting(_("Season {0} is active. Deactivate it before archiving it."), season.name),
			SeasonStateError,
		)
	if season.archived_at:
		frappe.throw(quoting(_("Season {0} is archived already."), season.name), SeasonStateError)
	if not (before_its_end or season.archive_started_at or is_over(season.end_date)):
		text = _(
			"Season {0} ends on {1}, and archiving can't be undone. To archive it all the same, confirm before_its_end."
		)
		frappe.throw(quoting(text, season.name, formatdate(season.end_date)), SeasonNotOver)


def _fold_outbox(season_name: str) -> None:
	waited_seconds = 0
	while any(outbox.count_of_season(season_name)):
		if folds.drain_season(season_name).folded:
			waited_seconds = 0
			continue
		database.new_snapshot()
		waiting, parked = outbox.count_of_season(season_name)
		if parked or waited_seconds >= FOLD_WAIT_SECONDS:
			_refuse_unfolded(season_name, waiting, parked)
		waited_seconds += 1
		time.sleep(1)
		database.new_snapshot()


def _refuse_unfolded(season_name: str, waiting: int, parked: int) -> None:
	frappe.throw(
		quoting(
			_(
				"Submissions of season {1} still wait in Review Outbox: {0}, of them parked: {2}. A parked submission says why it could not be processed. Mend the cause, run `bench memora drain --parked`, and archive again."
			),
			outbox.as_text(waiting + parked),
			season_name,
			outbox.as_text(parked),
		),
		SeasonStateError,
	)


def _finish(season_name: str, is_cache_cleared: bool) -> int:
	left, count = archive.count_moved(season_name)
	if left:
		frappe.throw(
			quoting(
				_("New records reached season {1} meanwhile: {0}. Archive the season again."),
				left,
				season_name,
			),
			SeasonStateError,
		)
	status = _("Archived", context="Memora")
	if not is_cache_cleared:
		status = _(
			"Archived. Redis did not answer, so this season's schedules stay there unused until they expire."
		)
	with database.transaction():
		values = {
			"archived_at": site_time.naive_now(),
			"archived_records": count,
			"archive_status": status,
			"archive_step": STEPS,
			"archive_flags": seasons.NONE,
		}
		frappe.db.set_value(DOCTYPE, season_name, values, update_modified=False)
	_publish(season_name, status, STEPS)
	return count


def _report(season_name: str, step: str, done: int) -> None:
	"""Notes in the season's document how far the run is, and tells open forms."""
	_set_status(season_name, step, done)
	_publish(season_name, step, done)


def _set_status(season_name: str, status: str, step: int) -> None:
	values = {"archive_status": status, "archive_step": step}
	with database.transaction():
		frappe.db.set_value(DOCTYPE, season_name, values, update_modified=False)


def _publish(season_name: str, step: str, done: int) -> None:
	"""Tells open forms how far the run is.

	The event is not called `progress`: Frappe would put a dialog before the form.
	"""
	progress = {"percent": 100 * done / STEPS, "description": step}
	with suppress(RedisError):
		frappe.publish_realtime("memora_archive", progress, doctype=DOCTYPE, docname=season_name)
