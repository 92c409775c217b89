"""Takes a learner's answers: schedules their questions, journals them, and gets them folded.

This is the way of an answer from the request to the commit, and on to Redis and the queue.
"""

from datetime import datetime
from typing import Literal, NoReturn
from uuid import uuid4

import frappe
from frappe import _
from typing_extensions import TypedDict

from memora.exceptions import JournalUnavailable, SubmissionConflict, quoting
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import counting, queueing
from memora.services.learning import answering, daily_budget, grading
from memora.services.learning.answers import Response, journal_entry
from memora.services.learning.grading import AnswerResult
from memora.services.learning.judging import Judge, Rejection, as_rejections
from memora.services.settings import forget_settings, get_settings
from memora.services.store import database, failures, journal, question_status, row_names, seasons
from memora.services.store.outbox import CalendarChanged
from memora.services.store.records import Effort, StoredAnswer, practice_digits
from memora.services.store.seasons import Season
from memora.services.store.submissions import write_submission

CALENDAR_TRIES = 3  # more changes of the calendar during one submission are no manager's


class SubmissionResult(TypedDict):
	"""The outcome of a submission.

	`schedule` gives the next review of each question whose answer was accepted, `answers` what became of the answer.
	"""

	status: Literal["success", "already_processed"]
	processed: int
	rejected: list[Rejection]
	submission_id: str
	is_degraded: bool
	season: str
	schedule: dict[str, site_time.Text]
	answers: dict[str, AnswerResult]
	persistence_job_id: str | None


def submit(
	learner: str,
	responses: list[Response],
	submission_id: str | None = None,
	season_name: str | None = None,
	season: Season | None = None,
) -> SubmissionResult:
	"""Stores a learner's answers and schedules their questions; see api.reviews.submit_review_session.

	`season_name` is the season in which the answers were given, by default the active one; `season` is the active season,
	if the caller has just read it. Commits. Raises NoActiveSeason, UnknownSeason, SeasonOver, SeasonStateError,
	SubmissionConflict, RateLimitExceeded or JournalUnavailable, and then stores nothing.
	"""
	season = season or seasons.get_active_season()
	if not submission_id:
		season = answering.season_of(season_name, season)  # refuses before it takes the lock
	try:
		with database.learner_lock(learner):
			if submission_id and (found := _find(learner, submission_id, season)):
				stored_in, stored = found
				judge = Judge.of(learner, answering.season_stored(stored_in, season), responses)
				return _repeated(judge, stored, responses, submission_id)
			season = answering.season_of(season_name, season)
			judge = Judge.of(learner, season, responses)
			result, key = _accept_by_calendar(judge, responses, submission_id or uuid4().hex)
	except failures.FAILURES as error:
		frappe.logger("memora").error(f"journal not writable: {error}")
		JournalUnavailable.throw(_("Your answers are not saved. Send them again in a moment."))
	if key:
		result["persistence_job_id"] = queueing.enqueue_fold(key, learner, season.name)
	return result


def _find(
	learner: str, submission_id: str, active: Season | None
) -> tuple[str, dict[str, StoredAnswer]] | None:
	"""Returns (season, {question_id: answer}) of a submission that was stored before, in whatever season."""
	return journal.find_submission(learner, submission_id, [active.name] if active else [])


def _repeated(
	judge: Judge, stored: dict[str, StoredAnswer], responses: list[Response], submission_id: str
) -> SubmissionResult:
	"""Returns the result of a submission that was stored before.

	Raises SubmissionConflict if the stored submission held other answers.
	"""
	for response in responses:
		answer = stored.get(response.question_id)
		if answer and not _is_same(response, answer):
			_refuse_conflict(submission_id, response.question_id)
	if missing := stored.keys() - {r.question_id for r in responses}:
		_refuse_conflict(submission_id, min(missing))
	others = [r for r in responses if r.question_id not in stored]
	refused = _refused_at_first(judge, stored, responses) if others else {}
	if more := [r.question_id for r in others if r.question_id not in refused]:
		_refuse_conflict(submission_id, more[0])
	# the first request may have died before Redis knew
	Schedules().clear_learner(judge.learner, judge.season.name)
	schedule = {question_id: answer.due for question_id, answer in stored.items()}
	rejected = as_rejections(others, refused)
	result = _result("already_processed", submission_id, judge.season, schedule, rejected)
	result["answers"] = {
		q: grading.result_of(answer.quality, answer.graded_by, answer.is_practice, judge.content.get(q))
		for q, answer in stored.items()
	}
	key = row_names.submission_key(judge.learner, judge.season.name, submission_id)
	result["persistence_job_id"] = queueing.job_id_of(key)
	return result


