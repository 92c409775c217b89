"""The two use cases of a learner: what is due for me, here are my answers."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import frappe
from frappe import _

from memora.exceptions import JournalUnavailable, SubmissionConflict
from memora.services import activity, memory_store, scheduling, seasons, site_time, srs_persistence
from memora.services.circuit_breaker import Unavailable
from memora.services.memory_store import JournalEntry, MemoryRecord
from memora.services.question_source import get_source
from memora.services.safe_mode import SafeModeManager
from memora.services.seasons import Season
from memora.services.settings import get_settings
from memora.services.srs_redis_manager import SRSRedisManager

SAFE_MODE_LIMIT = 10  # questions of one reading


@dataclass(frozen=True)
class Response:
	"""One answer as the learner's client sends it, validated. Quality is 0 to 5."""

	question_id: str
	quality: int
	response_time_ms: int | None = None


# What is due


def read(player: str, subject: str | None = None, limit: int = 20) -> dict[str, Any]:
	"""The questions due for a learner, oldest first, with content; see api.reviews.get_review_session."""
	season = seasons.get_active()
	if not season:
		return _session([], 0, None, message=seasons.why_none_is_active())
	# a filter by subject needs the rows of all that is due
	if not season.enable_redis or (subject and SRSRedisManager().is_available()):
		return _session(*_due_in_database(player, season.name, subject, limit), season.name)
	if not subject:
		with suppress(Unavailable):
			return _session(*_due_in_redis(player, season, limit), season.name)
	return read_in_safe_mode(player, season.name, subject, limit)


def read_in_safe_mode(player: str, season: str, subject: str | None, limit: int) -> dict[str, Any]:
	"""As read, without Redis: at most SAFE_MODE_LIMIT questions, `is_degraded`. Raises RateLimitExceeded."""
	SafeModeManager().require(player)
	due = _due_in_database(player, season, subject, min(limit, SAFE_MODE_LIMIT))
	return _session(*due, season, is_degraded=True)


def _due_in_database(player: str, season: str, subject: str | None, limit: int):
	return memory_store.get_due(player, season, site_time.naive_now(), limit, subject)


def _due_in_redis(player: str, season: Season, limit: int) -> tuple[list[MemoryRecord], int]:
	manager = SRSRedisManager()
	due, _was_loaded = manager.load_due(player, season.name, limit)
	if not due["question_ids"]:
		return [], due["total_due"]
	records = memory_store.get_records(player, season.name, due["question_ids"])
	now = site_time.naive_now()
	wanted = [records.get(q) for q in due["question_ids"]]
	if all(record and record.next_review_date <= now for record in wanted):
		return wanted, due["total_due"]
	# Redis shows what MariaDB knows is not due, so a write of its schedule was lost: MariaDB is right
	manager.clear_user_cache(player, season.name)
	return _due_in_database(player, season.name, None, limit)


def _session(
	records: list[MemoryRecord],
	total_due: int,
	season: str | None,
	is_degraded: bool = False,
	message: str | None = None,
) -> dict[str, Any]:
	content = get_source().get_questions([r.question_id for r in records])
	session = {
		"questions": [_question(r, content.get(r.question_id, {})) for r in records],
		"total_due": total_due,
		"season": season,
		"is_degraded": is_degraded,
	}
	return {**session, "message": message} if message else session


def _question(record: MemoryRecord, content: dict[str, Any]) -> dict[str, Any]:
	return {
		**content,
		"question_id": record.question_id,
		"subject": record.subject,
		"topic": record.topic,
		"stability": record.stability,
		"next_review_date": str(record.next_review_date),
	}


# Answers


