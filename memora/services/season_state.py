"""Where a season stands, as its form in the desk shows it: a few queries and one look at each of its jobs,
whatever the size of the season."""

from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from memora.exceptions import QueueUnavailable
from memora.services import admin_jobs, cache_rebuild, memory_store, partition_manager, seasons, srs_archiver

GOING_ON = {"queued", "started"}
REBUILD_FIELDS = "name, status, started_at, ended_at, records, estimated_records, schedules, error"
RECONCILIATION_FIELDS = "name, started_at, sample_size, discrepancies_found, discrepancy_rate, auto_corrected"
LAST_SQL = "SELECT {fields} FROM `tab{doctype}` WHERE season = %s ORDER BY started_at DESC LIMIT 1"


def get(name: str) -> dict[str, Any]:
	"""{season, tables, cache, archive, jobs, queue_error, actions, is_busy}; raises UnknownSeason.

	tables     {doctype: {rows, bytes, created_at} or null where the season has no partition}
	cache      {is_enabled, rebuild, reconciliation, percent, error}: the last runs, null where there was none
	archive    {started_at, archived_at, archived_records, status, percent, error}
	jobs       {kind: {status, error?}} of those that RQ still knows; `queue_error` says why it can't be asked
	actions    what may be done now; the endpoints decide again
	is_busy    whether to look again soon

	`percent` is null unless a run waits or is going on. Datetimes are naive site time.
	"""
	season = seasons.get_document(name)
	jobs, queue_error = _jobs(season)
	tables = partition_manager.describe(season.name)
	cache, archive = _cache(season, jobs), _archive(season, jobs)
	return {
		"season": season.name,
		"tables": tables,
		"cache": cache,
		"archive": archive,
		"jobs": {kind: {k: v for k, v in job.items() if k != "result"} for kind, job in jobs.items()},
		"queue_error": queue_error,
		"actions": _actions(season, tables, cache, archive),
		"is_busy": _is_busy(cache, archive, jobs),
	}


def _jobs(season: Document) -> tuple[dict[str, dict[str, Any]], str | None]:
	"""What RQ knows of the season's last jobs, by kind, and why it can't be asked."""
	ids = seasons.get_jobs(season)
	if not ids:
		return {}, None
	try:
		found = admin_jobs.find(ids.values())
	except QueueUnavailable as error:
		frappe.clear_last_message()
		return {}, str(error)
	return {kind: found[job_id] for kind, job_id in ids.items() if job_id in found}, None


def _cache(season: Document, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
	run = _last(cache_rebuild.DOCTYPE, REBUILD_FIELDS, season.name)
	if run and run.status == "Running" and not memory_store.is_locked(cache_rebuild.lock_name(season.name)):
		run.status, run.error = "Failed", _("It was cut off. The next rebuild goes on where it was.")
	is_running = bool(run) and run.status == "Running"
	percent = _percent(run.records, run.estimated_records) if is_running else None
	if percent is None and _status(jobs, "rebuild") in GOING_ON:
		percent = 0
	return {
		"is_enabled": bool(season.enable_redis),
		"rebuild": run,
		"reconciliation": _last("Cache Reconciliation", RECONCILIATION_FIELDS, season.name),
		"percent": percent,
		"error": None if percent is not None else (run and run.error) or _error(jobs, "rebuild", "reconcile"),
	}


def _archive(season: Document, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
	is_archived, is_begun = bool(season.archived_at), bool(season.archive_started_at)
	is_running = is_begun and not is_archived and season.archive_step > 0
	is_cut_off = is_running and not memory_store.is_locked(srs_archiver.LOCK)
	error = _error(jobs, "retention") if is_archived else _error(jobs, "archive")
	if is_cut_off:
		error = _("It was cut off at: {0}. Archive again, and it goes on from there.").format(
			season.archive_status
		)
	elif is_begun and not is_archived and not is_running:
		error = season.archive_status or error
	percent = 100 * season.archive_step / srs_archiver.STEPS if is_running and not is_cut_off else None
	if not is_archived and percent is None and _status(jobs, "archive") in GOING_ON:
		percent, error = 0, None
	return {
		"started_at": season.archive_started_at,
		"archived_at": season.archived_at,
		"archived_records": season.archived_records,
		"status": season.archive_status,
		"percent": percent,
		"error": error,
	}


def _actions(season: Document, tables: dict, cache: dict[str, Any], archive: dict[str, Any]) -> list[str]:
	is_closed = bool(season.archive_started_at)
	is_rebuilding = cache["percent"] is not None
	has_cache = cache["is_enabled"] and not is_closed
	possible = {
		"create_partitions": None in tables.values(),
		"rebuild": has_cache and not is_rebuilding,
		"cancel_rebuild": is_rebuilding,
		"reconcile": has_cache,
		"archive": not season.is_active and not season.archived_at and archive["percent"] is None,
		"retention": bool(season.archived_at),
	}
	return [action for action, is_possible in possible.items() if is_possible]


def _is_busy(cache: dict[str, Any], archive: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> bool:
	others = {_status(jobs, kind) for kind in ("reconcile", "retention")}
	return cache["percent"] is not None or archive["percent"] is not None or bool(others & GOING_ON)


def _last(doctype: str, fields: str, season: str) -> frappe._dict | None:
	rows = frappe.db.sql(LAST_SQL.format(fields=fields, doctype=doctype), (season,), as_dict=True)
	return rows[0] if rows else None


def _percent(records: int, estimated: int) -> float:
	"""Never 100 before it has ended: the estimate may be too low."""
	return min(99.0, 100 * records / max(estimated, 1))


def _status(jobs: dict[str, dict[str, Any]], kind: str) -> str | None:
	return jobs.get(kind, {}).get("status")


def _error(jobs: dict[str, dict[str, Any]], *kinds: str) -> str | None:
	"""Of the jobs of these kinds that have failed."""
	return "; ".join(jobs[kind]["error"] for kind in kinds if "error" in jobs.get(kind, {})) or None
