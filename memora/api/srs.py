"""What administrators do: caches, archives, retention, and how it all is. For System and Memora Managers."""

from typing import Any

import frappe
from werkzeug.wrappers import Response

from memora.api.parsing import parse_filter, parse_flag, parse_name, parse_number
from memora.api.utils import require_manager, require_monitor
from memora.services import admin_jobs, cache_rebuild, cache_status, health, metrics, seasons
from memora.services.partition_manager import estimate_rows
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_reconciliation import MAX_SAMPLE_SIZE, SAMPLE_SIZE


@frappe.whitelist(methods=["POST"])
def rebuild_season_cache(season: str | None = None) -> dict[str, Any]:
	"""Starts a job that loads the schedules of all learners of a season into Redis.

	Answers {status: queued, job_id, estimated_records}; see get_job_status. Errors: UnknownSeason 404,
	SeasonStateError 409, QueueUnavailable 503.
	"""
	require_manager()
	season = cache_rebuild.require_cache(parse_name("season", season))
	return {
		**admin_jobs.start(
			"rebuild", "memora.services.srs_redis_manager.rebuild_season_cache", season_name=season
		),
		"estimated_records": estimate_rows("Player Memory Tracker", season),
	}


@frappe.whitelist(methods=["POST"])
def cancel_rebuild(season: str | None = None) -> dict[str, Any]:
	"""Has the rebuild of a season stop within seconds: {cancelled}, false if none is going on."""
	require_manager()
	return {"cancelled": cache_rebuild.cancel(parse_name("season", season))}


@frappe.whitelist(methods=["GET", "POST"])
def get_cache_status() -> dict[str, Any]:
	"""{redis_connected, is_safe_mode, memory_used_mb, total_keys, keys_by_season, is_exact, sampled_keys}.

	`keys_by_season` counts schedules; `is_exact` says whether all keys were looked at, or only `sampled_keys`
	of them, from which the rest is estimated. Figures are null while Redis is not there.
	"""
	require_manager()
	return cache_status.get()


@frappe.whitelist(methods=["POST"])
def trigger_reconciliation(sample_size: int | str = SAMPLE_SIZE, season: str | None = None) -> dict[str, Any]:
	"""Starts a job that compares Redis with MariaDB and mends it: {status: queued, job_id}.

	`sample_size` is in records; get_job_status gives the report. Errors: InvalidLimit 400, UnknownSeason 404,
	QueueUnavailable 503.
	"""
	require_manager()
	size = parse_number("sample_size", sample_size, MAX_SAMPLE_SIZE)
	season = _parse_season(season)
	method = "memora.services.srs_reconciliation.reconcile_cache_with_database"
	return admin_jobs.start("reconcile", method, sample_size=size, season=season)


@frappe.whitelist(methods=["POST"])
def archive_season(season: str | None = None, confirm: bool | int | str = False) -> dict[str, Any]:
	"""Starts a job that archives a season; without `confirm`, says what it would move.

	Answers {status: queued, job_id} or {status: dry_run, …get_archive_status}. Errors: UnknownSeason 404,
	SeasonStateError 409, QueueUnavailable 503.
	"""
	require_manager()
	archiver = SRSArchiver()
	season = seasons.get(parse_name("season", season)).name
	archiver.require_archivable(season)
	if not parse_flag("confirm", confirm):
		return {"status": "dry_run", **archiver.get_archive_status(season)}
	return admin_jobs.start("archive", "memora.services.srs_archiver.archive_season", season_name=season)


@frappe.whitelist(methods=["GET", "POST"])
def get_archive_status(season: str | None = None) -> dict[str, Any]:
	"""Counts of a season's records; see SRSArchiver.get_archive_status. Errors: UnknownSeason 404."""
	require_manager()
	return SRSArchiver().get_archive_status(parse_name("season", season))


@frappe.whitelist(methods=["POST"])
def delete_eligible_records(season: str | None = None, confirm: bool | int | str = False) -> dict[str, Any]:
	"""Starts a job that deletes archived records past retention; without `confirm`, says how many of which season.

	Answers {status: queued, job_id} or {status: dry_run, seasons: {season: records}}. Errors: UnknownSeason 404,
	QueueUnavailable 503.
	"""
	require_manager()
	season = _parse_season(season)
	if not parse_flag("confirm", confirm):
		return {"status": "dry_run", "seasons": SRSArchiver().delete_eligible_records(season)["seasons"]}
	method = "memora.services.srs_archiver.delete_eligible_records"
	return admin_jobs.start("retention", method, season_name=season)


@frappe.whitelist(methods=["GET", "POST"])
def get_job_status(job_id: str | None = None) -> dict[str, Any]:
	"""{job_id, status, result?, error?} of a job that one of these endpoints has started.

	`status` is queued, started, finished or failed. Errors: UnknownJob 404 (RQ forgets a finished one after ten
	minutes), QueueUnavailable 503.
	"""
	require_manager()
	return admin_jobs.get_status(parse_name("job_id", job_id))


@frappe.whitelist(methods=["GET", "POST"])
def get_health() -> dict[str, Any]:
	"""{status: ok | warning | critical, checks: {name: {status, value, message}}}; see services.health.

	For Memora Monitor, too.
	"""
	require_monitor()
	return health.get()


@frappe.whitelist(methods=["GET"])
def get_metrics() -> Response:
	"""What Prometheus scrapes, in its text format: times of requests on this host, and figures of this site.

	For Memora Monitor, too. docs/monitoring.md names the metrics.
	"""
	require_monitor()
	text, content_type = metrics.render(frappe.get_request_header("Accept", ""))
	return Response(text, content_type=content_type)


def _parse_season(value: Any) -> str | None:
	"""The stored name of a season that need not be given; raises InvalidFilter and UnknownSeason."""
	name = parse_filter("season", value)
	return seasons.get(name).name if name else None
