"""The use case of a lesson: questions a learner has never seen in this season."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from typing_extensions import NotRequired, TypedDict

from memora.services import site_time
from memora.services.learning.question_source import get_source
from memora.services.learning.scheduling import LearningCalendar
from memora.services.learning.season_scheduler import Preview, SeasonScheduler
from memora.services.settings import get_settings
from memora.services.store import seasons, tracker

PAGE_ROWS = 200  # ids asked of the question source at a time


class NewQuestion(TypedDict):
	"""A question never seen before, and its content, whatever keys the question source gives it."""

	# pydantic's way to say it, which is no field
	__pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012

	question_id: str
	preview: NotRequired[Preview]


class LessonSession(TypedDict):
	"""New questions in order of teaching. `message` says why there is no season."""

	questions: list[NewQuestion]
	new_left_today: int
	season: str | None
	message: NotRequired[str]


def read_lesson(
	learner: str, topic: str | None, subject: str | None, limit: int, preview: bool = False
) -> LessonSession:
	"""New questions with content; see api.sessions.get_lesson_session."""
	season = seasons.get_active_season()
	if not season:
		return {
			"questions": [],
			"new_left_today": 0,
			"season": None,
			"message": seasons.why_none_is_active(),
		}
	seen = tracker.get_first_seen(learner, season.name)
	today = _start_of_today()
	left = max(0, get_settings().new_per_day - sum(first >= today for first in seen.values()))
	ids = list(_unseen(seen, subject, topic, min(limit, left)))
	content = get_source().get_questions(ids)
	questions = [_question(i, content[i]) for i in ids if i in content]
	if preview:
		scheduler = SeasonScheduler(learner, season, site_time.now())
		for question in questions:
			question["preview"] = scheduler.preview(question["question_id"], None)
	return {"questions": questions, "new_left_today": left, "season": season.name}


def _question(question_id: str, content: dict[str, Any]) -> NewQuestion:
	question = {**content, "question_id": question_id}
	return cast(NewQuestion, question)  # a TypedDict can't name the source's own keys


def _unseen(seen: dict[str, datetime], subject: str | None, topic: str | None, limit: int) -> Iterator[str]:
	offset, given = 0, 0
	while given < limit:
		page = get_source().find_questions(subject, topic, offset, PAGE_ROWS)
		for question_id in page:
			if question_id not in seen and given < limit:
				given += 1
				yield question_id
		if len(page) < PAGE_ROWS:
			return
		offset += PAGE_ROWS


def _start_of_today() -> datetime:
	"""Naive site time at which the present learning day began."""
	calendar = LearningCalendar(site_time.site_zone(), get_settings().day_start_hour)
	return site_time.to_naive(calendar.start_of(calendar.day_of(site_time.now())))
