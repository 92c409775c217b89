"""Folds journalled answers from the outbox into the tracker, outside the learner's request."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import frappe
from frappe import _
from frappe.utils import background_jobs, get_datetime
from frappe.utils.redis_queue import RedisQueue
from redis.exceptions import RedisError
from rq.job import JobStatus
from rq.timeouts import JobTimeoutException
from typing_extensions import TypedDict

from memora.services import activity, alerts, memory_store, scheduling, site_time
from memora.services.circuit_breaker import CircuitBreaker, Unavailable
from memora.services.memory_store import MemoryRecord, OutboxRow
from memora.services.srs_redis_manager import SRSRedisManager

T = TypeVar("T")

QUEUE = "srs_write"
FALLBACK_QUEUE = "short"  # where the bench's `workers` do not list QUEUE
JOB = "memora.services.srs_persistence.persist_review_batch"
JOB_WAITS_SECONDS = 5  # how long a queued job may keep others from being queued, should it get lost

FOLD_SUBMISSIONS = 250  # in one transaction: some 5,000 answers, a few tenths of a second
DRAIN_SECONDS = 60  # of one job or sweep; a job may take 300
SWEEP_AFTER_SECONDS = 60  # by then a worker has had its chance
INLINE_SHARE = 0.2  # of a web process's time, for folding while there is no queue; the rest is the sweeper's

_queue_breaker = CircuitBreaker(failures=(RedisError, OSError))


class Folded(NamedTuple):
	"""A submission that reached the tracker: its name in the outbox, and how many answers it held."""

	name: str
	season: str
	answers: int


class PersistResult(TypedDict):
	success: bool
	processed_count: int
	failed_count: int
	errors: list[str]


class PersistenceStatus(TypedDict):
	"""`finished`: in the tracker. `parked`: can't be folded until an operator has mended why. The others, while the
	answers wait in the outbox, which they leave also where a job has failed."""

	job_id: str
	status: Literal["queued", "started", "failed", "parked", "finished"]


# Queueing


def enqueue_fold(key: str, player: str, season: str) -> str | None:
	"""Has a worker fold a committed submission; the job's id, None if the queue is not there.

	In that case it is folded here and now if no others are. Never raises: the rest is left to the sweeper.
	"""
	try:
		with _queue_breaker.guard():
			_enqueue(key, player, season)
			return job_id_of(key)
	except Unavailable as error:
		_logger().warning(f"queue Redis: {error}")
	with _inline.turn() as is_mine:
		if is_mine:
			_fold_inline(key)
	return None


def _fold_inline(key: str) -> None:
	try:
		_fold_or_park([key], SRSPersistenceService.MAX_RETRIES)  # at once or not at all: a learner waits
	except memory_store.DATABASE_FAILURES as error:
		_logger().warning(f"left {key} to the sweeper: {error}")


class _InlineFolds:
	"""Keeps a storm of submissions from becoming a storm of folds: a process folds one at a time, and for
	INLINE_SHARE of its time."""

	def __init__(self) -> None:
		self.lock = threading.Lock()
		self.next_at = 0.0

	@contextmanager
	def turn(self) -> Iterator[bool]:
		"""Whether a fold may begin now."""
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


def _enqueue(key: str, player: str, season: str) -> None:
	"""Queues a job unless one waits already: that one drains the outbox, this submission included."""
	reach_queue()
	if not background_jobs.get_redis_conn().set(_job_waits_key(), key, nx=True, ex=JOB_WAITS_SECONDS):
		return
	enqueue_job(key, player, season)


def enqueue_job(key: str, player: str, season: str) -> None:
	"""Queues a submission's own job, whether or not another one waits. Raises RedisError."""
	frappe.enqueue(
		JOB, queue=get_queue(), job_id=key, responses=[], user=player, season=season, submission=key
	)


def reach_queue() -> None:
	"""Raises at once where the queue's Redis is not there: Frappe would try for four seconds to make its
	first connection."""
	if not background_jobs._redis_queue_conn:
		RedisQueue.get_connection().ping()


def get_queue() -> str:
	"""The queue of the folds, as the bench's configuration has it."""
	return QUEUE if QUEUE in background_jobs.get_queues_timeout() else FALLBACK_QUEUE


def job_id_of(key: str) -> str:
	"""The id under which get_persistence_status knows a submission; RQ's, where it has a job of its own."""
	return background_jobs.create_job_id(key)


