"""The two use cases of a learner: what is due for me, here are my answers."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import frappe
from frappe import _
from typing_extensions import NotRequired, TypedDict

from memora.exceptions import JournalUnavailable, SubmissionConflict
from memora.services import activity, memory_store, scheduling, seasons, site_time, srs_persistence
from memora.services.circuit_breaker import Unavailable
from memora.services.memory_store import JournalEntry, MemoryRecord, StoredAnswer
from memora.services.question_source import get_source
from memora.services.safe_mode import SafeModeManager
from memora.services.season_scheduler import Preview, SeasonScheduler
from memora.services.seasons import Season
from memora.services.srs_redis_manager import SRSRedisManager

SAFE_MODE_LIMIT = 10  # questions of one reading


@dataclass(frozen=True)
class Response:
	"""One answer as the learner's client sends it, validated. Quality is 0 to 5. Practice is journalled and
	moves nothing."""

	question_id: str
	quality: int
	response_time_ms: int | None = None
	practice: bool = False


class DueQuestion(TypedDict):
	"""A question of the learner's schedule, and its content, whatever keys the question source gives it."""

	__pydantic_config__ = {"extra": "allow"}  # noqa: RUF012 (a TypedDict has no class variables)

	question_id: str
	subject: str | None
	topic: str | None
	stability: float  # days
	next_review_date: site_time.Text
	preview: NotRequired[Preview]


class ReviewSession(TypedDict):
	"""What is due, oldest first; where nothing is, `next_due` says when something will be. `message` says why there is
	no season."""

	questions: list[DueQuestion]
	total_due: int
	season: str | None
	is_degraded: bool
	next_due: NotRequired[site_time.Text | None]
	message: NotRequired[str]


class Rejection(TypedDict):
	"""A question that does not exist, neither in the learner's schedule nor in the question source; or that was to be
	practised and is not in her schedule."""

	question_id: str
	reason: str


class SubmissionResult(TypedDict):
	"""What became of answers. `schedule` gives each question's next review."""

	status: Literal["success", "already_processed"]
	processed: int
	rejected: list[Rejection]
	submission_id: str
	is_degraded: bool
	season: str
	schedule: dict[str, site_time.Text]
	persistence_job_id: str | None


# What is due


class _Due(NamedTuple):
	"""What is due, oldest first and as much of it as was asked for, and how many there are in all."""

	records: list[MemoryRecord]
	total: int


def read(player: str, subject: str | None = None, limit: int = 20, preview: bool = False) -> ReviewSession:
	"""The questions due for a learner, oldest first, with content; see api.reviews.get_review_session."""
	season = seasons.get_active()
	if not season:
		return {**_session(_Due([], 0), None), "message": seasons.why_none_is_active()}
	due, is_degraded = _read(player, season, subject, limit)
	session = _session(due, season.name, is_degraded)
	if not due.records:
		session["next_due"] = _next_due(player, season.name, subject)
	return (
		_with_previews(session, due, SeasonScheduler(player, season, site_time.now())) if preview else session
	)


def _read(player: str, season: Season, subject: str | None, limit: int) -> tuple[_Due, bool]:
	"""(what is due, whether Redis is not there)."""
	# a filter by subject needs the rows of all that is due
	if not season.enable_redis or (subject and SRSRedisManager().is_available()):
		return _due_in_database(player, season.name, subject, limit), False
	if not subject:
		with suppress(Unavailable):
			return _due_in_redis(player, season, limit), False
	return _due_in_safe_mode(player, season.name, subject, limit), True


def read_in_safe_mode(player: str, season: str, subject: str | None, limit: int) -> ReviewSession:
	"""As read, without Redis: at most SAFE_MODE_LIMIT questions, `is_degraded`. Raises RateLimitExceeded."""
	return _session(_due_in_safe_mode(player, season, subject, limit), season, is_degraded=True)


def _due_in_safe_mode(player: str, season: str, subject: str | None, limit: int) -> _Due:
	SafeModeManager().require(player)
	return _due_in_database(player, season, subject, min(limit, SAFE_MODE_LIMIT))


def _due_in_database(player: str, season: str, subject: str | None, limit: int) -> _Due:
	return _Due(*memory_store.get_due(player, season, site_time.naive_now(), limit, subject))