def submit(player: str, responses: list[Response], submission_id: str | None = None) -> dict[str, Any]:
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
	stored: dict[str, tuple[int, datetime]],
	responses: list[Response],
	submission_id: str,
	season: Season,
) -> dict[str, Any]:
	"""The answer to a submission that was stored before; raises SubmissionConflict if it was another one."""
	known = get_source().get_questions([r.question_id for r in responses if r.question_id not in stored])
	for response in responses:
		quality, _due = stored.get(response.question_id, (None, None))
		if response.question_id in known or quality not in (None, response.quality):
			_refuse_conflict(submission_id, response.question_id)
	if missing := stored.keys() - {r.question_id for r in responses}:
		_refuse_conflict(submission_id, min(missing))
	SRSRedisManager().clear_user_cache(player, season.name)  # the first time may have died before this
	rejected = [_rejection(r.question_id) for r in responses if r.question_id not in stored]
	schedule = {question_id: due for question_id, (_quality, due) in stored.items()}
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
	entries = [_journal_entry(step, source) for step in steps]
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
class _Step:
	"""One answer and what it did: the record before (None at first sight), after, and the model's view."""

	response: Response
	before: MemoryRecord | None
	after: MemoryRecord
	outcome: scheduling.Outcome
	answered_at: datetime


def _schedule(
	player: str, season: Season, responses: list[Response], now: datetime
) -> tuple[list[_Step], list[dict[str, str]]]:
	"""(steps, rejected) of all answers. Known is what the learner's schedule or the source knows."""
	records = memory_store.get_records(player, season.name, [r.question_id for r in responses])
	content = get_source().get_questions([r.question_id for r in responses if r.question_id not in records])
	settings = get_settings()
	calendar = scheduling.LearningCalendar(site_time.site_zone(), settings.day_start_hour)

	def step(response: Response) -> _Step:
		before = records.get(response.question_id)
		outcome = scheduling.review(
			_memory(before, calendar.zone) if before else None,
			response.quality,
			now,
			seed=memory_store.tracker_name(player, season.name, response.question_id),
			calendar=calendar,
			season_end=season.end_date,
			desired_retention=settings.desired_retention,
		)
		origin = before or _Origin.of(response.question_id, content, site_time.to_naive(now))
		return _Step(response, before, _record(origin, outcome.memory), outcome, site_time.to_naive(now))

	is_known = [r.question_id in records or r.question_id in content for r in responses]
	steps = [step(response) for response, known in zip(responses, is_known, strict=True) if known]
	rejected = [
		_rejection(response.question_id)
		for response, known in zip(responses, is_known, strict=True)
		if not known
	]
	return steps, rejected


@dataclass(frozen=True)
class _Origin:
	"""Where a record comes from when there was none before."""

	question_id: str
	subject: str | None
	topic: str | None
	creation: datetime

	@classmethod
	def of(cls, question_id: str, content: dict[str, dict], now: datetime) -> "_Origin":
		known = content[question_id]
		return cls(question_id, known.get("subject"), known.get("topic"), now)


def _memory(record: MemoryRecord, zone: ZoneInfo) -> scheduling.Memory:
	return scheduling.Memory(
		stability=record.stability,
		difficulty=record.difficulty,
		state=record.state,
		reps=record.reps,
		lapses=record.lapses,
		due=record.next_review_date.replace(tzinfo=zone),
		last_review=record.last_review_date.replace(tzinfo=zone),
	)


def _record(origin: MemoryRecord | _Origin, memory: scheduling.Memory) -> MemoryRecord:
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


def _journal_entry(step: _Step, source: str) -> JournalEntry:
	before, after = step.before, step.after
	return JournalEntry(
		question_id=after.question_id,
		kind="Review" if before else "Learn",
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


def _result(
	status: str,
	submission_id: str,
	season: Season,
	schedule: dict[str, datetime],
	rejected: list[dict[str, str]],
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


def _rejection(question_id: str) -> dict[str, str]:
	return {"question_id": question_id, "reason": _("There is no such question.")}


def _refuse_conflict(submission_id: str, question_id: str) -> None:
	frappe.throw(
		_(
			"Submission {0} was stored before with another answer to question {1}. Send new answers under a new submission_id."
		).format(submission_id, question_id),
		SubmissionConflict,
	)