def _job_status(key: str) -> str | None:
	"""What RQ says of a submission's own job; None where it has none, or can't be asked."""
	try:
		with _queue_breaker.guard():
			job = background_jobs.get_job(key)
			return JobStatus(job.get_status(refresh=False)).value if job else None  # a text in older RQs
	except Unavailable:
		return None


def _job_waits_key() -> str:
	return f"memora:{frappe.local.site}:fold-waits"


def persist_review_batch(
	responses: list[dict[str, Any]], user: str, season: str, submission: str | None = None
) -> PersistResult:
	"""The RQ job. `submission` names an outbox row: that one is folded, and then all others that wait.
	Without one the responses are persisted as SRSPersistenceService.persist_review_batch does."""
	if not submission:
		return SRSPersistenceService().persist_review_batch(responses, user, season)
	# from here on, whoever commits a submission queues another job: this one may have looked already
	background_jobs.get_redis_conn().delete(_job_waits_key())
	own = fold(submission)
	others = drain(site_time.naive_now())
	return _persisted((len(own.records) if own else 0) + sum(folded.answers for folded in others))


# Folding


def fold(key: str) -> OutboxRow | None:
	"""Moves one submission from outbox to tracker in one transaction and returns it.

	None where another process has done it or is doing it. Repeating or reordering folds changes nothing.
	"""
	rows = _fold_or_park([key])
	return rows[0] if rows else None


def drain(
	before: datetime, seconds: float = DRAIN_SECONDS, progress: Callable[[int], None] | None = None
) -> list[Folded]:
	"""Folds the submissions accepted up to a naive site time, oldest first, and returns them.

	Stops when none is left that nobody else is folding, or after so many seconds. One that can't be folded
	is parked and does not stop the others. `progress`, if given, is called with how many are folded.
	"""
	return _drain(lambda: memory_store.oldest_outbox(before, FOLD_SUBMISSIONS), seconds, progress)


def drain_season(season: str) -> list[Folded]:
	"""As drain, for one season."""
	return _drain(lambda: memory_store.outbox_of_season(season, FOLD_SUBMISSIONS), DRAIN_SECONDS)


def _drain(
	next_names: Callable[[], list[str]], seconds: float, progress: Callable[[int], None] | None = None
) -> list[Folded]:
	folded: list[Folded] = []
	deadline = time.monotonic() + seconds
	with memory_store.read_committed():
		while time.monotonic() < deadline:
			names = next_names()
			rows = _fold_or_park(names)
			folded += [Folded(row.name, row.season, len(row.records)) for row in rows]
			if progress:
				progress(len(folded))
			if len(names) < FOLD_SUBMISSIONS or not rows:
				return folded
	return folded


def sweep_outbox() -> int:
	"""Folds what no worker has folded within SWEEP_AFTER_SECONDS; how many submissions.

	Runs every minute.
	"""
	SRSRedisManager().is_available()  # if an outage is over that nobody else has noticed to be over
	return len(drain(site_time.naive_now() - timedelta(seconds=SWEEP_AFTER_SECONDS)))


def unpark() -> int:
	"""Puts parked submissions back among those that wait; how many. Commits."""
	with memory_store.transaction():
		return memory_store.unpark_outbox()


def _fold_or_park(names: list[str], attempt: int = 0) -> list[OutboxRow]:
	"""Folds these in one transaction; if that can't be, one by one, and parks each that can't be folded."""
	try:
		return _with_retries(lambda: _fold(names), attempt)
	except JobTimeoutException:
		raise  # the job has had its time, whatever it did when it was over
	except Exception as error:  # whatever one of them holds must not stop the others
		if memory_store.is_transient(error):
			raise
		if len(names) == 1:
			_park(names[0], error)
			return []
	return [row for name in names for row in _fold_or_park([name])]


def _fold(names: list[str]) -> list[OutboxRow]:
	with memory_store.transaction():
		rows = memory_store.take_outbox(names)
		memory_store.fold_rows(rows)
		activity.count(rows)
	_check_cache(rows)
	return rows


