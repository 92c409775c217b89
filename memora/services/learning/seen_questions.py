"""Which questions a learner has answered before in a season."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from memora.services.store import tracker

FEW = 500  # questions that are looked up by key; for more of them it is quicker to read all her rows


@dataclass
class Seen:
	"""What a learner has seen. With `before` (naive site time), what she had seen before that moment.

	`waiting` is {question_id: naive site time of her first answer} of her outbox. Read it first: a fold moves its records
	to the tracker.
	"""

	learner: str
	season: str
	waiting: dict[str, datetime] = field(default_factory=dict)
	before: datetime | None = None
	asked: int = 0  # how many questions were looked up

	def among(self, question_ids: Iterable[str]) -> set[str]:
		"""Returns those of the questions that she has seen. One query at most."""
		asked = set(question_ids)
		self.asked += len(asked)
		if self.asked > FEW:
			return asked & self.all
		stored = tracker.get_first_seen_of(self.learner, self.season, asked)
		return asked & self._as_of(self.waiting | stored).keys()

	@cached_property
	def all(self) -> set[str]:
		"""All that she has seen. Reads all her rows of the season."""
		return {*self._as_of(self.waiting), *tracker.get_all_seen(self.learner, self.season, self.before)}

	def _as_of(self, first_seen: dict[str, datetime]) -> dict[str, datetime]:
		return {q: first for q, first in first_seen.items() if not self.before or first < self.before}
