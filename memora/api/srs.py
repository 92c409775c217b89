"""The endpoints of System and Memora Managers: caches, archives, retention, jobs and health.

A season may be named as `season` or, as in the seeds' services, as `season_name`.
"""

from typing import Annotated, Any, Literal

import frappe
from frappe import _
from typing_extensions import TypedDict
from werkzeug.wrappers import Response

from memora.api.outages import needs_database
from memora.api.parsing import (
	Filter,
	Flag,
	Name,
	parse_filter,
	parse_flag,
	parse_name,
	parse_number,
	whole_number,
)
from memora.api.utils import require_manager, require_monitor
from memora.exceptions import InvalidFilter, quoting
from memora.services.cache import rebuild, status
from memora.services.cache.reconciliation import MAX_SAMPLE_SIZE, SAMPLE_SIZE
from memora.services.cache.status import CacheStatus
from memora.services.operations import (
	admin_jobs,
	archiving,
	health,
	metrics,
	retention,
	switching,
	write_queue,
)
from memora.services.operations.admin_jobs import JobState, StartedJob
from memora.services.operations.archiving import ShownStatus
from memora.services.operations.health import HealthReport
from memora.services.operations.switching import SeasonSwitch
from memora.services.store import seasons
from memora.services.store.tables import estimate_rows


class StartedRebuild(StartedJob):
	"""A job that waits for a worker. `estimated_records` is about how many records the job will load."""

	estimated_records: int


class Cancellation(TypedDict):
	"""`cancelled` is true if there was something to cancel."""

	cancelled: bool


class ArchivePreview(ShownStatus):
	"""A season's records, counted. An archive run would move the `active_records`.

	`is_over` says whether the season's last day is over.
	"""

	status: Literal["dry_run"]
	is_over: bool


class SwitchReport(SeasonSwitch):
	"""What a switch has done, or would do."""

	status: Literal["dry_run", "switched"]


class DeletionPreview(TypedDict):
	"""`seasons` says how many archived records of each season would be deleted, `rows` how many rows by season and DocType.

	More than a million rows are an estimate, rounded to two digits; then `is_estimate` is true.
	"""

	status: Literal["dry_run"]
	seasons: dict[str, int]
	rows: dict[str, dict[str, int]]
	is_estimate: bool


@frappe.whitelist(methods=["POST"])
@needs_database()
def rebuild_season_cache(season: Filter = None, season_name: Filter = None) -> StartedRebuild:
	"""Starts a job that loads the schedules of all learners of a season into Redis; see get_job_status.

	Errors: InvalidFilter 400, UnknownSeason 404, SeasonStateError 409, QueueUnavailable 503.
	"""
	require_manager()
	season = rebuild.require_cache(_parse_name(season, season_name))
	return {
		**admin_jobs.start_admin_job(
			"rebuild", "memora.services.srs_redis_manager.rebuild_season_cache", season_name=season
		),
		"estimated_records": estimate_rows("Player Memory Tracker", season),
	}


@frappe.whitelist(methods=["POST"])
@needs_database()
def cancel_rebuild(season: Filter = None, season_name: Filter = None) -> Cancellation:
	"""Stops the rebuild of a season within seconds.

	Errors: InvalidFilter 400, UnknownSeason 404.
	"""
	require_manager()
	return {"cancelled": rebuild.cancel_rebuild(_parse_name(season, season_name))}


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_cache_status() -> CacheStatus:
	"""Says how the schedules' Redis is, and what it holds. Figures are null while this Redis can't be reached."""
	require_manager()
	return status.get_cache_status()


@frappe.whitelist(methods=["POST"])
@needs_database()
def trigger_reconciliation(
	sample_size: Annotated[Any, whole_number(MAX_SAMPLE_SIZE)] = SAMPLE_SIZE,
	season: Filter = None,
	season_name: Filter = None,
) -> StartedJob:
	"""Starts a job that compares Redis with MariaDB and corrects Redis; get_job_status returns the report.

	`sample_size` is in records. `season` is by default the active season.

	Errors: InvalidLimit, InvalidFilter 400, UnknownSeason 404, QueueUnavailable 503.
	"""
	require_manager()
	size = parse_number("sample_size", sample_size, MAX_SAMPLE_SIZE)
	season = _parse_season(season, season_name)
	method = "memora.services.srs_reconciliation.reconcile_cache_with_database"
	return admin_jobs.start_admin_job("reconcile", method, sample_size=size, season=season)


@frappe.whitelist(methods=["POST"])
@needs_database()
def compute_due_forecast(season: Filter = None, season_name: Filter = None) -> StartedJob:
	"""Starts a job that counts again how many questions fall due in a season on each of the next days.

	Errors: InvalidFilter 400, UnknownSeason 404, QueueUnavailable 503.
	"""
	require_manager()
	name = seasons.get_season(_parse_name(season, season_name)).name
	return admin_jobs.start_admin_job(
		"forecast", "memora.services.figures.due_forecast.compute_forecast", season=name
	)


