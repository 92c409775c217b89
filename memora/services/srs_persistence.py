"""Folds journalled answers from the outbox into the tracker, outside the learner's request."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

import frappe
from frappe import _
from frappe.utils import background_jobs, get_datetime
from frappe.utils.redis_queue import RedisQueue
from redis.exceptions import RedisError

from memora.services import memory_store, scheduling, site_time
from memora.services.circuit_breaker import CircuitBreaker, Unavailable
from memora.services.memory_store import MemoryRecord
from memora.services.srs_redis_manager import SRSRedisManager

QUEUE = "srs_write"
FALLBACK_QUEUE = "short"  # where the bench's `workers` do not list QUEUE
JOB = "memora.services.srs_persistence.persist_review_batch"

SWEEP_AFTER_SECONDS = 60  # by then a worker has had its chance
SWEEP_ROWS = 500  # an upper bound of one run, which takes seconds

_queue_breaker = CircuitBreaker(failures=(RedisError, OSError))


class PersistResult(TypedDict):
	success: bool
	processed_count: int
	failed_count: int
	errors: list[str]


def enqueue_fold(key: str, player: str, season: str) -> str | None:
	"""Has a worker fold a committed submission; the job's id, None if the queue is not there.

	In that case it is folded here and now. Never raises because of the queue.
	"""
	try:
		with _queue_breaker.guard():
			return _enqueue(key, player, season)
	except Unavailable as error:
		frappe.logger("memora").warning(f"queue Redis: folding {key} without it: {error}")
	fold(key)
	return None


def _enqueue(key: str, player: str, season: str) -> str:
	if not background_jobs._redis_queue_conn:
		# Frappe tries for four seconds to make its first connection: make sure that it will succeed
		_ping_queue()
	queue = QUEUE if QUEUE in background_jobs.get_queues_timeout() else FALLBACK_QUEUE
	job = frappe.enqueue(
		JOB, queue=queue, job_id=key, responses=[], user=player, season=season, submission=key
	)
	return job.id


def job_id_of(key: str) -> str:
	"""The RQ id of the job that folds a submission."""
	return background_jobs.create_job_id(key)


def _ping_queue() -> None:
	RedisQueue.get_connection().ping()


def persist_review_batch(
	responses: list[dict[str, Any]], user: str, season: str, submission: str | None = None
) -> PersistResult:
	"""The RQ job. `submission` names an outbox row, whose content is then what counts; without one the
	responses are persisted as SRSPersistenceService.persist_review_batch does."""
	if not submission:
		return SRSPersistenceService().persist_review_batch(responses, user, season)
	row = fold(submission)
	return _persisted(len(row.records) if row else 0)


def fold(key: str) -> memory_store.OutboxRow | None:
	"""Moves one submission from outbox to tracker in one transaction and returns it.

	None where another process has done it. Repeating or reordering folds changes nothing.
	"""
	with memory_store.transaction():
		row = memory_store.take_outbox(key)
		if row:
			memory_store.upsert_records(row.player, row.season, row.records, _now())
			memory_store.delete_outbox(key)
	return row


def sweep_outbox() -> int:
	"""Folds what no worker has folded within SWEEP_AFTER_SECONDS, oldest first; how many submissions.

	Runs every minute. Drops the cached schedule of each learner concerned: whoever did not get as far
	as enqueueing may not have updated it either.
	"""
	keys = memory_store.outbox_names(_now() - timedelta(seconds=SWEEP_AFTER_SECONDS), SWEEP_ROWS)
	for key in keys:
		if row := fold(key):
			SRSRedisManager().clear_user_cache(row.player, row.season)
	return len(keys)


class SRSPersistenceService:
	"""Asynchronous persistence of review results, for callers that schedule on their own.

	Memora's own answers reach the tracker by way of the outbox; both use the same upsert, in which the
	newest answer wins.
	"""

	MAX_RETRIES = 3
	RETRY_DELAY_BASE = 1  # seconds
	RETRY_DELAY_MAX = 60  # seconds
	IDEMPOTENCY_WINDOW = 300  # seconds

	def persist_review_batch(
		self, responses: list[dict[str, Any]], user: str, season: str, retry_count: int = 0
	) -> PersistResult:
		"""Persists results {question_id, new_stability, new_next_review_date, subject?, topic?}.

		One that can't be read is counted and named in `errors`, the others are stored. One that repeats
		what was stored in the last IDEMPOTENCY_WINDOW seconds changes nothing. After a deadlock or a
		lock wait it tries again up to MAX_RETRIES times, then raises. Dates are naive site time.
		"""
		problem = _unknown(user, season)
		if problem:
			return PersistResult(
				success=False, processed_count=0, failed_count=len(responses), errors=[problem]
			)
		results, errors = _parse_results(responses)
		for attempt in range(retry_count, self.MAX_RETRIES + 1):
			try:
				self._store(results, user, season)
				break
			except (frappe.QueryDeadlockError, frappe.QueryTimeoutError):
				if attempt == self.MAX_RETRIES:
					raise
				time.sleep(min(self.RETRY_DELAY_BASE * 2**attempt, self.RETRY_DELAY_MAX))
		return _persisted(len(results), errors)

	def persist_single_review(self, response: dict[str, Any], user: str, season: str) -> bool:
		"""Persists one result; whether it could be."""
		return self.persist_review_batch([response], user, season)["success"]

	def get_persistence_status(self, job_id: str) -> dict[str, Any] | None:
		"""{job_id, status} of a submission's job; None for an id that no submission has.

		`status` is RQ's (queued, started, failed, …) while the answers wait, `finished` once they are in
		the tracker, also when RQ has forgotten the job; `waiting` where it forgot one that is not done.
		"""
		key = job_id.rpartition("::")[2]
		if memory_store.is_folded(key):
			return {"job_id": job_id, "status": "finished"}
		if not memory_store.is_waiting(key):
			return None
		job = background_jobs.get_job(key)
		return {"job_id": job_id, "status": str(job.get_status(refresh=False)) if job else "waiting"}

	def _store(self, results: list["_Result"], user: str, season: str) -> None:
		with memory_store.player_lock(user):
			stored = memory_store.get_records(user, season, [r.question_id for r in results])
			now = _now()
			window_start = now - timedelta(seconds=self.IDEMPOTENCY_WINDOW)
			records = [
				r.applied_to(stored.get(r.question_id), now)
				for r in results
				if not r.repeats(stored.get(r.question_id), window_start)
			]
			with memory_store.transaction():
				memory_store.upsert_records(user, season, records, now)
			scores = {r.question_id: site_time.to_epoch(r.next_review_date) for r in records}
			SRSRedisManager().reschedule(user, season, scores)


@dataclass(frozen=True)
class _Result:
	"""A caller's own scheduling of one question."""

	question_id: str
	stability: float
	next_review_date: datetime
	subject: str | None
	topic: str | None

	def repeats(self, record: MemoryRecord | None, window_start: datetime) -> bool:
		return bool(
			record
			and record.last_review_date >= window_start
			and abs(record.stability - self.stability) < 10**-scheduling.DECIMALS
			and record.next_review_date == self.next_review_date
		)

	def applied_to(self, record: MemoryRecord | None, now: datetime) -> MemoryRecord:
		return MemoryRecord(
			question_id=self.question_id,
			subject=self.subject or (record and record.subject),
			topic=self.topic or (record and record.topic),
			stability=round(self.stability, scheduling.DECIMALS),
			difficulty=record.difficulty if record else scheduling.initial_difficulty(),
			state=record.state if record else "Review",
			reps=record.reps + 1 if record else 1,
			lapses=record.lapses if record else 0,
			next_review_date=self.next_review_date,
			last_review_date=now,
			creation=record.creation if record else now,
		)


