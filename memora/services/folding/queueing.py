"""Gets committed submissions folded: queues a job, or folds inline without a queue.

Tells a submission's status.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import frappe
from frappe.utils import background_jobs, get_bench_id
from frappe.utils.redis_queue import RedisQueue
from redis.exceptions import RedisError
from rq.job import JobStatus
from typing_extensions import TypedDict

from memora.services import site_time
from memora.services.cache.breaker import CircuitBreaker, Unavailable
from memora.services.folding import folds
from memora.services.store import database, failures, journal, learners, outbox, row_names
from memora.services.store.limits import limited

QUEUE = "srs_write"
FALLBACK_QUEUE = "short"  # if the bench's `workers` do not list QUEUE
# The seeds name this function. Queued jobs hold its path, so the path must stay through every deployment.
JOB = "memora.services.srs_persistence.persist_review_batch"
JOB_WAITS_SECONDS = 5  # how long a queued job that got lost keeps other jobs from being queued
TOLD: dict[JobStatus, Literal["started", "failed"]] = {
	JobStatus.STARTED: "started",
	JobStatus.FAILED: "failed",
}
INLINE_LIMITS = folds.LIMITS._replace(innodb_lock_wait_timeout=1)  # a learner waits
# What Frappe puts between site and key to make a job id: `::` up to version 15, `||` from version 16 on.
AFTER_SITE = re.compile(r"::|\|\|")
INLINE_SHARE = 0.2  # of a web process's time, for folds while there is no queue; the sweeper folds the rest

# What Frappe 16 raises if too many jobs wait. It looks whether the user may read a report of such jobs; if she may not,
# the PermissionError of that report is what is raised.
FULL: tuple[type[Exception], ...] = (
	(frappe.QueueOverloaded, frappe.PermissionError) if hasattr(frappe, "QueueOverloaded") else ()
)

_queue_breaker = CircuitBreaker(failures=(RedisError, OSError))


class PersistenceStatus(TypedDict):
	"""The status of a submission.

	`finished`: its answers are in the tracker. `parked`: its answers can't be folded until an operator has
	removed the reason. `queued`, `started`, `failed`: its answers wait in the outbox; its own job, if any,
	has not run yet, is running or has failed. After a failed job, a later fold still takes the submission.
	"""

	job_id: str
	status: Literal["queued", "started", "failed", "parked", "finished"]


class QueueIsFull(Exception):
	"""Frappe takes no more jobs: from version 16 on, 500 may wait, and 50 for each site (`max_queued_jobs`)."""


# Queueing


def enqueue_fold(key: str, learner: str, season: str) -> str | None:
	"""Has a worker fold a committed submission. Returns its job id; None if the queue can't be reached.

	Without a queue this process folds the submission at once, if its turn to fold inline has come. Never
	raises because of Redis or MariaDB: the sweeper folds a submission that is not folded now.
	"""
	try:
		with _queue_breaker.guard():
			_enqueue(key, learner, season)
			return job_id_of(key)
	except Unavailable as error:
		frappe.logger("memora").warning(f"queue Redis: {error}")
	with _inline.turn() as is_mine:
		if is_mine:
			_fold_inline(key)
	return None


def _fold_inline(key: str) -> None:
	try:
		with limited(INLINE_LIMITS), database.read_committed():
			folds.fold_or_park([key], folds.MAX_RETRIES)  # one try only: a learner waits
	except failures.FAILURES as error:
		frappe.logger("memora").warning(f"left {key} to the sweeper: {error}")


class _InlineFolds:
	"""Keeps a storm of submissions from becoming a storm of folds.

	A process folds one submission at a time, and spends at most INLINE_SHARE of its time on folds.
	"""

	def __init__(self) -> None:
		self.lock = threading.Lock()
		self.next_at = 0.0

	@contextmanager
	def turn(self) -> Iterator[bool]:
		"""Yields whether a fold may begin now."""
		if not self.lock.acquire(blocking=False):
			yield False
			return
		begin = time.monotonic()
		is_due = begin >= self.next_at
		try:
			yield is_due
		finally:
			if is_due:
				end = time.monotonic()
				self.next_at = end + (end - begin) * (1 / INLINE_SHARE - 1)
			self.lock.release()


_inline = _InlineFolds()


def _enqueue(key: str, learner: str, season: str) -> None:
	"""Queues a job, unless a job waits already: a job folds all submissions that wait. Raises RedisError."""
	reach_queue()
	if background_jobs.get_redis_conn().set(job_waits_key(), key, nx=True, ex=JOB_WAITS_SECONDS):
		with suppress(QueueIsFull):  # a job that waits folds this submission, too
			enqueue_job(key, learner, season)


def enqueue_job(key: str, learner: str, season: str) -> None:
	"""Queues a submission's own job, even while another job waits. Raises RedisError, QueueIsFull.

	The job is the Administrator's: RQ describes a job by the address of the user who queues it, in Redis and in its logs.
	"""
	session = frappe.local.session
	user, session.user = session.user, "Administrator"
	try:
		enqueue(JOB, queue=get_queue(), job_id=key, responses=[], user=learner, season=season, submission=key)
	finally:
		session.user = user


def enqueue(method: str, **options: Any) -> None:
	"""Queues a job as frappe.enqueue does. Raises RedisError, QueueIsFull."""
	messages = len(frappe.message_log)
	try:
		frappe.enqueue(method, **options)
	except FULL as error:
		del frappe.message_log[messages:]
		raise QueueIsFull(f"Too many jobs wait in the queue {options['queue']}") from error


def reach_queue() -> None:
	"""Raises RedisError at once if the queue's Redis does not answer. Frappe would try for four seconds."""
	if not background_jobs._redis_queue_conn:
		RedisQueue.get_connection(**_login()).ping()


