"""Scheduling with a site's settings: time zone, learning days, desired retention, and the season's end."""

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from typing_extensions import TypedDict

from memora.services import site_time
from memora.services.learning import scheduling
from memora.services.learning.scheduling import LearningCalendar, Memory, Outcome, Quality
from memora.services.settings import get_settings
from memora.services.store import row_names
from memora.services.store.outbox import Calendar
from memora.services.store.records import MemoryRecord
from memora.services.store.seasons import Season

# The grades a learner chooses between when she grades herself: {rating: the quality that stands for it}.
GRADES = {"Again": Quality.WRONG, "Hard": Quality.HARD, "Good": Quality.GOOD, "Easy": Quality.PERFECT}


class GradePreview(TypedDict):
	"""The effect that a grade would have.

	`quality` is the value to send; `interval_days` counts learning days.
	"""

	quality: int
	interval_days: int
	next_review_date: site_time.Text


class Preview(TypedDict):
	"""The effect that each grade would have."""

	Again: GradePreview
	Hard: GradePreview
	Good: GradePreview
	Easy: GradePreview


class SeasonScheduler:
	"""Schedules the answers of one learner in one season, given at the aware moment `now`.

	Reads Memora Settings and nothing else.
	"""

	def __init__(self, learner: str, season: Season, now: datetime) -> None:
		settings = get_settings()
		self.learner, self.season, self.now = learner, season, now
		self.desired_retention = settings.desired_retention
		self.calendar = LearningCalendar(site_time.site_zone(), settings.day_start_hour)

	def review(
		self, question_id: str, before: MemoryRecord | None, quality: int, known: MemoryRecord | None = None
	) -> Outcome:
		"""Schedules a question after an answer; `before` is None at its first sight. See scheduling.review.

		`known` is her record of an earlier season: at the first sight her memory goes on from there, and repetitions and
		lapses are counted anew.
		"""
		if before or not known:
			memory = memory_of(before, self.calendar.zone) if before else None
			return self._review(question_id, memory, quality)
		memory = replace(memory_of(known, self.calendar.zone), reps=0)
		outcome = self._review(question_id, memory, quality)
		return replace(outcome, memory=replace(outcome.memory, lapses=0))

	def _review(self, question_id: str, before: Memory | None, quality: int) -> Outcome:
		return scheduling.review(
			before,
			quality,
			self.now,
			seed=row_names.tracker_name(self.learner, self.season.name, question_id),
			calendar=self.calendar,
			season_end=self.season.end_date,
			desired_retention=self.desired_retention,
		)

	def practise(self, before: MemoryRecord, quality: int) -> Outcome:
		"""Rates an answer in practice, which moves nothing; see scheduling.practise."""
		return scheduling.practise(memory_of(before, self.calendar.zone), quality)

	@property
	def judged_by(self) -> Calendar:
		"""What the dates depend on that managers may change meanwhile."""
		return Calendar(self.season.end_date, self.calendar.day_start_hour)

	@property
	def today(self) -> date:
		"""The learning day on which the answers are given."""
		return self.calendar.day_of(self.now)

	def is_past(self, record: MemoryRecord) -> bool:
		"""Says whether a record's last review was before the answers that are scheduled here."""
		return record.last_review_date.replace(tzinfo=self.calendar.zone).timestamp() <= self.now.timestamp()

	def has_counted_today(self, before: MemoryRecord) -> bool:
		"""Says whether an answer has moved this record on this learning day. One a day does."""
		last = before.last_review_date.replace(tzinfo=self.calendar.zone)
		return self.calendar.day_of(last) >= self.today

	def preview(
		self, question_id: str, before: MemoryRecord | None, known: MemoryRecord | None = None
	) -> Preview:
		"""Returns the effect that each grade would have; see `review`."""

		def step(quality: Quality) -> GradePreview:
			return self._step(self.review(question_id, before, quality, known), quality)

		return {
			"Again": step(GRADES["Again"]),
			"Hard": step(GRADES["Hard"]),
			"Good": step(GRADES["Good"]),
			"Easy": step(GRADES["Easy"]),
		}

	def _step(self, outcome: Outcome, quality: Quality) -> GradePreview:
		due = outcome.memory.due
		days = (self.calendar.day_of(due) - self.calendar.day_of(self.now)).days
		return {
			"quality": int(quality),
			"interval_days": days,
			"next_review_date": str(due.replace(tzinfo=None)),
		}


def memory_of(record: MemoryRecord, zone: ZoneInfo) -> Memory:
	"""Returns a record as the model takes it."""
	return Memory(
		stability=record.stability,
		difficulty=record.difficulty,
		state=record.state,
		reps=record.reps,
		lapses=record.lapses,
		due=record.next_review_date.replace(tzinfo=zone),
		last_review=record.last_review_date.replace(tzinfo=zone),
	)