def _due_in_redis(player: str, season: Season, limit: int) -> _Due:
	manager = SRSRedisManager()
	due, _was_loaded = manager.load_due(player, season.name, limit)
	if not due["question_ids"]:
		return _Due([], due["total_due"])
	records = memory_store.get_records(player, season.name, due["question_ids"])
	now = site_time.naive_now()
	wanted = [records.get(q) for q in due["question_ids"]]
	if all(record and record.next_review_date <= now for record in wanted):
		return _Due(wanted, due["total_due"])
	# Redis shows what MariaDB knows is not due, so a write of its schedule was lost: MariaDB is right
	manager.clear_user_cache(player, season.name)
	return _due_in_database(player, season.name, None, limit)


def _next_due(player: str, season: str, subject: str | None) -> str | None:
	due = memory_store.get_next_due(player, season, site_time.naive_now(), subject)
	return str(due) if due else None


def _session(due: _Due, season: str | None, is_degraded: bool = False) -> ReviewSession:
	content = get_source().get_questions([r.question_id for r in due.records])
	return {
		"questions": [_question(r, content.get(r.question_id, {})) for r in due.records],
		"total_due": due.total,
		"season": season,
		"is_degraded": is_degraded,
	}


def _question(record: MemoryRecord, content: dict[str, Any]) -> DueQuestion:
	return {
		**content,
		"question_id": record.question_id,
		"subject": record.subject,
		"topic": record.topic,
		"stability": record.stability,
		"next_review_date": str(record.next_review_date),
	}


def _with_previews(session: ReviewSession, due: _Due, scheduler: SeasonScheduler) -> ReviewSession:
	for question, record in zip(session["questions"], due.records, strict=True):
		question["preview"] = scheduler.preview(record.question_id, record)
	return session


# Answers


def submit(player: str, responses: list[Response], submission_id: str | None = None) -> SubmissionResult:
	"""Stores a learner's answers and schedules their questions; see api.reviews.submit_review_session.

	Commits. Raises NoActiveSeason, SubmissionConflict, or JournalUnavailable when nothing was stored.
	"""
	season = seasons.require_active()
	is_new, submission_id = not submission_id, submission_id or uuid4().hex
	try:
		with memory_store.player_lock(player):
			stored = not is_new and memory_store.get_submission(player, season.name, submission_id)
			if stored:
				return _repeated(player, stored, responses, submission_id, season)
			result, key = _accept(player, season, responses, submission_id)
	except memory_store.DATABASE_FAILURES as error:
		frappe.logger("memora").error(f"journal not writable: {error}")
		JournalUnavailable.throw(_("Your answers are not saved. Send them again in a moment."))
	job_id = srs_persistence.enqueue_fold(key, player, season.name) if key else None
	return {**result, "persistence_job_id": job_id}


def _repeated(
	player: str,
	stored: dict[str, StoredAnswer],
	responses: list[Response],
	submission_id: str,
	season: Season,
) -> SubmissionResult:
	"""The answer to a submission that was stored before; raises SubmissionConflict if it was another one."""
	new = [r.question_id for r in responses if r.question_id not in stored and not r.practice]
	known = get_source().get_questions(new)
	for response in responses:
		answer = stored.get(response.question_id)
		is_other = answer and (answer.quality, answer.is_practice) != (response.quality, response.practice)
		if response.question_id in known or is_other:
			_refuse_conflict(submission_id, response.question_id)
	if missing := stored.keys() - {r.question_id for r in responses}:
		_refuse_conflict(submission_id, min(missing))
	SRSRedisManager().clear_user_cache(player, season.name)  # the first time may have died before this
	rejected = [_rejection(r) for r in responses if r.question_id not in stored]
	schedule = {question_id: answer.due for question_id, answer in stored.items()}
	result = _result("already_processed", submission_id, season, schedule, rejected)
	key = memory_store.submission_key(player, season.name, submission_id)
	return {**result, "persistence_job_id": srs_persistence.job_id_of(key)}


def _accept(
	player: str, season: Season, responses: list[Response], submission_id: str
) -> tuple[dict[str, Any], str | None]:
	"""Schedules, journals, commits, updates the cache. The key is None where nothing was accepted."""
	now = site_time.now()
	steps, rejected = _schedule(player, season, responses, now)
	if not steps:
		return _result("success", submission_id, season, {}, rejected), None
	manager = SRSRedisManager()
	source = "Normal" if manager.server.breaker.is_closed or not season.enable_redis else "Safe Mode"
	entries = [journal_entry(step, source) for step in steps]
	with memory_store.transaction():
		key = memory_store.write_submission(
			player,
			season.name,
			submission_id,
			entries,
			[step.after for step in steps if step.outcome.moved],
			site_time.to_naive(now),
			activity.of(entries, {step.after.question_id: step.after.subject for step in steps}),
		)
	schedule = {step.after.question_id: step.after.next_review_date for step in steps}
	scores = {question_id: site_time.to_epoch(due) for question_id, due in schedule.items()}
	is_degraded = season.enable_redis and not manager.reschedule(player, season.name, scores)
	return _result("success", submission_id, season, schedule, rejected, is_degraded), key


