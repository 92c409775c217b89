"""The questions that are new to a learner in a season, and how many of them she may still learn on a learning day.

Lessons choose from these questions. Only what a lesson could show may be answered for the first time.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from memora.services.learning.question_source import Topic, get_source
from memora.services.settings import get_settings


@dataclass(frozen=True)
class NewQuestions:
	"""`seen` are the questions that she has answered before, `left` is what is left of `new_per_day`."""

	seen: Collection[str]
	left: int

	@classmethod
	def of(cls, first_seen: dict[str, datetime], began: datetime) -> "NewQuestions":
		"""Counts from `began`, when the learning day began. `first_seen` is {question_id: when she first answered it}."""
		of_today = sum(moment >= began for moment in first_seen.values())
		return cls(first_seen.keys(), max(0, get_settings().new_per_day - of_today))

	def select(self, subject: str | None, topic: str | None, limit: int) -> list[str]:
		"""Returns the first `limit` new questions in the order of teaching. Asks the question source once at most."""
		if limit < 1:
			return []
		page = get_source().find_questions(subject, topic, 0, len(self.seen) + limit)
		return [question_id for question_id in page if question_id not in self.seen][:limit]

	def could_be_shown(self, topics: dict[str, Topic]) -> set[str]:
		"""Returns which questions a lesson of their own topic could show, by `new_per_day`. Asks once for each topic.

		What lessons of today showed stays among them, however many of the others she has answered since. A question whose
		source names no topic could always be shown.
		"""
		per_day = get_settings().new_per_day
		first = {topic: self.select(*topic, per_day) for topic in set(topics.values()) if topic[1]}
		return {name for name, topic in topics.items() if name in first.get(topic, [name])}