def _check_cache(rows: list[OutboxRow]) -> None:
	"""Whoever stored these may have died before the cache knew of them: then the schedule is dropped."""
	manager, zone = SRSRedisManager(), site_time.site_zone()

	def scores(records: Iterable[MemoryRecord]) -> dict[str, float]:
		return {r.question_id: site_time.to_epoch(r.next_review_date, zone) for r in records}

	def present(row: OutboxRow) -> dict[str, float]:
		ids = [r.question_id for r in row.records]
		return scores(memory_store.get_records(row.player, row.season, ids).values())

	for row in rows:
		if not manager.drop_outdated(row.player, row.season, scores(row.records), partial(present, row)):
			return  # Redis is not there: what it holds is not believed when it is back


@alerts.in_site_language()
def _park(name: str, error: Exception) -> None:
	reason = f"{type(error).__name__}: {error}"
	with memory_store.transaction():
		memory_store.park_outbox(name, reason, site_time.naive_now())
	_logger().error(f"parked {name}: {reason}")
	if memory_store.get_parked(limit=2) == [name]:  # the first of what may be many
		alerts.tell_managers(
			_("Answers could not be folded"),
			_("Submission {0} is parked in Review Outbox: {1}").format(name, reason),
			("Review Outbox", name),
		)


def _with_retries(action: Callable[[], T], attempt: int = 0) -> T:
	"""Runs a transaction again after a deadlock or a lock wait, as Frappe's own retry does not."""
	service = SRSPersistenceService
	while True:
		try:
			return action()
		except (frappe.QueryDeadlockError, frappe.QueryTimeoutError) as error:
			if attempt >= service.MAX_RETRIES:
				_logger().error(f"given up: {error}")
				raise
			delay = min(service.RETRY_DELAY_BASE * 2**attempt, service.RETRY_DELAY_MAX)
			attempt += 1
			_logger().warning(f"retry {attempt} of {service.MAX_RETRIES} in {delay} s: {error}")
			time.sleep(delay)


def _logger():
	return frappe.logger("memora")


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
		for error in errors:
			_logger().error(f"persist_review_batch, {user}, {season}: {error}")
		_with_retries(lambda: self._store(results, user, season), retry_count)
		return _persisted(len(results), errors)

	def persist_single_review(self, response: dict[str, Any], user: str, season: str) -> bool:
		"""Persists one result; whether it could be."""
		return self.persist_review_batch([response], user, season)["success"]

	def get_persistence_status(self, job_id: str) -> PersistenceStatus | None:
		"""{job_id, status} of a submission's job; None for an id that no submission has.

		`finished` once its answers are in the tracker, also when RQ has forgotten the job; `queued`, or what
		RQ says of a job of its own (started, failed), while they wait; `parked` where they can't be folded.
		"""
		key = job_id.rpartition("::")[2]
		if status := memory_store.get_outbox_status(key):
			job_status = _job_status(key) if status == "queued" else None
			return {"job_id": job_id, "status": job_status if job_status in ("started", "failed") else status}
		return {"job_id": job_id, "status": "finished"} if memory_store.is_journalled(key) else None

	def _store(self, results: list["_Result"], user: str, season: str) -> None:
		with memory_store.player_lock(user):
			stored = memory_store.get_records(user, season, [r.question_id for r in results])
			now = site_time.naive_now()
			window_start = now - timedelta(seconds=self.IDEMPOTENCY_WINDOW)
			records = [
				r.applied_to(stored.get(r.question_id), now)
				for r in results
				if not r.repeats(stored.get(r.question_id), window_start)
			]
			with memory_store.transaction():
				memory_store.keep_from_archive(season)
				memory_store.upsert_records(user, season, records)
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
	question_id, due = response["question_id"], response["new_next_review_date"]
	if not question_id or not isinstance(question_id, str):
		raise ValueError(f"question_id must be a text, not {question_id!r}")
	if not due:
		raise ValueError("new_next_review_date is missing")
	return _Result(question_id, stability, get_datetime(due), response.get("subject"), response.get("topic"))


def _unknown(user: str, season: str) -> str | None:
	if not isinstance(user, str) or frappe.db.get_value("User", user) != user:
		return _("There is no user {0}.").format(user)
	found = frappe.db.get_value("Game Subscription Season", season, ["name", "archive_started_at"])
	if not found or found[0] != season:
		return _("There is no season {0}.").format(season)
	if found[1]:
		return _("Season {0} is being archived or is archived.").format(season)
	return None


def _persisted(count: int, errors: list[str] | None = None) -> PersistResult:
	errors = errors or []
	return PersistResult(success=not errors, processed_count=count, failed_count=len(errors), errors=errors)
