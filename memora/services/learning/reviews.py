"""Reads the questions due for a learner: from Redis, from MariaDB, or within the limits of Safe Mode."""

from contextlib import suppress
from typing import Any, NamedTuple, cast

import frappe
from typing_extensions import NotRequired, TypedDict

from memora.exceptions import DatabaseUnavailable
from memora.services import site_time
from memora.services.cache import loading
from memora.services.cache.breaker import Unavailable
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.cache.schedules import Schedules
from memora.services.learning import content_changes
from memora.services.learning.plain_names import plain
from memora.services.learning.question_source import as_sent, get_content
from memora.services.learning.season_scheduler import Preview, SeasonScheduler
from memora.services.store import database, failures, seasons, tracker
from memora.services.store.records import MemoryRecord
from memora.services.store.seasons import Season

SAFE_MODE_LIMIT = 10  # questions of one reading
MOST_WITHDRAWN = 1000  # due questions that a reading looks behind
NOT_NOTED: tuple[type[Exception], ...] = (*failures.FAILURES, DatabaseUnavailable, RuntimeError)

Contents = dict[str, dict[str, Any]]  # by question


class DueQuestion(TypedDict):
	"""A question that is due, with its content under the question source's keys."""

	# not a field: tells pydantic that there may be further keys
	__pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012

	question_id: str
	subject: str | None
	topic: str | None
	stability: float  # days
	next_review_date: site_time.Text
	preview: NotRequired[Preview]


class ReviewSession(TypedDict):
	"""The questions that are due, oldest first.

	If no question is due, `next_due` says when the next one falls due. `message` says why there is no season,
	if there is none.
	"""

	questions: list[DueQuestion]
	total_due: int
	season: str | None
	is_degraded: bool
	next_due: NotRequired[site_time.Text | None]
	message: NotRequired[str]


class _Due(NamedTuple):
	"""The due records, oldest first, up to the limit asked for; and how many are due in all."""

	records: list[MemoryRecord]
	total: int


def read_reviews(
	learner: str,
	subject: str | None = None,
	limit: int = 20,
	preview: bool = False,
	reveal: bool = True,
	season: Season | None = None,
	outdated: str | None = None,
) -> ReviewSession:
	"""Returns the questions due for a learner, oldest first; see api.reviews.get_review_session.

	`season` is the active season, and `outdated` what loading.load_due takes, if the caller has just read them.
	"""
	season = season or seasons.get_active_season()
	if not season:
		return {**_session(_Due([], 0), {}, None), "message": seasons.why_none_is_active()}
	due, is_degraded = _read(learner, season, subject, limit, outdated)
	due, content = _asked(due, learner, season.name, subject)
	session = _session(due, content, season.name, is_degraded, reveal)
	if not due.records:
		session["next_due"] = _next_due(learner, season.name, subject)
	return (
		_with_previews(session, due, SeasonScheduler(learner, season, site_time.now()))
		if preview
		else session
	)


def _read(
	learner: str, season: Season, subject: str | None, limit: int, outdated: str | None
) -> tuple[_Due, bool]:
	"""Returns (what is due, whether Redis is missing)."""
	# Redis does not know subjects: a filter by subject reads MariaDB, even while Redis is there
	if not season.enable_redis or (subject and Schedules().is_available()):
		return _due_in_database(learner, season.name, subject, limit), False
	if not subject:
		with suppress(Unavailable):
			return _due_in_redis(learner, season, limit, outdated), False
	return _due_in_safe_mode(learner, season.name, subject, limit), True


def find_in_safe_mode(learner: str, season: str, subject: str | None, limit: int) -> list[str]:
	"""Returns the ids of the first due questions, SAFE_MODE_LIMIT at most, read without Redis.

	Raises RateLimitExceeded.
	"""
	due, _content = _asked(_due_in_safe_mode(learner, season, subject, limit), learner, season, subject)
	return [record.question_id for record in due.records]


