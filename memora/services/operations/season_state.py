"""Says where a season stands, for the season's form in the desk.

Costs a few queries and one look at each of the season's jobs, however large the season is.
"""

from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from memora.exceptions import QueueUnavailable
from memora.services.cache import rebuild
from memora.services.operations import admin_jobs, archiving, moving_dates
from memora.services.operations.admin_jobs import JobState
from memora.services.store import database, date_moves, runs, seasons, tables

GOING_ON = {"queued", "started"}
REBUILD_FIELDS = "name, status, started_at, ended_at, records, estimated_records, schedules, error"
RECONCILIATION_FIELDS = "name, started_at, sample_size, discrepancies_found, discrepancy_rate, auto_corrected"


def get_season_state(name: str) -> dict[str, Any]:
	"""Returns {season, tables, cache, archive, dates, jobs, queue_error, actions, is_busy}. Raises UnknownSeason.

	tables     {doctype: {rows, bytes, created_at}}, or {doctype: null} if the season has no partition in this table
	cache      {is_enabled, rebuild, reconciliation, is_running, percent, error}: the last runs, null if there was none
	archive    {started_at, archived_at, archived_records, status, is_running, percent, error}
	dates      {is_pending, is_running, percent, moved, error}: of the job that moves dates after a change of the calendar
	jobs       {kind: {status, error?}} of the jobs that RQ still knows; `queue_error` says why RQ can't be asked
	actions    what may be done now; the endpoints check again
	is_busy    true if the form should look again soon

	`percent` says how far the last run is, null if there was none. `is_running` is true also while a run waits for a
	worker. Datetimes are naive site time.
	"""
	season = seasons.get_document(name)
	jobs, queue_error = _jobs(season)
	found = tables.describe_season(season.name)
	cache, archive, dates = _cache(season, jobs), _archive(season, jobs), _dates(season, jobs)
	return {
		"season": season.name,
		"tables": found,
		"cache": cache,
		"archive": archive,
		"dates": dates,
		"jobs": {kind: {k: v for k, v in job.items() if k != "result"} for kind, job in jobs.items()},
		"queue_error": queue_error,
		"actions": _actions(season, found, cache, archive),
		"is_busy": _is_busy(cache, archive, jobs) or dates["is_running"],
	}


def _jobs(season: Document) -> tuple[dict[str, JobState], str | None]:
	"""Returns the season's last jobs that RQ still knows, by kind, and the reason if RQ can't be asked."""
	ids = seasons.get_jobs(season)
	if not ids:
		return {}, None
	try:
		found = admin_jobs.find_jobs(ids.values())
	except QueueUnavailable as error:
		frappe.clear_last_message()
		return {}, str(error)
	return {kind: found[job_id] for kind, job_id in ids.items() if job_id in found}, None


def _cache(season: Document, jobs: dict[str, JobState]) -> dict[str, Any]:
	run = runs.get_last(rebuild.DOCTYPE, REBUILD_FIELDS, season.name)
	if run and run.status == "Running" and not database.is_locked(rebuild.lock_name(season.name)):
		run.status = "Failed"
		run.error = _("The rebuild was cut off. The next rebuild continues where it stopped.")
	is_begun = run is not None and run.status == "Running"
	is_queued = not is_begun and _status(jobs, "rebuild") in GOING_ON
	is_running = is_begun or is_queued
	return {
		"is_enabled": bool(season.enable_redis),
		"rebuild": run,
		"reconciliation": runs.get_last("Cache Reconciliation", RECONCILIATION_FIELDS, season.name),
		"is_running": is_running,
		"percent": 0 if is_queued else run and _percent(run),
		"error": None if is_running else (run and run.error) or _error(jobs, "rebuild", "reconcile"),
	}


def _archive(season: Document, jobs: dict[str, JobState]) -> dict[str, Any]:
	is_archived, is_begun = bool(season.archived_at), bool(season.archive_started_at)
	has_step = is_begun and not is_archived and season.archive_step > 0
	is_moving = has_step and database.is_locked(archiving.LOCK)
	is_queued = not is_archived and not is_moving and _status(jobs, "archive") in GOING_ON
	is_running = is_moving or is_queued
	return {
		"started_at": season.archive_started_at,
		"archived_at": season.archived_at,
		"archived_records": season.archived_records,
		"status": season.archive_status,
		"is_running": is_running,
		"percent": 0 if is_queued else 100 * season.archive_step / archiving.STEPS if is_begun else None,
		"error": None if is_running else _why_not_archived(season, jobs, is_cut_off=has_step),
	}


def _dates(season: Document, jobs: dict[str, JobState]) -> dict[str, Any]:
	note = date_moves.read(season.date_moves)
	is_begun = note.is_open and database.is_locked(moving_dates.lock_name(season.name))
	is_running = is_begun or (note.is_open and _status(jobs, "dates") in GOING_ON)
	return {
		"is_pending": note.is_open,
		"is_running": is_running,
		"percent": note.percent if note.version else None,
		"moved": note.moved,
		"error": None if is_running else note.error,
	}


def _why_not_archived(season: Document, jobs: dict[str, JobState], is_cut_off: bool) -> str | None:
	if season.archived_at:
		return _error(jobs, "retention")
	if is_cut_off:
		return _("Archiving was cut off at: {0}. Archive again to continue from there.").format(
			season.archive_status
		)
	return (season.archive_started_at and season.archive_status) or _error(jobs, "archive")


def _actions(
	season: Document, found: dict[str, Any], cache: dict[str, Any], archive: dict[str, Any]
) -> list[str]:
	is_closed = bool(season.archive_started_at)
	is_rebuilding = cache["is_running"]
	has_cache = cache["is_enabled"] and not is_closed
	possible = {
		"switch": not season.is_active and not is_closed and None not in found.values(),
		"create_partitions": None in found.values(),
		"rebuild": has_cache and not is_rebuilding,
		"cancel_rebuild": is_rebuilding,
		"reconcile": has_cache,
		"archive": not season.is_active and not season.archived_at and not archive["is_running"],
		"retention": bool(season.archived_at),
	}
	return [action for action, is_possible in possible.items() if is_possible]


def _is_busy(cache: dict[str, Any], archive: dict[str, Any], jobs: dict[str, JobState]) -> bool:
	others = {_status(jobs, kind) for kind in ("reconcile", "retention")}
	return cache["is_running"] or archive["is_running"] or bool(others & GOING_ON)


def _percent(run: frappe._dict) -> float:
	"""Returns how far a rebuild is. This is below 100 until the rebuild has completed: the estimate may be too low."""
	return (
		100.0 if run.status == "Completed" else min(99.0, 100 * run.records / max(run.estimated_records, 1))
	)


def _status(jobs: dict[str, JobState], kind: str) -> str | None:
	return jobs[kind]["status"] if kind in jobs else None


def _error(jobs: dict[str, JobState], *kinds: str) -> str | None:
	"""Returns why jobs of these kinds have failed; None if none has."""
	return "; ".join(jobs[kind]["error"] for kind in kinds if "error" in jobs.get(kind, ())) or None
