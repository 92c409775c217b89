"""Long jobs that managers or the scheduler start. They run on the queue `long` and have ids that begin with PREFIX."""

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, Literal, NoReturn, cast
from uuid import uuid4

import frappe
from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq.job import Job, JobStatus
from typing_extensions import NotRequired, TypedDict

from memora.exceptions import JobFailed, QueueUnavailable, UnknownJob, quoting
from memora.services import alerts
from memora.services.folding import queueing
from memora.services.folding.queueing import QueueIsFull, reach_queue
from memora.services.store import seasons

QUEUE = "long"
TIMEOUT_SECONDS = 6 * 60 * 60
DEAD_SECONDS = 600  # beyond a job's time: by then RQ has ended it, if there is a worker
JOB = "memora.services.operations.admin_jobs.run_admin_job"
PREFIX = "memora-"
Status = Literal["queued", "started", "finished", "failed"]
STATUSES: dict[str, Status] = {  # by RQ's status: RQ tells more of them apart
	"created": "queued",
	"deferred": "queued",
	"scheduled": "queued",
	"queued": "queued",
	"started": "started",
	"finished": "finished",
	"failed": "failed",
	"stopped": "failed",
	"canceled": "failed",
}


class StartedJob(TypedDict):
	"""A job that waits for a worker."""

	status: Literal["queued"]
	job_id: str


class JobState(TypedDict):
	"""A job. `result` is what a finished job returned. `error` says why a job has failed."""

	job_id: str
	status: Status
	result: NotRequired[dict[str, Any]]
	error: NotRequired[str]


def start_admin_job(kind: str, action: str, **arguments: Any) -> StartedJob:
	"""Queues a job that calls the function `action` with `arguments`, and returns {status: queued, job_id}.

	A season that is named in `arguments` remembers the job; see seasons.get_jobs. Commits. Raises QueueUnavailable.
	"""
	job_id = f"{PREFIX}{kind}-{uuid4().hex[:12]}"
	_queue_once(job_id, action, arguments)
	if season := arguments.get("season_name") or arguments.get("season"):
		seasons.note_job(season, kind, job_id)
	return {"status": "queued", "job_id": job_id}


def start_only_job(kind: str, of: str, action: str, **arguments: Any) -> StartedJob:
	"""Queues the job of this kind that `of` has, unless this job waits or runs. Raises QueueUnavailable.

	`of` becomes part of the job's id: letters, digits, `_` and `-`.
	"""
	job_id = f"{PREFIX}{kind}-{of}"
	_queue_once(job_id, action, arguments)
	return {"status": "queued", "job_id": job_id}


def _queue_once(job_id: str, action: str, arguments: dict[str, Any]) -> None:
	try:
		queue_once(job_id, JOB, action=action, arguments=arguments)
	except (RedisError, QueueIsFull) as error:
		refuse(error)


def queue_once(job_id: str, method: str, **arguments: Any) -> Job | None:
	"""Queues a job, unless the job of this id waits or runs; that job is returned. Raises RedisError, QueueIsFull."""
	reach_queue()
	before = background_jobs.get_job(job_id)
	if before and is_going_on(before):
		return before
	if before:
		before.delete()
	queueing.enqueue(method, queue=QUEUE, timeout=TIMEOUT_SECONDS, job_id=job_id, **arguments)
	return None


def is_job_going_on(job_id: str) -> bool:
	"""Says whether a job waits or runs, as far as the queue can be asked."""
	try:
		reach_queue()
		job = background_jobs.get_job(job_id)
		return bool(job) and is_going_on(job)
	except RedisError:
		return False


def is_going_on(job: Job) -> bool:
	"""Says whether a job waits or runs. A job that is in no queue any more does not wait, whatever its status says."""
	status = status_of(job)
	return (status == "started" and not _is_dead(job)) or (
		status == "queued" and job.get_position() is not None
	)


def has_failed(job: Job) -> bool:
	"""Says whether a job has failed, or has died with all workers of its queue, of which none is left to say so."""
	return status_of(job) == "failed" or _is_dead(job)


def _is_dead(job: Job) -> bool:
	"""Says whether a job has been running for longer than it may. A worker that executes jobs itself tells of none meanwhile."""
	if status_of(job) != "started" or not job.last_heartbeat:
		return False
	return _seconds_since(job.last_heartbeat) > (job.timeout or TIMEOUT_SECONDS) + DEAD_SECONDS


def waited_seconds(job: Job) -> float:
	"""Returns how long a job has been waiting in its queue; 0 if it does not wait."""
	if status_of(job) != "queued" or not job.enqueued_at:
		return 0
	return _seconds_since(job.enqueued_at)


def _seconds_since(moment: datetime) -> float:
	"""Takes RQ's times, which are UTC, whether or not they say so."""
	return (datetime.now(timezone.utc) - moment.replace(tzinfo=timezone.utc)).total_seconds()


def status_of(job: Job) -> Status:
	"""Returns a job's status in the words of JobState."""
	return STATUSES[JobStatus(job.get_status(refresh=False)).value]


@alerts.in_site_language()
def run_admin_job(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
	"""Runs a job in the worker. Raises JobFailed if the result has an `error`, so that RQ counts the job as failed."""
	result = frappe.get_attr(action)(**arguments)
	if result.get("error"):
		raise JobFailed(result["error"])
	return result


def get_job_status(job_id: str) -> JobState:
	"""Returns how far a job is; see api.srs.get_job_status. Raises UnknownJob, QueueUnavailable."""
	if status := find_jobs([job_id]).get(job_id):
		return status
	frappe.throw(quoting(_("There is no job {0}."), job_id), UnknownJob)


def find_jobs(job_ids: Iterable[str]) -> dict[str, JobState]:
	"""Returns by id how far jobs are. Jobs that RQ no longer knows are left out. Raises QueueUnavailable."""
	try:
		reach_queue()
		jobs = {i: background_jobs.get_job(i) for i in job_ids if i.startswith(PREFIX)}
		return {job_id: _status(job_id, job) for job_id, job in jobs.items() if job}
	except RedisError as error:
		refuse(error)


def _status(job_id: str, job: Job) -> JobState:
	state: JobState = {"job_id": job_id, "status": status_of(job)}
	result, trace = job.return_value(), job.exc_info
	if state["status"] == "finished":
		state["result"] = cast("dict[str, Any]", result)  # run_admin_job always returns a dictionary
	elif trace:
		state["error"] = _error(trace)
	return state


def _error(trace: str) -> str:
	"""Returns the last line of a traceback, `module.Class: message`; of a JobFailed, only the message."""
	return trace.strip().splitlines()[-1].removeprefix(f"{JobFailed.__module__}.{JobFailed.__name__}: ")


def refuse(error: Exception) -> NoReturn:
	"""Raises QueueUnavailable for QueueIsFull, or with the message of Redis."""
	if isinstance(error, QueueIsFull):
		frappe.throw(_("Too many jobs wait in the queue. Try again later."), QueueUnavailable)
	frappe.throw(quoting(_("The Redis for the queue can't be reached: {0}"), error), QueueUnavailable)