def _login() -> dict[str, str | None]:
	"""Returns the user and password that `bench create-rq-users` has set, if the bench uses them."""
	conf = frappe.conf
	if not conf.get("use_rq_auth"):
		return {}
	return {"username": conf.get("rq_username") or get_bench_id(), "password": conf.get("rq_password")}


def get_queue() -> str:
	"""Returns the queue for folds: QUEUE if the bench's configuration has it, else FALLBACK_QUEUE."""
	return QUEUE if QUEUE in background_jobs.get_queues_timeout() else FALLBACK_QUEUE


def job_waits_key() -> str:
	"""Returns a key that begins as RQ's do: the users that `bench create-rq-users` makes may use no other."""
	return f"rq:memora:{frappe.local.site}:fold-waits"


# The job


def run_job(key: str) -> int:
	"""Folds one submission, then all others that wait. Returns how many answers were folded."""
	# first, because this job may miss a submission committed from here on: its request then queues a new job
	background_jobs.get_redis_conn().delete(job_waits_key())
	return sum(folded.answers for folded in folds.drain(site_time.naive_now(), first=[key]).folded)


# How far a submission is


def job_id_of(key: str) -> str:
	"""Returns the job id of a submission, for get_status.

	If the submission has a job of its own, RQ has that id.
	"""
	return background_jobs.create_job_id(key)


def key_of(job_id: str) -> str:
	"""Returns the key of the submission that a job id stands for.

	Takes the job ids of every Frappe: a client may ask after an upgrade for what it has sent before.
	"""
	return AFTER_SITE.split(job_id, maxsplit=1)[-1]


def is_of_learner(job_id: str, learner: str) -> bool:
	"""Says whether a submission is a learner's, or was that of a learner who has been merged into her."""
	key = key_of(job_id)
	return row_names.is_of_learner(key, learner) or row_names.is_of_learner(
		learners.current_key(key), learner
	)


def get_status(job_id: str) -> PersistenceStatus | None:
	"""Returns {job_id, status} of a submission; None for an id that no submission has.

	The status is `finished` once the answers are in the tracker, also after RQ has forgotten the job.
	"""
	key = key_of(job_id)
	status = _status_of(key)
	if not status and (key_now := learners.current_key(key)) != key:
		status = _status_of(key_now)
	return {"job_id": job_id, "status": status} if status else None


def _status_of(key: str) -> Literal["queued", "started", "failed", "parked", "finished"] | None:
	waiting = outbox.get_waiting_status(key)
	if waiting == "queued":
		return _job_status(key) or waiting
	return waiting or ("finished" if journal.is_journalled(key) else None)


def _job_status(key: str) -> Literal["started", "failed"] | None:
	"""Returns `started` or `failed` if a submission's own job has done so.

	Returns None if the job has done neither, if the submission has no job, or if RQ can't be asked.
	"""
	try:
		with _queue_breaker.guard():
			job = background_jobs.get_job(key)
			return TOLD.get(JobStatus(job.get_status(refresh=False))) if job else None  # a text in older RQs
	except Unavailable:
		return None