def _refused_at_first(
	judge: Judge, stored: dict[str, StoredAnswer], responses: list[Response]
) -> dict[str, str]:
	"""Returns {question_id: reason} of the answers that were not taken when the others were stored.

	An answer that could have been taken, to a question that has changed since, was refused because it was withdrawn.
	"""
	moment = min(answer.answered_at for answer in stored.values())
	reasons = judge.why_refused(responses, moment)
	rest = {r.question_id: r for r in responses if r.question_id not in stored.keys() | reasons.keys()}
	for question_id in question_status.get_changed(rest, moment):
		if reason := grading.why_refused(rest[question_id], judge.standing.records.get(question_id), None):
			reasons[question_id] = reason
	return reasons


def _is_same(response: Response, answer: StoredAnswer) -> bool:
	"""Says whether a response may have led to a stored answer. What was sent as no practice may have become practice."""
	is_graded_alike = response.chosen == answer.chosen
	if response.chosen is None:
		is_graded_alike &= response.quality == answer.quality
	return is_graded_alike and answer.is_practice >= response.practice


def _accept_by_calendar(
	judge: Judge, responses: list[Response], submission_id: str
) -> tuple[SubmissionResult, str | None]:
	"""Stores answers by the calendar of the moment, and returns (result, submission's key or None if none was accepted).

	Judges them again, CALENDAR_TRIES times at most, if the season's end or the start of a day has changed since the judge
	read them. Raises JournalUnavailable after that.
	"""
	for _attempt in range(CALENDAR_TRIES):
		try:
			return _accept(judge, responses, submission_id)
		except CalendarChanged:
			pass
		except failures.ERRORS as error:
			if not failures.has_changed(error):  # the season, by a switch or an archive run
				raise
		forget_settings()
		database.new_snapshot()
		seasons.hold(judge.season.name)
		judge = Judge.of(judge.learner, seasons.get_season(judge.season.name), responses)
	JournalUnavailable.throw(_("Your answers are not saved. Send them again in a moment."))


def _accept(
	judge: Judge, responses: list[Response], submission_id: str
) -> tuple[SubmissionResult, str | None]:
	"""Schedules, journals, commits, and updates Redis.

	Returns (result, submission's key or None if none was accepted).
	"""
	learner, season, now = judge.learner, judge.season, judge.scheduler.now
	daily_budget.require_room(judge.standing, len(responses), judge.scheduler)
	steps, rejected = judge.decide(responses)
	if not steps:
		if all(rejection["reason"] == daily_budget.practice_spent() for rejection in rejected):
			daily_budget.refuse_practice(judge.scheduler)
		return _result("success", submission_id, season, {}, rejected), None
	schedules = Schedules()
	source = "Normal" if schedules.is_trusted or not season.enable_redis else "Safe Mode"
	entries = [journal_entry(step, source) for step in steps]
	practised = "".join(practice_digits(step.after.question_id) for step in steps if step.is_practice)
	learnt = sum(step.before is None for step in steps)
	with database.transaction():
		key = write_submission(
			learner,
			season.name,
			submission_id,
			entries,
			[step.after for step in steps if step.outcome.moved],
			site_time.to_naive(now),
			counting.count_entries(entries, {step.after.question_id: step.after.subject for step in steps}),
			Effort(judge.standing.effort.day, len(steps), practised, learnt),
			get_settings().grace_days,
			judge.scheduler.judged_by,
		)
	schedule = {step.after.question_id: step.after.next_review_date for step in steps}
	scores = {question_id: site_time.to_epoch(due) for question_id, due in schedule.items()}
	is_degraded = season.enable_redis and not schedules.reschedule(
		learner, season.name, scores, season.content_version, is_folded_later=True
	)
	result = _result("success", submission_id, season, schedule, rejected, is_degraded)
	result["answers"] = {
		entry.question_id: grading.result_of(
			entry.quality, entry.graded_by, entry.kind == "Practice", judge.content[entry.question_id]
		)
		for entry in entries
	}
	return result, key


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
		"answers": {},
		"persistence_job_id": None,  # until there is a job
	}


def _refuse_conflict(submission_id: str, question_id: str) -> NoReturn:
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
