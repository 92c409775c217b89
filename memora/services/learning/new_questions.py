"""The questions that are new to a learner in a season, and how many of them she may still learn on a learning day.

Lessons choose from these questions. Only what a lesson could show may be answered for the first time.
"""

from dataclasses import dataclass
from datetime import datetime

from memora.services.learning import bank_reading
from memora.services.learning.question_source import Topic, get_source
from memora.services.learning.seen_questions import Seen
from memora.services.settings import get_settings
from memora.services.store.question_bank import QuestionBank
from memora.services.store.records import Standing


@dataclass(frozen=True)
class NewQuestions:
	"""`seen` knows the questions that she has answered before, `left` is what is left of `new_per_day`."""

	seen: Seen
	left: int

	@classmethod
	def now(cls, learner: str, season: str, standing: Standing) -> "NewQuestions":
		"""`standing` is hers of the present learning day."""
		waiting = {q: record.creation for q, record in standing.records.items()}
		return cls(Seen(learner, season, waiting), _left(standing.effort.learnt))

	@classmethod
	def as_of(
		cls, learner: str, season: str, standing: Standing, moment: datetime, began: datetime
	) -> "NewQuestions":
		"""As it was at a moment of the learning day that began at `began`. Reads all her rows of the season, twice."""
		waiting = {q: record.creation for q, record in standing.records.items()}
		seen, before = (Seen(learner, season, waiting, then) for then in (moment, began))
		return cls(seen, _left(len(seen.all - before.all)))

	def select(self, subject: str | None, topic: str | None, limit: int) -> list[str]:
		"""Returns the first `limit` new questions in the order of teaching. Asks a host app's source once at most."""
		if limit < 1:
			return []
		source = get_source()
		if source is QuestionBank:
			return bank_reading.find_new(self.seen, subject, topic, limit)
		page = source.find_questions(subject, topic, 0, len(self.seen.all) + limit)
		return [question_id for question_id in page if question_id not in self.seen.all][:limit]

	def could_be_shown(self, topics: dict[str, Topic]) -> set[str]:
		"""Returns which questions a lesson of their own topic could show, by `new_per_day`.

		What lessons of today showed stays among them, however many of the others she has answered since. A question whose
		source names no topic could always be shown. Asks a host app's source once for each topic.
		"""
		per_day = get_settings().new_per_day
		named = {topic for topic in topics.values() if topic[1]}
		if get_source() is QuestionBank:
			names = [name for _subject, name in named if name]
			first = bank_reading.find_new_in_each(self.seen, names, per_day) if names else set()
		else:
			first = {name for topic in named for name in self.select(*topic, per_day)}
		return {name for name, topic in topics.items() if name in first or topic not in named}


def _left(learnt: int) -> int:
	return max(0, get_settings().new_per_day - learnt)