@dataclass(frozen=True)
class Step:
	"""One answer and what it did: the record before (None at first sight), after, and the model's view."""

	response: Response
	before: MemoryRecord | None
	after: MemoryRecord
	outcome: scheduling.Outcome
	answered_at: datetime


def _schedule(
	player: str, season: Season, responses: list[Response], now: datetime
) -> tuple[list[Step], list[Rejection]]:
	"""(steps, rejected) of all answers. Known is what the learner's schedule or the source knows."""
	records = memory_store.get_records(player, season.name, [r.question_id for r in responses])
	new = [r.question_id for r in responses if r.question_id not in records and not r.practice]
	content = get_source().get_questions(new)
	scheduler, answered_at = SeasonScheduler(player, season, now), site_time.to_naive(now)

	def step(response: Response) -> Step:
		before = records.get(response.question_id)
		if response.practice:
			return Step(response, before, before, scheduler.practise(before, response.quality), answered_at)
		outcome = scheduler.review(response.question_id, before, response.quality)
		origin = before or Origin.of(response.question_id, content, answered_at)
		return Step(response, before, record_after(origin, outcome.memory), outcome, answered_at)

	is_known = [r.question_id in records or r.question_id in content for r in responses]
	steps = [step(response) for response, known in zip(responses, is_known, strict=True) if known]
	rejected = [
		_rejection(response) for response, known in zip(responses, is_known, strict=True) if not known
	]
	return steps, rejected


@dataclass(frozen=True)
class Origin:
	"""Where a record comes from when there was none before."""

	question_id: str
	subject: str | None
	topic: str | None
	creation: datetime

	@classmethod
	def of(cls, question_id: str, content: dict[str, dict], now: datetime) -> "Origin":
		"""Of a question that the source knows, first answered now (naive site time)."""
		known = content[question_id]
		return cls(question_id, known.get("subject"), known.get("topic"), now)


def record_after(origin: MemoryRecord | Origin, memory: scheduling.Memory) -> MemoryRecord:
	"""What is stored of a question once an answer has led to this memory."""
	return MemoryRecord(
		question_id=origin.question_id,
		subject=origin.subject,
		topic=origin.topic,
		stability=memory.stability,
		difficulty=memory.difficulty,
		state=memory.state,
		reps=memory.reps,
		lapses=memory.lapses,
		next_review_date=memory.due.replace(tzinfo=None),
		last_review_date=memory.last_review.replace(tzinfo=None),
		creation=origin.creation,
	)


def journal_entry(step: Step, source: str) -> JournalEntry:
	"""The journal's row of it; `source` as Player Review Log names them."""
	before, after = step.before, step.after
	return JournalEntry(
		question_id=after.question_id,
		kind=_kind(step),
		quality=step.response.quality,
		rating=step.outcome.rating.name,
		response_time_ms=step.response.response_time_ms or 0,
		reviewed_at=step.answered_at,
		stability_before=before.stability if before else 0,
		difficulty_before=before.difficulty if before else 0,
		next_review_date_before=before and before.next_review_date,
		predicted_recall=step.outcome.predicted_recall or 0,
		stability_after=after.stability,
		difficulty_after=after.difficulty,
		next_review_date_after=after.next_review_date,
		source=source,
	)


def _kind(step: Step) -> str:
	if step.response.practice:
		return "Practice"
	return "Review" if step.before else "Learn"


def _result(
	status: str,
	submission_id: str,
	season: Season,
	schedule: dict[str, datetime],
	rejected: list[Rejection],
	is_degraded: bool = False,
) -> dict[str, Any]:
	return {
		"status": status,
		"processed": len(schedule),
		"rejected": rejected,
		"submission_id": submission_id,
		"is_degraded": is_degraded,
		"season": season.name,
		"schedule": {question_id: str(due) for question_id, due in schedule.items()},
	}


def _rejection(response: Response) -> Rejection:
	reason = (
		_("This question has not been learnt yet.") if response.practice else _("There is no such question.")
	)
	return {"question_id": response.question_id, "reason": reason}


def _refuse_conflict(submission_id: str, question_id: str) -> None:
	frappe.throw(
		_(
			"Submission {0} was stored before with another answer to question {1}. Send new answers under a new submission_id."
		).format(submission_id, question_id),
		SubmissionConflict,
	)
