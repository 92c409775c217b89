"""Shows operators the submissions that are not folded yet, side by side with the jobs that fold them.

Submissions wait in the outbox. Jobs are in the queue's Redis. One job folds all submissions that wait, so most
submissions never have a job of their own. A submission and its job have one name here: the submission's key, which is
RQ's job id without the site in front. Jobs of other sites, which may be in the same Redis, have no name here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count, islice
from typing import Any, Final, NamedTuple

import frappe
from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.queue import Queue

from memora.exceptions import JobStateError, UnknownJob, quoting
from memora.services import site_time
from memora.services.folding import queueing
from memora.services.operations import admin_jobs
from memora.services.operations.admin_jobs import StartedJob
from memora.services.store import outbox
from memora.services.store.records import OutboxEntry

WAITING, PARKED = "waiting", "parked"  # a submission whose job, if any, does not matter
QUEUED: Final = "queued"
STARTED, FAILED, FINISHED = "started", "failed", "finished"
OTHERS = ("deferred", "scheduled", "canceled")
STATUSES = (PARKED, FAILED, WAITING, STARTED, QUEUED, *OTHERS, FINISHED)  # in the order of lists
OF_RQ = {JobStatus.STOPPED: FAILED}  # RQ tells the two apart

CHUNK = 100  # names that are looked up in one round trip
LOOK_AT_MOST = 5000  # names that are looked up for one list, in about a second


@dataclass(frozen=True)
class WriteJob:
	"""A submission that waits, a job, or both. `entry` is the submission's row in the outbox, `job` is RQ's job."""

	name: str
	entry: OutboxEntry | None
	job: Job | None

	@property
	def status(self) -> str:
		status = _status(self.job) if self.job else None
		if not self.entry or status in (QUEUED, STARTED):
			return status or QUEUED
		if self.entry.parked_at:
			return PARKED
		return FAILED if status == FAILED else WAITING

	@property
	def not_folded(self) -> bool:
		return bool(self.entry)

	@property
	def player(self) -> str | None:
		return self.entry.player if self.entry else self.arguments.get("user")

	@property
	def season(self) -> str | None:
		return self.entry.season if self.entry else self.arguments.get("season")

	@property
	def arguments(self) -> dict[str, Any]:
		"""Returns the job's arguments for persist_review_batch; an empty dictionary if they can't be read."""
		try:
			return self.job.kwargs.get("kwargs") or {} if self.job else {}
		except DeserializationError:
			return {}

	@property
	def accepted_at(self) -> datetime | None:
		if self.entry:
			return self.entry.accepted_at
		return _site_time(self.job.created_at) if self.job else None

	@property
	def traceback(self) -> str:
		return (self.job.exc_info or "") if self.job and self.status == FAILED else ""

	@property
	def error(self) -> str:
		"""Returns why the submission was parked, or the last line of the job's traceback."""
		if self.entry and self.entry.parked_at:
			return self.entry.error or ""
		return self.traceback.strip().rpartition("\n")[2]

	def as_dict(self) -> dict[str, Any]:
		"""Returns the fields of an SRS Write Job. `age` is in seconds."""
		age = site_time.naive_now() - self.accepted_at if self.accepted_at else None
		return {
			"name": self.name,
			"status": self.status,
			"player": self.player,
			"season": self.season,
			"not_folded": int(self.not_folded),
			"accepted_at": self.accepted_at,
			"age": age and max(0, int(age.total_seconds())),
			"started_at": self.job and _site_time(self.job.started_at),
			"ended_at": self.job and _site_time(self.job.ended_at),
			"error": self.error,
			"traceback": self.traceback,
		}


class Page(NamedTuple):
	"""A part of a list.

	`unreachable` says why the queue's Redis can't be asked; then only the outbox is shown. `is_whole` is false if there
	are more submissions and jobs than are looked up for one list.
	"""

	jobs: list[WriteJob]
	unreachable: str
	is_whole: bool


def find_write_jobs(
	matches: Callable[[WriteJob], bool], statuses: set[str], start: int = 0, limit: int | None = None
) -> Page:
	"""Returns submissions and jobs that match and have one of `statuses`: in the order of STATUSES, the oldest first."""
	try:
		return _find(_queue(), matches, statuses, start, limit)
	except RedisError as error:
		page = _find(None, matches, statuses, start, limit)
		return page._replace(unreachable=str(error) or type(error).__name__)


def get_write_job(name: str) -> WriteJob | None:
	"""Returns a submission or job; None if there is none. Raises RedisError if only Redis could tell."""
	try:
		found = _load(_queue(), [name])
	except RedisError:
		found = _load(None, [name])
		if not found:
			raise
	return found[0] if found else None


def retry_write_job(name: str) -> StartedJob:
	"""Queues a job for a submission, or a failed job again; see api.srs.retry_write_job.

	Folding twice changes nothing. A parked submission stays parked until it is folded. Raises UnknownJob, JobStateError,
	QueueUnavailable.
	"""
	try:
		found = next(iter(_load(_queue(), [name])), None)
		_queue_again(_require_retriable(name, found))
	except (RedisError, queueing.QueueIsFull) as error:
		admin_jobs.refuse(error)
	except (InvalidJobOperation, NoSuchJobError):
		frappe.throw(quoting(_("Job {0} was retried a moment ago."), name), JobStateError)
	return {"status": QUEUED, "job_id": queueing.job_id_of(name)}