@frappe.whitelist(methods=["POST"])
@needs_database()
def switch_season(season: Filter = None, confirm: Flag = False, season_name: Filter = None) -> SwitchReport:
	"""Closes the active season and opens this one, in one step: learners notice nothing, and no answer is refused.

	Without `confirm` changes nothing, and says what it would do.

	Errors: InvalidFilter 400, UnknownSeason 404, SeasonStateError 409.
	"""
	require_manager()
	season = _parse_name(season, season_name)
	if not parse_flag("confirm", confirm):
		return {"status": "dry_run", **switching.describe_switch(season)}
	return {"status": "switched", **switching.switch_season(season)}


@frappe.whitelist(methods=["POST"])
@needs_database()
def archive_season(
	season: Filter = None,
	confirm: Flag = False,
	before_its_end: Flag = False,
	season_name: Filter = None,
) -> StartedJob | ArchivePreview:
	"""Starts a job that archives a season. Without `confirm` starts none, and says what the job would move.

	A season whose last day is not over needs `before_its_end`, too.

	Errors: InvalidFilter 400, UnknownSeason 404, SeasonNotOver, SeasonStateError 409, QueueUnavailable 503.
	"""
	require_manager()
	season = seasons.get_season(_parse_name(season, season_name)).name
	is_early = parse_flag("before_its_end", before_its_end)
	if not parse_flag("confirm", confirm):
		archiving.require_archivable(season, before_its_end=True)
		found = archiving.show_archive_status(season)
		return {"status": "dry_run", "is_over": archiving.is_over(found["end_date"]), **found}
	archiving.require_archivable(season, is_early)
	method = "memora.services.srs_archiver.archive_season"
	return admin_jobs.start_admin_job("archive", method, season_name=season, before_its_end=is_early)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_archive_status(season: Filter = None, season_name: Filter = None) -> ShownStatus:
	"""Counts a season's records. More than a million are estimated: `is_estimate` says so, and figures have two digits.

	Errors: InvalidFilter 400, UnknownSeason 404.
	"""
	require_manager()
	return archiving.show_archive_status(_parse_name(season, season_name))


@frappe.whitelist(methods=["POST"])
@needs_database()
def delete_eligible_records(
	season: Filter = None, confirm: Flag = False, season_name: Filter = None
) -> StartedJob | DeletionPreview:
	"""Starts a job that deletes what is flagged as past retention: archived records, and of seasons that are flagged all else.

	`season` is by default all seasons. Without `confirm` starts no job, and says how many rows of each season would go.

	Errors: InvalidFilter 400, UnknownSeason 404, QueueUnavailable 503.
	"""
	require_manager()
	season = _parse_season(season, season_name)
	if not parse_flag("confirm", confirm):
		found = retention.preview_eligible(season)
		return {
			"status": "dry_run",
			"seasons": found["seasons"],
			"rows": found["rows"],
			"is_estimate": found["is_estimate"],
		}
	method = "memora.services.srs_archiver.delete_eligible_records"
	return admin_jobs.start_admin_job("retention", method, season_name=season)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_job_status(job_id: Name = None) -> JobState:
	"""Says how far a job is that a manager has started.

	Errors: InvalidFilter 400, UnknownJob 404, QueueUnavailable 503.
	"""
	require_manager()
	return admin_jobs.get_job_status(parse_name("job_id", job_id))


@frappe.whitelist(methods=["POST"])
@needs_database()
def retry_write_job(name: Name = None) -> StartedJob:
	"""Has a worker fold a submission again, or do a failed job again.

	`name` is the name of an SRS Write Job. Errors: InvalidFilter 400, UnknownJob 404 if the job is gone, JobStateError 409
	if the job is queued, under way or done, QueueUnavailable 503.
	"""
	require_manager()
	return write_queue.retry_write_job(parse_name("name", name))


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_health() -> HealthReport:
	"""Says how the system is, in one word and check by check. For Memora Monitor, too."""
	require_monitor()
	return health.get_health()


@frappe.whitelist(methods=["GET"])
@needs_database()
def get_metrics() -> Annotated[Response, "text/plain", "application/openmetrics-text"]:
	"""Returns metrics in the text format of Prometheus: times of requests on this host, and figures of this site.

	For Memora Monitor, too. docs/monitoring.md names the metrics.
	"""
	require_monitor()
	text, content_type = metrics.render_metrics(frappe.get_request_header("Accept", ""))
	return Response(text, content_type=content_type)


def _parse_name(season: Any, season_name: Any) -> str:
	"""Returns the name of a season, which may be sent as `season` or `season_name`. Raises InvalidFilter."""
	return parse_name("season", _parse_either(season, season_name))


def _parse_season(season: Any, season_name: Any) -> str | None:
	"""Returns the stored name of a season, or None if the client names none. Raises InvalidFilter, UnknownSeason."""
	name = _parse_either(season, season_name)
	return seasons.get_season(name).name if name else None


def _parse_either(season: Any, season_name: Any) -> str | None:
	name, other = parse_filter("season", season), parse_filter("season_name", season_name)
	if name and other and name != other:
		text = _("season and season_name are the same argument, but {0} and {1} are not the same.")
		frappe.throw(quoting(text, name, other), InvalidFilter)
	return name or other
