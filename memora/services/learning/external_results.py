"""Stores the results of callers that schedule on their own, for the seeds' persist_review_batch.

Such results reach the tracker without the outbox. They are journalled as External in the same transaction, so that the
journal explains every date. The caller has judged the answer: an External entry has quality 0, no rating, and no time. No
figure counts it as an answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import frappe
from frappe import _
from frappe.utils import get_datetime
from rq import get_current_job
from rq.job import Job
from typing_extensions import TypedDict

from memora.exceptions import (
	InvalidResponses,
	LearnerIsErased,
	MemoraError,
	SeasonStateError,
	UnknownLearner,
	UnknownSeason,
	quoting,
)
from memora.services import alerts, site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds, queueing
from memora.services.learning import learners, scheduling
from memora.services.learning.plain_names import is_harmless, plain
from memora.services.store import database, journal, question_status, row_names, tracker
from memora.services.store.records import EXTERNAL, JournalEntry, MemoryRecord

REFUSALS = (UnknownLearner, LearnerIsErased, UnknownSeason, SeasonStateError)
IDEMPOTENCY_WINDOW_SECONDS = 300


class PersistResult(TypedDict):
	"""Counts of the results that were stored and that failed, and the reasons why they failed."""

	success: bool
	processed_count: int
	failed_count: int
	errors: list[str]


def persist(responses: list[dict[str, Any]], user: str, season: str, retry_count: int) -> PersistResult:
	"""Stores the results of a caller's own scheduling. Commits.

	`user` is the learner's e-mail or id. A result is {question_id, new_stability (days), new_next_review_date (naive site time), subject?, topic?}.
	A result that can't be read is counted and named in `errors`; the other results are stored. Of two results of one
	question the later one counts. A result that repeats a result stored in the last IDEMPOTENCY_WINDOW_SECONDS changes
	nothing. If the learner or the season does not exist, or the season is being archived or is archived, nothing is stored
	and `success` is false. After a deadlock or a lock wait the transaction is run again, up to folds.MAX_RETRIES times less
	`retry_count`; then the error is raised. Raises JournalUnavailable if another request holds the learner's lock.
	"""
	try:
		return _persist(responses, user, season, retry_count)
	except REFUSALS as refusal:
		return _refused(responses, season, refusal)


def persist_in_job(
	responses: list[dict[str, Any]], user: str, season: str, retry_count: int
) -> PersistResult:
	"""Does what persist does, but nobody reads a job's result: raises what persist would return as an error.

	So the job ends as failed, and keeps the results it was given. If some can't be read, the others are stored, and
	InvalidResponses names those that can't. When the job is run again, it stores only what it has not stored before.
	The results of a learner who is being erased are dropped: a failed job would keep them.
	"""
	job = get_current_job()
	if not job:
		return persist(responses, user, season, retry_count)
	try:
		result = _persist(responses, user, season, retry_count, _id_of_job(job))
	except LearnerIsErased as refusal:
		return _refused(responses, season, refusal)
	except REFUSALS as refusal:
		_tell_managers(type(refusal).__name__)
		raise
	if result["errors"]:
		_tell_managers(InvalidResponses.__name__)
		frappe.throw(quoting("{0}", " ".join(result["errors"])), InvalidResponses)
	return result


@alerts.in_site_language()
def _tell_managers(error: str) -> None:
	"""Tells managers of the first such job in a day: many may come at once. Frappe notes each in Error Log. Commits."""
	since = site_time.naive_now() - timedelta(days=1)
	if not frappe.db.exists("Error Log", {"creation": (">", since), "method": queueing.JOB}):
		text = _("A job has failed and keeps its answers, the reason is {0}. SRS Write Job lists such jobs.")
		subject = _("Answers of another app could not be stored")
		alerts.tell_managers(subject, text.format(error), is_error=False)


def _id_of_job(job: Job) -> str | None:
	"""Returns the submission that a job of ours stands for, also when it is run again. None for another app's job.

	Another app's job may store results of one question several times. A job's id may be used again, its date is not.
	"""
	method = job.kwargs.get("method")
	name = method if isinstance(method, str) else f"{method.__module__}.{method.__qualname__}"
	return f"external {row_names.digest(job.id, str(job.created_at))}" if name == queueing.JOB else None


def _persist(
	responses: list[dict[str, Any]],
	user: str,
	season: str,
	retry_count: int,
	submission_id: str | None = None,
) -> PersistResult:
	learner = learners.identify(user, _named_at())
	_require_open(season)
	results, errors = _parse_results(responses)
	for error in errors:
		frappe.logger("memora").error(f"persist_review_batch, {learner}, {season}: {error}")
	latest = list({result.question_id: result for result in results}.values())
	folds.with_retries(lambda: _store(latest, learner, season, submission_id), retry_count)
	return persisted(len(results), errors)


def _refused(responses: list[dict[str, Any]], season: str, refusal: MemoraError) -> PersistResult:
	frappe.clear_messages()
	count, why = len(responses), type(refusal).__name__
	frappe.logger("memora").error(f"persist_review_batch, {season}: {count} results are not stored, {why}")
	return PersistResult(success=False, processed_count=0, failed_count=count, errors=[str(refusal)])


def _named_at() -> datetime:
	"""Returns when the caller named the learner: when the job that runs here was queued, or now. Naive site time."""
	job = get_current_job()
	if not job or not job.created_at:
		return site_time.naive_now()
	queued_at = job.created_at
	return site_time.to_naive(queued_at if queued_at.tzinfo else queued_at.replace(tzinfo=timezone.utc))


def persisted(count: int, errors: list[str] | None = None) -> PersistResult:
	"""Returns the PersistResult of a run that has stored `count` results."""
	errors = errors or []
	return PersistResult(success=not errors, processed_count=count, failed_count=len(errors), errors=errors)


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
			and record.stability == round(self.stability, scheduling.DECIMALS)
			and record.next_review_date == self.next_review_date
		)

	def applied_to(self, record: MemoryRecord | None, now: datetime) -> MemoryRecord:
		return MemoryRecord(
			question_id=self.question_id,
			subject=self.subject or (record.subject if record else None),
			topic=self.topic or (record.topic if record else None),
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
	if not is_harmless(question_id):
		raise ValueError(f"question_id must hold no markup and no formula, not {question_id!r}")
	if not due:
		raise ValueError("new_next_review_date is missing")
	subject, topic = plain(response.get("subject")), plain(response.get("topic"))
	return _Result(question_id, stability, get_datetime(due), subject, topic)


def _require_open(season: str) -> None:
	"""Raises UnknownSeason, or SeasonStateError if the season's archiving has begun. The name is taken literally."""
	found = frappe.db.get_value("Game Subscription Season", season, ["name", "archive_started_at"])
	if not found or found[0] != season:
		frappe.throw(quoting(_("There is no season {0}."), season), UnknownSeason)
	if found[1]:
		frappe.throw(quoting(_("Season {0} is being archived or is archived."), season), SeasonStateError)


