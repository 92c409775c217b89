"""Gives a learner a lesson: questions that she has never seen in the active season."""

from typing import Any, cast

from typing_extensions import NotRequired, TypedDict

from memora.services import site_time
from memora.services.learning import earlier_seasons
from memora.services.learning.new_questions import NewQuestions
from memora.services.learning.question_source import as_sent, get_content
from memora.services.learning.season_scheduler import Preview, SeasonScheduler
from memora.services.store import seasons, standing
from memora.services.store.seasons import Season


class NewQuestion(TypedDict):
	"""A question that the learner has not seen in this season, with its content under the question source's keys.

	`known` says whether she knows it from a season that this one carries on from.
	"""

	# not a field: tells pydantic that there may be further keys
	__pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012

	question_id: str
	known: bool
	preview: NotRequired[Preview]


class LessonSession(TypedDict):
	"""New questions in the order of teaching. `message` says why there is no season, if there is none."""

	questions: list[NewQuestion]
	new_left_today: int
	season: str | None
	message: NotRequired[str]


def read_lesson(
	learner: str,
	topic: str | None,
	subject: str | None,
	limit: int,
	preview: bool = False,
	reveal: bool = True,
	season: Season | None = None,
) -> LessonSession:
	"""Returns new questions with their content; see api.sessions.get_lesson_session.

	`season` is the active season, if the caller has just read it.
	"""
	season = season or seasons.get_active_season()
	if not season:
		return {
			"questions": [],
			"new_left_today": 0,
			"season": None,
			"message": seasons.why_none_is_active(),
		}
	day = site_time.learning_day()
	new = NewQuestions.now(learner, season.name, standing.get_standing(learner, season.name, [], day))
	ids = new.select(subject, topic, min(limit, new.left))
	content = get_content(ids)
	scheduler = SeasonScheduler(learner, season, site_time.now())
	known = earlier_seasons.recall(scheduler, ids)
	questions = [_question(i, as_sent(content[i], reveal), i in known) for i in ids if i in content]
	if preview:
		for question in questions:
			question_id = question["question_id"]
			question["preview"] = scheduler.preview(question_id, None, known.get(question_id))
	return {"questions": questions, "new_left_today": new.left, "season": season.name}


def _question(question_id: str, content: dict[str, Any], is_known: bool) -> NewQuestion:
	question = {**content, "question_id": question_id, "known": is_known}
	return cast(NewQuestion, question)  # a TypedDict can't name the question source's own keys