def _require_retriable(name: str, found: WriteJob | None) -> WriteJob:
	if not found:
		message = _("There is no job {0}, and no submission of this name waits. It may be done already.")
		frappe.throw(quoting(message, name), UnknownJob)
	if found.status in (PARKED, WAITING) or (found.status == FAILED and _is_undone(found)):
		return found
	if found.status in (FAILED, FINISHED):
		frappe.throw(quoting(_("The answers of {0} are processed already."), name), JobStateError)
	frappe.throw(
		quoting(
			_("Job {0} is {1}. Only a job that failed, is parked or waits can be retried."),
			name,
			_(found.status, context="SRS Write Job"),
		),
		JobStateError,
	)


def _is_undone(failed: WriteJob) -> bool:
	"""Says whether a failed job's answers are not folded yet. Another job may have folded its submission since."""
	return bool(failed.entry or not failed.arguments.get("submission"))


def _queue_again(found: WriteJob) -> None:
	if found.job and not found.entry:  # only the job holds the answers
		found.job.requeue()
		return
	if found.job:
		found.job.delete()
	if found.entry:
		queueing.enqueue_job(found.name, found.entry.player, found.entry.season)


# Looking up


def _queue() -> Queue | None:
	"""Returns the queue of folds; None if the bench has no queue of this name. Raises RedisError.

	Without this queue, folds go to a queue that other jobs share: Frappe's list RQ Job shows that queue.
	"""
	queueing.reach_queue()
	if queueing.get_queue() != queueing.QUEUE:
		return None
	return background_jobs.get_queue(queueing.QUEUE)


def _find(
	queue: Queue | None,
	matches: Callable[[WriteJob], bool],
	statuses: set[str],
	start: int,
	limit: int | None,
) -> Page:
	seen: set[str] = set()
	found = (job for job in _each(queue, statuses, seen) if job.status in statuses and matches(job))
	jobs = list(islice(found, start, None if limit is None else start + limit))
	return Page(jobs, "", len(seen) < LOOK_AT_MOST)


def _each(queue: Queue | None, statuses: set[str], seen: set[str]) -> Iterator[WriteJob]:
	"""Yields each submission and job once, and looks up no more than the caller takes. `seen` collects the names."""
	for names in _names(queue, statuses):
		new = [name for name in dict.fromkeys(names) if name not in seen][: LOOK_AT_MOST - len(seen)]
		seen.update(new)
		yield from _load(queue, new)
		if len(seen) >= LOOK_AT_MOST:
			return


def _names(queue: Queue | None, statuses: set[str]) -> Iterator[list[str]]:
	"""Yields chunks of this site's names, from each place where a submission or job of these statuses may be."""
	site = queueing.job_id_of("*").removesuffix("*")
	for source in _sources(queue, statuses):
		for names in source:
			yield [name.removeprefix(site) for name in names if name.startswith(site)]


def _sources(queue: Queue | None, statuses: set[str]) -> Iterator[Iterator[list[str]]]:
	"""Yields iterators through chunks of job ids."""
	for status in STATUSES:
		if status not in statuses:
			continue
		if status in (PARKED, WAITING):
			yield _ids_of_outbox(status == PARKED)
		elif queue:
			yield _ids_of_queue(queue, status)


def _ids_of_outbox(parked: bool) -> Iterator[list[str]]:
	place = None
	while page := outbox.get_page(parked, CHUNK, place):
		yield [queueing.job_id_of(found.name) for found in page]
		place = page[-1]


def _ids_of_queue(queue: Queue, status: str) -> Iterator[list[str]]:
	for start in count(0, CHUNK):
		if status == QUEUED:
			ids = queue.get_job_ids(start, CHUNK)
		else:
			ids = getattr(queue, f"{status}_job_registry").get_job_ids(start, start + CHUNK - 1)
		yield ids
		if len(ids) < CHUNK:
			break


def _load(queue: Queue | None, names: list[str]) -> list[WriteJob]:
	"""Returns the submissions and jobs that have these names, in the order of the names."""
	entries = outbox.get_entries(names)
	jobs = _fetch(queue, names) if queue else [None] * len(names)
	pairs = zip(names, jobs, strict=True)
	return [WriteJob(name, entries.get(name), job) for name, job in pairs if job or name in entries]


def _fetch(queue: Queue, names: list[str]) -> list[Job | None]:
	ids = [queueing.job_id_of(name) for name in names]
	try:
		return [*Job.fetch_many(ids, connection=queue.connection)]
	except NoSuchJobError:  # one job is damaged; asking for each by itself finds out which
		return [background_jobs.get_job(name) for name in names]


def _status(job: Job) -> str | None:
	status = job.get_status(refresh=False)
	return status and OF_RQ.get(status, JobStatus(status).value)


def _site_time(moment: datetime | None) -> datetime | None:
	"""Returns a moment of RQ in naive site time. RQ's moments are UTC, and naive in older versions."""
	return site_time.to_naive(moment.replace(tzinfo=timezone.utc)) if moment else None