def _parse_results(responses: list[dict[str, Any]]) -> tuple[list[_Result], list[str]]:
	results, errors = [], []
	for index, response in enumerate(responses):
		try:
			results.append(_parse_result(response))
		except (KeyError, TypeError, ValueError) as error:
			errors.append(_("Response {0}: {1}").format(index + 1, f"{type(error).__name__}: {error}"))
	return results, errors


def _parse_result(response: dict[str, Any]) -> _Result:
	stability = float(response["new_stability"])
	if not 0 < stability < float("inf"):
		raise ValueError(f"new_stability must be a positive number of days, not {stability}")
	question_id, due = response["question_id"], get_datetime(response["new_next_review_date"])
	if not question_id or not isinstance(question_id, str):
		raise ValueError(f"question_id must be a text, not {question_id!r}")
	if not due:
		raise ValueError("new_next_review_date is missing")
	return _Result(question_id, stability, due, response.get("subject"), response.get("topic"))


def _unknown(user: str, season: str) -> str | None:
	if frappe.db.get_value("User", user) != user:
		return _("There is no user {0}.").format(user)
	if frappe.db.get_value("Game Subscription Season", season) != season:
		return _("There is no season {0}.").format(season)
	return None


def _persisted(count: int, errors: list[str] | None = None) -> PersistResult:
	errors = errors or []
	return PersistResult(success=not errors, processed_count=count, failed_count=len(errors), errors=errors)


def _now() -> datetime:
	return site_time.to_naive(site_time.now())
