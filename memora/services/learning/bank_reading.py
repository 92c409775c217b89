"""Finds the questions of the bank that are new to a learner, without reading again what she has seen.

Topics are read in the order of teaching, each from the learner's bookmark on, page by page, until enough is found. So the
cost does not grow with what she has seen; only where bookmarks are missing is a topic read from its beginning.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from memora.services.learning.bookmarks import MAX_SKIPPED, Bookmark, Bookmarks
from memora.services.learning.seen_questions import Seen
from memora.services.store.question_bank import Place, QuestionBank, TopicVersion

FIRST_PAGE = 20  # questions of a topic; the pages that follow grow
MAX_PAGE = 1000
MAX_TOPICS = 64  # read by one statement
GROWTH = 4


def find_new(seen: Seen, subject: str | None, topic: str | None, limit: int) -> list[str]:
	"""Returns the first `limit` questions of a subject, a topic or the whole bank that she has not seen."""
	bookmarks = _load(seen)
	topics = QuestionBank.find_topics(subject, None if topic is None else [topic])
	topics = [t for t in topics if not _is_done(bookmarks.get(t), t)]
	found: list[str] = []
	step = 1
	while topics and len(found) < limit:
		part, topics = topics[:step], topics[step:]
		for unseen in _read(seen, bookmarks, part, limit - len(found)).values():
			found += unseen
		step = min(step * GROWTH, MAX_TOPICS)
	_save(seen, bookmarks)
	return found[:limit]


def find_new_in_each(seen: Seen, topics: Collection[str], limit: int) -> set[str]:
	"""Returns the first `limit` questions of each of these topics that she has not seen."""
	bookmarks = _load(seen)
	read = _read(seen, bookmarks, QuestionBank.find_topics(None, topics), limit)
	_save(seen, bookmarks)
	return {name for unseen in read.values() for name in unseen[:limit]}


def _load(seen: Seen) -> Bookmarks:
	"""Of what she had seen at an earlier moment there are no bookmarks."""
	return Bookmarks(seen.learner, seen.season) if seen.before else Bookmarks.load(seen.learner, seen.season)


def _save(seen: Seen, bookmarks: Bookmarks) -> None:
	if not seen.before:
		bookmarks.save()


def _is_done(bookmark: Bookmark, topic: TopicVersion) -> bool:
	return not topic.version or (bookmark.is_end and not bookmark.skipped)


def _read(seen: Seen, bookmarks: Bookmarks, topics: list[TopicVersion], limit: int) -> dict[str, list[str]]:
	"""Returns {topic: the new questions found, in order}: at least `limit` of each topic that has so many."""
	readings = {topic.name: _Reading.of(bookmarks.get(topic)) for topic in topics if topic.version}
	_open(seen, readings)
	size = max(FIRST_PAGE, 2 * limit)
	while places := {t: r.place for t, r in readings.items() if not r.is_end and len(r.unseen) < limit}:
		pages = QuestionBank.find_behind(places, size)
		known = seen.among([name for page in pages.values() for _position, name in page])
		for topic, page in pages.items():
			readings[topic].read(page, known, is_end=len(page) < size)
		size = min(size * GROWTH, MAX_PAGE)
	for topic, reading in readings.items():
		bookmarks.put(topic, reading.bookmark)
	return {topic: reading.unseen for topic, reading in readings.items()}


def _open(seen: Seen, readings: dict[str, "_Reading"]) -> None:
	"""Drops skipped questions that she has seen meanwhile, or that were deleted or moved to another topic."""
	skipped = [name for reading in readings.values() for name in reading.unseen]
	known = seen.among(skipped) if skipped else set()
	topics = QuestionBank.get_topics_of(skipped)
	for topic, reading in readings.items():
		reading.keep({name for name in reading.unseen if name not in known and topics.get(name) == topic})


@dataclass
class _Reading:
	"""A topic that is being read. `unseen` are the new questions found so far, in order, `place` is the last one read."""

	bookmark: Bookmark
	place: Place
	is_end: bool
	unseen: list[str] = field(default_factory=list)

	@classmethod
	def of(cls, bookmark: Bookmark) -> "_Reading":
		return cls(bookmark, bookmark.place, bookmark.is_end, [*bookmark.skipped])

	def keep(self, skipped: set[str]) -> None:
		"""Drops all other skipped questions."""
		self.unseen = [name for name in self.unseen if name in skipped]
		self._mark(self.place, self.is_end)

	def read(self, page: list[Place], seen: set[str], is_end: bool) -> None:
		"""Takes the topic's next questions, and moves the bookmark behind the last one that she has seen."""
		for self.place in page:
			if self.place[1] not in seen:
				self.unseen.append(self.place[1])
			else:
				self._mark(self.place)
		self.is_end = is_end
		if is_end:
			self._mark(self.place, is_end)

	def _mark(self, place: Place, is_end: bool = False) -> None:
		if len(self.unseen) <= MAX_SKIPPED:
			self.bookmark = self.bookmark._replace(place=place, skipped=tuple(self.unseen), is_end=is_end)
