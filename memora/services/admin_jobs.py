"""Long work that administrators start: jobs on the queue `long`, known by ids of their own."""

from typing import Any, Literal, NoReturn
from uuid import uuid4

import frappe
from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq.job import JobStatus
from typing_extensions import NotRequired, TypedDict

from memora.exceptions import JobFailed, QueueUnavailable, UnknownJob
from memora.services.srs_persistence import reach_queue

QUEUE = "long"
TIMEOUT_SECONDS = 6 * 60 * 60
JOB = "memora.services.admin_jobs.run"
PREFIX = "memora-"
WORDS = {  # where RQ has more of them
	**dict.fromkeys(("created", "deferred", "scheduled"), "queued"),
	**dict.fromkeys(("stopped", "canceled"), "failed"),
}


class StartedJob(TypedDict):
	"""A job that waits for a worker."""

	status: Literal["queued"]
	job_id: str


class JobState(TypedDict):
	"""A job: `result` is what its service returned, once it is finished; `error` why it has failed."""

	job_id: str
	status: Literal["queued", "started", "finished", "failed"]
	result: NotRequired[dict[str, Any]]
	error: NotRequired[str]


def start(kind: str, action: str, **arguments: Any) -> StartedJob:
	"""Queues a job that calls a function with these arguments: {status: queued, job_id}. Raises QueueUnavailable."""
	job_id = f"{PREFIX}{kind}-{uuid4().hex[:12]}"
	try:
		reach_queue()
		frappe.enqueue(
			JOB, queue=QUEUE, timeout=TIMEOUT_SECONDS, job_id=job_id, action=action, arguments=arguments
		)
	except RedisError as error:
		refuse(error)
	return {"status": "queued", "job_id": job_id}


def run(action: str, arguments: dict[str, Any]) -> dict[str, Any]:
	"""The RQ job. A result with an `error` is a failure, as an exception is."""
	result = frappe.get_attr(action)(**arguments)
	if result.get("error"):
		raise JobFailed(result["error"])
	return result


def get_status(job_id: str) -> JobState:
	"""See api.srs.get_job_status. Raises UnknownJob, QueueUnavailable."""
	try:
		reach_queue()
		job = background_jobs.get_job(job_id) if job_id.startswith(PREFIX) else None
		if not job:
			frappe.throw(_("There is no job {0}.").format(frappe.utils.escape_html(job_id)), UnknownJob)
		status = JobStatus(job.get_status()).value
		result, trace = job.return_value(), job.exc_info
	except RedisError as error:
		refuse(error)
	answer = {"job_id": job_id, "status": WORDS.get(status, status)}
	if status == JobStatus.FINISHED:
		return {**answer, "result": result}
	return {**answer, "error": _error(trace)} if trace else answer


def _error(trace: str) -> str:
	"""The last line of a traceback, `module.Class: message`; of JobFailed, the message."""
	return trace.strip().splitlines()[-1].removeprefix(f"{JobFailed.__module__}.{JobFailed.__name__}: ")


def refuse(error: RedisError) -> NoReturn:
	"""Raises QueueUnavailable."""
	frappe.throw(_("The queue's Redis is not there: {0}").format(error), QueueUnavailable)
