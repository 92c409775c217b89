"""Stores the results of callers that schedule on their own, for the seeds' persist_review_batch.

Such results reach the tracker without the outbox and without a journal row. They go through the upsert of a
fold: the newest answer wins.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import frappe
from frappe import _
from frappe.utils import get_datetime
from rq import get_current_job
from typing_extensions import TypedDict

from memora.exceptions import LearnerIsErased, UnknownLearner
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.learning import learners, scheduling
from memora.services.learning.plain_names import is_harmless, plain
from memora.services.store import database, tracker
from memora.services.store.records import MemoryRecord

IDEMPOTENCY_WINDOW_SECONDS = 300


class PersistResult(TypedDict):
	"""Counts of the results that were stored and that failed, and the reasons why they failed."""

	success: bool
	processed_count: int
	failed_count: int
	errors: list[str]


def persist(responses: list[dict[str, Any]], user: str, season: str, retry_count: int = 0) -> PersistResult:
	"""Stores the results of a caller's own scheduling. Commits.

	`user` is the learner's e-mail or id. A result is {question_id, new_stability (days), new_next_review_date (naive site time), subject?, topic?}.
	A result that can't be read is counted and named in `errors`; the other results are stored. A result that
	repeats a result stored in the last IDEMPOTENCY_WINDOW_SECONDS changes nothing. If the learner or the
	season does not exist, or the season is being archived or is archived, nothing is stored and `success` is
	false. After a deadlock or a lock wait the transaction is run again, up to folds.MAX_RETRIES times less
	`retry_count`; then the error is raised. Raises JournalUnavailable if
	another request holds the learner's lock.
	"""
	try:
		learner = learners.identify(user, _named_at())
	except (UnknownLearner, LearnerIsErased) as refusal:
		return _refused(responses, str(refusal))
	if problem := _why_refused(season):
		return _refused(responses, problem)
	results, errors = _parse_results(responses)
	for error in errors:
		frappe.logger("memora").error(f"persist_review_batch, {learner}, {season}: {error}")
	folds.with_retries(lambda: _store(results, learner, season), retry_count)
	return persisted(len(results), errors)


def _refused(responses: list[dict[str, Any]], problem: str) -> PersistResult:
	frappe.clear_messages()
	return PersistResult(success=False, processed_count=0, failed_count=len(responses), errors=[problem])


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
			and abs(record.stability - self.stability) < 10**-scheduling.DECIMALS
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


def _why_refused(season: str) -> str | None:
	found = frappe.db.get_value("Game Subscription Season", season, ["name", "archive_started_at"])
	if not found or found[0] != season:
		return _("There is no season {0}.").format(season)
	if found[1]:
		return _("Season {0} is being archived or is archived.").format(season)
	return None


def _store(results: list[_Result], learner: str, season: str) -> None:
	with database.learner_lock(learner):
		records = _new_records(results, learner, season)
		with database.transaction():
			tracker.keep_from_removal(learner, season)
			tracker.upsert_records(learner, season, records)
		scores = {r.question_id: site_time.to_epoch(r.next_review_date) for r in records}
		Schedules().reschedule(learner, season, scores)


def _new_records(results: list[_Result], learner: str, season: str) -> list[MemoryRecord]:
	"""Returns the records that results lead to. Leaves out results that repeat a stored record."""
	stored = tracker.get_records(learner, season, [r.question_id for r in results])
	now = site_time.naive_now()
	window_start = now - timedelta(seconds=IDEMPOTENCY_WINDOW_SECONDS)
	return [
		result.applied_to(stored.get(result.question_id), now)
		for result in results
		if not result.repeats(stored.get(result.question_id), window_start)
	]
