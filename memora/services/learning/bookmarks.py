"""How far a learner has come in each topic of the question bank, so that a lesson does not look again at what she knows.

A bookmark is a hint. It holds as long as no question of its topic is changed, and in the database that it was made from: a
backup that is restored knows less. Without it the next lesson reads the topic from its beginning. Frappe's cache keeps a
learner's bookmarks for a day from the first one on: so what a hint may hide, it does not hide for long.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import frappe

from memora.services import site_time
from memora.services.cache.breaker import Unavailable
from memora.services.cache.gateway import Gateway
from memora.services.store.question_bank import BEGINNING, Place, TopicVersion

KEPT_SECONDS = 24 * 3600
MAX_SKIPPED = (
	50  # questions that a bookmark remembers; new_per_day allows a learner to leave out fewer than that
)


class Bookmark(NamedTuple):
	"""The learner has seen all questions of a topic up to `place`, but for those `skipped`.

	`version` is the topic's, as ISO text. `is_end` says that none follow.
	"""

	version: str
	place: Place = BEGINNING
	skipped: tuple[str, ...] = ()
	is_end: bool = False


@dataclass
class Bookmarks:
	"""A learner's bookmarks of a season: {topic: bookmark}. They are kept until `until`, in Unix seconds."""

	learner: str
	season: str
	database: str = ""
	of_topics: dict[str, Bookmark] = field(default_factory=dict)
	until: float = field(default_factory=lambda: site_time.epoch_now() + KEPT_SECONDS)
	is_changed: bool = False

	@classmethod
	def load(cls, learner: str, season: str) -> "Bookmarks":
		stored, database = frappe.cache().get_value(_key(learner), expires=True), _database()
		origin = {"season": season, "database": database}
		if not isinstance(stored, dict) or {name: stored.get(name) for name in origin} != origin:
			return cls(learner, season, database)
		topics = {topic: Bookmark(*values) for topic, values in stored["topics"].items()}
		return cls(learner, season, database, topics, stored.get("until", 0))

	def get(self, topic: TopicVersion) -> Bookmark:
		version = str(topic.version)
		found = self.of_topics.get(topic.name)
		return found if found and found.version == version else Bookmark(version)

	def put(self, topic: str, bookmark: Bookmark) -> None:
		if self.of_topics.get(topic) != bookmark:
			self.of_topics[topic] = bookmark
			self.is_changed = True

	def save(self) -> None:
		"""Keeps what has changed. Two processes may overwrite each other: either's bookmarks hold."""
		seconds = int(self.until - site_time.epoch_now())
		if not self.is_changed or seconds < 1:
			return
		topics = {topic: tuple(bookmark) for topic, bookmark in self.of_topics.items()}
		origin = {"season": self.season, "database": self.database}
		stored = {**origin, "topics": topics, "until": self.until}
		frappe.cache().set_value(_key(self.learner), stored, expires_in_sec=seconds)


def forget(learner: str) -> None:
	"""Deletes a learner's bookmarks."""
	frappe.cache().delete_value(_key(learner))


def _database() -> str:
	"""Returns what stands for this site's database; "" while a backup is being restored over it."""
	with suppress(Unavailable):
		return Gateway().database().digest
	return ""


def _key(learner: str) -> str:
	return f"memora_bookmarks|{learner}"
