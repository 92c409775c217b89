"""The model of the stateful test: what learners know, and how to break what the app stands on."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import quote

import redis

from devtools import ports
from memora.services.store import tracker as tracker_store
from tests.integration import factories

SEASON = factories.STANDING_SEASON
DATES = {
	"Player Memory Tracker": ("next_review_date", "last_review_date", "creation"),
	"Player Review Log": ("reviewed_at", "next_review_date_before", "next_review_date_after"),
}
QUESTIONS = 6  # few, so that answers meet


class Memory:
	"""One learner's question, as the model knows it. An answer counts, unless one has counted on the same day."""

	def __init__(self, reps: int, due: datetime) -> None:
		self.reps, self.due = reps, due
		self.has_counted_today = True


class Player:
	"""The model of one learner: submissions {id: ({question: quality}, {question: due})}, memory by question."""

	def __init__(self, name: str) -> None:
		self.name = name
		self.submissions: dict[str, tuple[dict[str, int], dict[str, datetime]]] = {}
		self.practised: dict[str, dict[str, int]] = {}
		self.memory: dict[str, Memory] = {}

	def learn(self, submission: str, answers: dict[str, int], dates: dict[str, datetime]) -> None:
		self.submissions[submission] = answers, dates
		for question, due in dates.items():
			known = self.memory.get(question)
			if not known or not known.has_counted_today:
				self.memory[question] = Memory(known.reps + 1 if known else 1, due)

	def due(self) -> set[str]:
		now = factories.site_now()
		return {question for question, memory in self.memory.items() if memory.due <= now}

	@property
	def journal(self) -> Counter:
		sent = {**{s: answers for s, (answers, _) in self.submissions.items()}, **self.practised}
		return Counter((s, q, quality) for s, answers in sent.items() for q, quality in answers.items())

	@property
	def key(self) -> str:
		return f"srs:{quote(self.name, safe='@+')}:{quote(SEASON, safe='')}"

	@property
	def marker(self) -> str:
		return f"{{{self.key}}}:loaded"


def closed_port() -> redis.ConnectionPool:
	return redis.ConnectionPool(port=ports.any_free(), decode_responses=True, socket_connect_timeout=0.25)


@contextmanager
def interrupted_load(interruption: Callable[[], None], after_rows: bool) -> Iterator[None]:
	"""Has something happen while the block's load reads its rows."""
	get_dates = tracker_store.get_dates

	def interrupted(player: str, season: str) -> dict[str, datetime]:
		tracker_store.get_dates = get_dates
		if after_rows:
			rows = get_dates(player, season)
			interruption()
			return rows
		interruption()
		return get_dates(player, season)

	tracker_store.get_dates = interrupted
	try:
		yield
	finally:
		tracker_store.get_dates = get_dates


def parsed(schedule: dict[str, str]) -> dict[str, datetime]:
	return {question: datetime.fromisoformat(due) for question, due in schedule.items()}
