"""Takes a learner's answers: schedules their questions, journals them, and gets them folded.

This is the way of an answer from the request to the commit, and on to Redis and the queue.
"""

from datetime import datetime
from typing import Literal
from uuid import uuid4

import frappe
from frappe import _
from typing_extensions import TypedDict

from memora.exceptions import JournalUnavailable, SubmissionConflict, quoting
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import counting, queueing
from memora.services.learning.answers import Origin, Response, Step, journal_entry, record_after
from memora.services.learning.question_source import get_source
from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.store import database, failures, journal, row_names, seasons, tracker
from memora.services.store.records import StoredAnswer
from memora.services.store.seasons import Season
from memora.services.store.submissions import write_submission


class Rejection(TypedDict):
	"""A question whose answer was not taken, and the reason.

	Either neither the learner's records nor the question source know the question, or the answer was practice
	and she has no record of the question.
	"""

	question_id: str
	reason: str


class SubmissionResult(TypedDict):
	"""The outcome of a submission. `schedule` gives the next review of each question that was accepted."""

	status: Literal["success", "already_processed"]
	processed: int
	rejected: list[Rejection]
	submission_id: str
	is_degraded: bool
	season: str
	schedule: dict[str, site_time.Text]
	persistence_job_id: str | None


def submit(learner: str, responses: list[Response], submission_id: str | None = None) -> SubmissionResult:
	"""Stores a learner's answers and schedules their questions; see api.reviews.submit_review_session.

	Commits. Raises NoActiveSeason, SubmissionConflict or JournalUnavailable, and then stores nothing.
	"""
	season = seasons.require_active_season()
	is_new, submission_id = not submission_id, submission_id or uuid4().hex
	try:
		with database.learner_lock(learner):
			stored = not is_new and journal.get_submission(learner, season.name, submission_id)
			if stored:
				return _repeated(learner, stored, responses, submission_id, season)
			result, key = _accept(learner, season, responses, submission_id)
	except failures.FAILURES as error:
		frappe.logger("memora").error(f"journal not writable: {error}")
		JournalUnavailable.throw(_("Your answers are not saved. Send them again in a moment."))
	if key:
		result["persistence_job_id"] = queueing.enqueue_fold(key, learner, season.name)
	return result


def _repeated(
	learner: str,
	stored: dict[str, StoredAnswer],
	responses: list[Response],
	submission_id: str,
	season: Season,
) -> SubmissionResult:
	"""Returns the result of a submission that was stored before.

	Raises SubmissionConflict if the stored submission held other answers.
	"""
	new = [r.question_id for r in responses if r.question_id not in stored and not r.practice]
	known = get_source().get_questions(new)
	for response in responses:
		answer = stored.get(response.question_id)
		is_other = answer and (answer.quality, answer.is_practice) != (response.quality, response.practice)
		if response.question_id in known or is_other:
			_refuse_conflict(submission_id, response.question_id)
	if missing := stored.keys() - {r.question_id for r in responses}:
		_refuse_conflict(submission_id, min(missing))
	Schedules().clear_learner(learner, season.name)  # the first request may have died before it told Redis
	rejected = [_rejection(r) for r in responses if r.question_id not in stored]
	schedule = {question_id: answer.due for question_id, answer in stored.items()}
	result = _result("already_processed", submission_id, season, schedule, rejected)
	key = row_names.submission_key(learner, season.name, submission_id)
	result["persistence_job_id"] = queueing.job_id_of(key)
	return result


def _accept(
	learner: str, season: Season, responses: list[Response], submission_id: str
) -> tuple[SubmissionResult, str | None]:
	"""Schedules, journals, commits, and updates Redis.

	Returns (result, submission's key or None if none was accepted).
	"""
	now = site_time.now()
	steps, rejected = _schedule(learner, season, responses, now)
	if not steps:
		return _result("success", submission_id, season, {}, rejected), None
	schedules = Schedules()
	source = "Normal" if schedules.is_trusted or not season.enable_redis else "Safe Mode"
	entries = [journal_entry(step, source) for step in steps]
	with database.transaction():
		key = write_submission(
			learner,
			season.name,
			submission_id,
			entries,
			[step.after for step in steps if step.outcome.moved],
			site_time.to_naive(now),
			counting.count_entries(entries, {step.after.question_id: step.after.subject for step in steps}),
		)
	schedule = {step.after.question_id: step.after.next_review_date for step in steps}
	scores = {question_id: site_time.to_epoch(due) for question_id, due in schedule.items()}
	is_degraded = season.enable_redis and not schedules.reschedule(learner, season.name, scores)
	return _result("success", submission_id, season, schedule, rejected, is_degraded), key


def _schedule(
	learner: str, season: Season, responses: list[Response], now: datetime
) -> tuple[list[Step], list[Rejection]]:
	"""Returns (steps, rejections).

	Answers to questions that neither the learner's records nor the source know are rejected.
	"""
	records = tracker.get_records(learner, season.name, [r.question_id for r in responses])
	new = [r.question_id for r in responses if r.question_id not in records and not r.practice]
	content = get_source().get_questions(new)
	scheduler, answered_at = SeasonScheduler(learner, season, now), site_time.to_naive(now)

	def step(response: Response) -> Step:
		if response.practice:
			record = records[response.question_id]
			return Step(response, record, record, scheduler.practise(record, response.quality), answered_at)
		before = records.get(response.question_id)
		outcome = scheduler.review(response.question_id, before, response.quality)
		origin = before or Origin.of(response.question_id, content, answered_at)
		return Step(response, before, record_after(origin, outcome.memory), outcome, answered_at)

	is_known = [r.question_id in records or r.question_id in content for r in responses]
	steps = [step(response) for response, known in zip(responses, is_known, strict=True) if known]
	rejected = [
		_rejection(response) for response, known in zip(responses, is_known, strict=True) if not known
	]
	return steps, rejected


def _result(
	status: Literal["success", "already_processed"],
	submission_id: str,
	season: Season,
	schedule: dict[str, datetime],
	rejected: list[Rejection],
	is_degraded: bool = False,
) -> SubmissionResult:
	return {
		"status": status,
		"processed": len(schedule),
		"rejected": rejected,
		"submission_id": submission_id,
		"is_degraded": is_degraded,
		"season": season.name,
		"schedule": {question_id: str(due) for question_id, due in schedule.items()},
		"persistence_job_id": None,  # until there is a job
	}


def _rejection(response: Response) -> Rejection:
	reason = (
		_("This question has not been learnt yet.") if response.practice else _("There is no such question.")
	)
	return {"question_id": response.question_id, "reason": reason}


def _refuse_conflict(submission_id: str, question_id: str) -> None:
	frappe.throw(
		quoting(
			_(
				"Submission {0} was stored before with another answer to question {1}. Send new answers under a new submission_id."
			),
			submission_id,
			question_id,
		),
		SubmissionConflict,
	)