def _store(results: list[_Result], learner: str, season: str, submission_id: str | None) -> None:
	"""Stores results and their journal rows. With `submission_id`, leaves out what was stored under it before.

	No client's submission_id holds a blank, so none can be the same.
	"""
	with database.learner_lock(learner):
		stored = journal.find_submission(learner, submission_id, [season]) if submission_id else None
		done = stored[1] if stored else {}
		changes = _changes([r for r in results if r.question_id not in done], learner, season)
		records = [after for _before, after in changes]
		submission_id = submission_id or f"external {uuid4().hex}"
		key = row_names.submission_key(learner, season, submission_id)
		with database.transaction():
			tracker.keep_from_removal(learner, season)
			entries = [_entry(before, after) for before, after in changes]
			journal.insert(key, learner, season, submission_id, entries, site_time.naive_now())
			tracker.upsert_records(learner, season, records)
		version, asked = question_status.get_version(), question_status.select(records)
		scores = {
			r.question_id: site_time.to_epoch(r.next_review_date) for r in records if r.question_id in asked
		}
		Schedules().reschedule(learner, season, scores, version)


def _changes(
	results: list[_Result], learner: str, season: str
) -> list[tuple[MemoryRecord | None, MemoryRecord]]:
	"""Returns (record before, record after) of each result. Leaves out results that repeat a stored record."""
	stored = tracker.get_records(learner, season, [r.question_id for r in results])
	now = site_time.naive_now()
	window_start = now - timedelta(seconds=IDEMPOTENCY_WINDOW_SECONDS)
	found = [(stored.get(result.question_id), result) for result in results]
	return [
		(before, result.applied_to(before, now))
		for before, result in found
		if not result.repeats(before, window_start)
	]


def _entry(before: MemoryRecord | None, after: MemoryRecord) -> JournalEntry:
	return JournalEntry(
		question_id=after.question_id,
		kind=EXTERNAL,
		quality=0,
		rating="",
		response_time_ms=0,
		reviewed_at=after.last_review_date,
		stability_before=before.stability if before else 0,
		difficulty_before=before.difficulty if before else 0,
		next_review_date_before=before.next_review_date if before else None,
		predicted_recall=0,
		stability_after=after.stability,
		difficulty_after=after.difficulty,
		next_review_date_after=after.next_review_date,
		source=EXTERNAL,
	)