def _due_in_safe_mode(learner: str, season: str, subject: str | None, limit: int) -> _Due:
	SafeModeManager().require(learner)
	return _due_in_database(learner, season, subject, min(limit, SAFE_MODE_LIMIT))


def _due_in_database(learner: str, season: str, subject: str | None, limit: int) -> _Due:
	return _Due(*tracker.get_due(learner, season, site_time.naive_now(), limit, plain(subject)))


def _due_in_redis(learner: str, season: Season, limit: int, outdated: str | None) -> _Due:
	schedules = Schedules()
	due, _was_loaded = loading.load_due(
		schedules, learner, season.name, limit, season.content_version, outdated
	)
	if not due.question_ids:
		return _Due([], due.total)
	records = tracker.get_records(learner, season.name, due.question_ids)
	now = site_time.naive_now()
	wanted = [records[q] for q in due.question_ids if q in records]
	if len(wanted) == len(due.question_ids) and all(record.next_review_date <= now for record in wanted):
		return _Due(wanted, due.total)
	# Redis shows a question that is not due by MariaDB, so Redis has missed a write: MariaDB is right
	if not database.only_reads():  # or it is a replica, which may lag
		schedules.clear_learner(learner, season.name)
	return _due_in_database(learner, season.name, None, limit)


def _next_due(learner: str, season: str, subject: str | None) -> str | None:
	due = tracker.get_next_due(learner, season, site_time.naive_now(), plain(subject))
	return str(due) if due else None


def _asked(due: _Due, learner: str, season: str, subject: str | None) -> tuple[_Due, Contents]:
	"""Returns what is due and asked, and its content.

	If the question source has withdrawn questions without a word, this is noted, so that no later read counts them, and later
	ones take their places. Where it can't be noted, this read looks behind MOST_WITHDRAWN of them.
	"""
	limit, is_noted = len(due.records), True
	while True:
		content = get_content([r.question_id for r in due.records])
		asked = [r for r in due.records if r.question_id in content]
		looked_at = len(due.records)
		if len(asked) == looked_at or looked_at >= limit + MOST_WITHDRAWN:
			break
		if is_noted:
			is_noted = _note_withdrawn([r.question_id for r in due.records if r.question_id not in content])
		if len(asked) >= limit or looked_at >= due.total:
			break
		due = _due_in_database(learner, season, subject, min(2 * looked_at, limit + MOST_WITHDRAWN))
	return _Due(asked[:limit], due.total - looked_at + len(asked)), content


def _note_withdrawn(question_ids: list[str]) -> bool:
	"""Notes what the question source did not tell of; says whether that was possible. Waits for nobody."""
	messages = len(frappe.local.message_log)
	try:
		content_changes.note_now(question_ids, wait_seconds=0)
	except NOT_NOTED:
		del frappe.local.message_log[messages:]  # it is no error of this read
		return False
	return True


def _session(
	due: _Due, content: Contents, season: str | None, is_degraded: bool = False, reveal: bool = True
) -> ReviewSession:
	return {
		"questions": [_question(r, as_sent(content.get(r.question_id, {}), reveal)) for r in due.records],
		"total_due": due.total,
		"season": season,
		"is_degraded": is_degraded,
	}


def _question(record: MemoryRecord, content: dict[str, Any]) -> DueQuestion:
	question = {
		**content,
		"question_id": record.question_id,
		"subject": content.get("subject", record.subject),
		"topic": content.get("topic", record.topic),
		"stability": record.stability,
		"next_review_date": str(record.next_review_date),
	}
	return cast(DueQuestion, question)  # a TypedDict can't name the question source's own keys


def _with_previews(session: ReviewSession, due: _Due, scheduler: SeasonScheduler) -> ReviewSession:
	for question, record in zip(session["questions"], due.records, strict=True):
		question["preview"] = scheduler.preview(record.question_id, record)
	return session
