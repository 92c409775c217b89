"""Judges a learner's answers: which of them are taken, and what each leads to. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import TypedDict

from memora.services import site_time
from memora.services.learning import daily_budget, earlier_seasons, grading
from memora.services.learning.answers import Origin, Response, Step, record_after
from memora.services.learning.grading import Content
from memora.services.learning.new_questions import NewQuestions
from memora.services.learning.question_source import get_content, topic_of
from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.store import standing
from memora.services.store.records import MemoryRecord, Standing
from memora.services.store.seasons import Season


class Rejection(TypedDict):
	"""A question whose answer was not taken, and the reason."""

	question_id: str
	reason: str


def as_rejections(responses: list[Response], reasons: dict[str, str]) -> list[Rejection]:
	"""Returns the rejections in the order in which the answers were sent."""
	ids = [response.question_id for response in responses]
	return [Rejection(question_id=q, reason=reasons[q]) for q in ids if q in reasons]


@dataclass(frozen=True)
class Judge:
	"""Decides by what the learner knows, by what she has answered today, and by what the question source says.

	Make it under the learner's lock.
	"""

	learner: str
	season: Season
	standing: Standing
	content: dict[str, Content]
	scheduler: SeasonScheduler
	known: dict[str, MemoryRecord]  # from earlier seasons

	@classmethod
	def of(cls, learner: str, season: Season, responses: list[Response]) -> "Judge":
		ids = [r.question_id for r in responses]
		scheduler = SeasonScheduler(learner, season, site_time.now())
		found = standing.get_standing(learner, season.name, ids, scheduler.today)
		known = earlier_seasons.recall(scheduler, [q for q in ids if q not in found.records])
		return cls(learner, season, found, get_content(ids), scheduler, known)

	def decide(self, responses: list[Response]) -> tuple[list[Step], list[Rejection]]:
		"""Returns (what the answers that are taken lead to, the others). Each answer is to another question."""
		reasons = self.why_refused(responses)
		steps = [self._step(response) for response in responses if response.question_id not in reasons]
		return steps, as_rejections(responses, reasons)

	def why_refused(self, responses: list[Response], moment: datetime | None = None) -> dict[str, str]:
		"""Returns {question_id: reason} of the answers that are not taken.

		With a moment (naive site time), what she first answered then or later is as new as it was before.
		"""
		known = {q: r for q, r in self.standing.records.items() if not moment or r.creation < moment}
		found = {r.question_id: self._why_refused(r, known.get(r.question_id)) for r in responses}
		reasons = {question_id: reason for question_id, reason in found.items() if reason}
		new = [q for q in found if q not in reasons and q not in known]
		return reasons | (self._why_not_new(new, moment) if new else {})

	def _why_refused(self, response: Response, record: MemoryRecord | None) -> str | None:
		reason = grading.why_refused(response, record, self.content.get(response.question_id))
		if reason or not self._is_practice(response, record):
			return reason
		is_left = daily_budget.is_practice_left(response.question_id, self.standing.effort)
		return None if is_left else daily_budget.practice_spent()

	def _why_not_new(self, question_ids: list[str], moment: datetime | None) -> dict[str, str]:
		"""Returns {question_id: reason} of those of the questions, all new to her, that may not be answered yet or today."""
		new = self._new_questions(moment)
		if not new.left:
			return dict.fromkeys(question_ids, grading.why_not_today())
		shown = new.could_be_shown({q: topic_of(self.content[q]) for q in question_ids})
		more = [q for q in question_ids if q in shown][new.left :]
		not_yet = [q for q in question_ids if q not in shown]
		return dict.fromkeys(not_yet, grading.why_not_yet()) | dict.fromkeys(more, grading.why_not_today())

	def _new_questions(self, moment: datetime | None) -> NewQuestions:
		if not moment:
			return NewQuestions.now(self.learner, self.season.name, self.standing)
		began = site_time.to_naive(self.scheduler.calendar.start_of(site_time.learning_day(moment)))
		return NewQuestions.as_of(self.learner, self.season.name, self.standing, moment, began)

	def _is_practice(self, response: Response, record: MemoryRecord | None) -> bool:
		"""Says whether an answer moves nothing: one a day does."""
		return response.practice or self._has_counted_today(record)

	def _has_counted_today(self, record: MemoryRecord | None) -> bool:
		"""Says whether an answer of the learning day has moved this record."""
		return bool(record and self.scheduler.has_counted_today(record))

	def _is_graded(self, response: Response, record: MemoryRecord | None) -> bool:
		"""Says whether the server grades an answer. Not if it has told her on this day what is right."""
		practised = self.standing.effort.count_practice(response.question_id)
		was_told = practised or self._has_counted_today(record or self.known.get(response.question_id))
		return response.chosen is not None and not was_told

	def _step(self, response: Response) -> Step:
		before = self.standing.records.get(response.question_id)
		known = None if before else self.known.get(response.question_id)
		is_practice, is_graded = self._is_practice(response, before), self._is_graded(response, before)
		response = grading.graded(response, self.content[response.question_id])
		answered_at = site_time.to_naive(self.scheduler.now)
		if before and is_practice:
			outcome, after = self.scheduler.practise(before, response.quality), before
		else:
			outcome = self.scheduler.review(response.question_id, before, response.quality, known)
			origin = before or Origin.of(response.question_id, self.content, answered_at)
			after = record_after(origin, outcome.memory)
		return Step(response, before, after, outcome, answered_at, is_practice, is_graded, known)
