"""What the scheduler has done, and may take longer than the 300 seconds that Frappe gives it.

Each is a job of the queue `long` with an id of its own, so none is queued while the last one waits or runs. Whatever a job
does, it goes on where the last one stopped. One that was killed, or whose time was over, is started again within the hour,
MOST_ATTEMPTS times in all. Managers are told of each that did not finish.
"""

from typing import Any, Literal

import frappe
from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq import get_current_job
from rq.job import Job
from rq.timeouts import JobTimeoutException

from memora.exceptions import JobFailed
from memora.services import alerts
from memora.services.figures import due_forecast
from memora.services.folding.queueing import QueueIsFull, reach_queue
from memora.services.operations import admin_jobs
from memora.services.store import database, seasons

JOB = "memora.services.operations.scheduled_jobs.run_scheduled_job"
SCHEDULERS = "frappe.core.doctype.scheduled_job_type.scheduled_job_type.run_scheduled_job"
MOST_ATTEMPTS = 3  # each has six hours
WAIT_SECONDS = 60 * 60  # after which a job that waits when its next turn comes is told of
TOLD = "memora_told"  # in the job's `meta`: what managers were told
ENDED = "memora_ended"  # in the job's `meta`: why it failed, if it lived to say so

Kind = Literal["archive", "flag", "reconcile", "forecast", "content", "notes", "learners"]
ACTIONS: dict[Kind, str] = {
	"archive": "memora.services.operations.archiving.archive_seasons_that_are_over",
	"flag": "memora.services.operations.retention.flag_eligible",
	"reconcile": "memora.services.cache.reconciliation.reconcile",
	"forecast": "memora.services.figures.due_forecast.compute_daily_forecast",
	"content": "memora.services.learning.content_changes.compare_with_source",
	"notes": "memora.services.operations.clearing.clear_old_notes",
	"learners": "memora.services.operations.clearing.clear_learners_who_left",
}
HOURLY: set[Kind] = {"forecast", "content"}


# The scheduler's entries. Those that the seeds name are in the seeds' doors.


def compute_daily_forecast() -> None:
	"""Has the active season's forecast made, if it is not up to date. Runs hourly."""
	if due_forecast.is_outdated():
		start_scheduled("forecast")


def compare_with_source() -> None:
	"""Has the question source compared with what is noted of it. Runs hourly."""
	start_scheduled("content")


def clear_old_notes() -> None:
	"""Has deleted what only piles up. Runs daily."""
	start_scheduled("notes")


def clear_learners_who_left() -> None:
	"""Has the learners deleted of whom nothing is left. Runs weekly."""
	start_scheduled("learners")


def compare_with_database() -> dict[str, Any]:
	"""Has Redis compared with MariaDB, if the active season has schedules in Redis. Runs daily."""
	season = seasons.get_active_season()
	return start_scheduled("reconcile") if season and season.enable_redis else {}


@alerts.in_site_language()
def resume_unfinished() -> None:
	"""Starts again what was killed or whose time was over. Runs hourly, and never waits for a queue that is not there."""
	try:
		reach_queue()
		jobs = {kind: background_jobs.get_job(job_id_of(kind)) for kind in ACTIONS}
	except RedisError:
		return
	for kind, job in jobs.items():
		if job and _was_cut_off(job):
			_tell_if_killed(kind, job)
			if (attempt := _attempt_of(job) + 1) <= MOST_ATTEMPTS:
				start_scheduled(kind, attempt)


# Starting


def is_called_by_scheduler() -> bool:
	"""Says whether Frappe's scheduler calls, not a manager, a command, or a job of ours."""
	job = get_current_job()
	return job is not None and job.kwargs.get("method") == SCHEDULERS


@alerts.in_site_language()
def start_scheduled(kind: Kind, attempt: int = 1) -> dict[str, Any]:
	"""Queues the job of a kind, unless it waits or runs, and returns {job_id}.

	Managers are told if it can't be queued, or if it has been waiting since the last turn.
	"""
	told = None
	try:
		reach_queue()
		if before := background_jobs.get_job(job_id_of(kind)):
			_tell_if_killed(kind, before)
			told = before.meta.get(TOLD)
		waiting = admin_jobs.queue_once(job_id_of(kind), JOB, kind=kind, attempt=attempt, told=told)
		if waiting and kind not in HOURLY and admin_jobs.waited_seconds(waiting) > WAIT_SECONDS:
			_tell(kind, _("It waits for a worker of the queue {0}.").format(admin_jobs.QUEUE))
	except (RedisError, QueueIsFull) as error:
		_tell(kind, _("It could not be queued: {0}").format(error))
	return {"job_id": job_id_of(kind)}


def job_id_of(kind: Kind) -> str:
	return f"{admin_jobs.PREFIX}scheduled-{kind}"


# The job


@alerts.in_site_language()
def run_scheduled_job(kind: Kind, attempt: int = 1, told: str | None = None) -> dict[str, Any]:
	"""Runs a job in the worker. Managers are told if it does not finish. The error goes on, so that RQ knows of it.

	`told` is what managers were told of the run before. Of what fails every hour for the same reason they hear once.
	"""
	try:
		result = frappe.get_attr(ACTIONS[kind])() or {}
		if isinstance(result, dict) and result.get("error"):
			raise JobFailed(result["error"])
	except Exception as error:  # whatever it is, managers must hear of it
		database.renew()  # the end of a job's time may have come while MariaDB was answering
		why = f"{type(error).__name__}: {error}"
		_note_end(error, why)
		if kind not in HOURLY or why != told:
			_tell(kind, why)
		raise
	return result if isinstance(result, dict) else {"count": result}


def _note_end(error: Exception, why: str) -> None:
	if job := get_current_job():
		job.meta[TOLD] = why
		job.meta[ENDED] = "time" if isinstance(error, JobTimeoutException) else "error"
		job.save_meta()  # type: ignore[no-untyped-call]


def _was_cut_off(job: Job) -> bool:
	"""Says whether a job was killed, or its time was over."""
	return admin_jobs.has_failed(job) and job.meta.get(ENDED) != "error"


def _tell_if_killed(kind: Kind, job: Job) -> None:
	"""A job that was killed could tell nobody."""
	if admin_jobs.has_failed(job) and ENDED not in job.meta:
		_tell(kind, _("Its worker was killed."))
		job.meta[ENDED] = "killed"
		job.save_meta()  # type: ignore[no-untyped-call]


def _attempt_of(job: Job) -> int:
	return job.kwargs["kwargs"].get("attempt", 1)


@alerts.in_site_language()
def _tell(kind: Kind, why: str) -> None:
	text = _("{0}: {1} What is left is done by the next run.")
	alerts.tell_managers(_("A scheduled job did not finish"), text.format(name_of(kind), why))


def name_of(kind: Kind) -> str:
	"""Returns what a job does, for managers to read."""
	return {
		"archive": _("Archiving of seasons that are over"),
		"flag": _("Flagging of what is past retention"),
		"reconcile": _("Comparison of Redis with MariaDB"),
		"forecast": _("Due Forecast"),
		"content": _("Comparison with the question source"),
		"notes": _("Deletion of old notes"),
		"learners": _("Deletion of learners who have left"),
	}[kind]
