"""Calendars, and a learner who answers when she is asked: for the tests of the scheduling core."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from memora.services.learning.scheduling import LearningCalendar, Memory, Outcome, review

NOON = datetime(2025, 1, 1, 12, tzinfo=timezone.utc)
FAR_END = date(2099, 12, 31)
UTC_CALENDAR = LearningCalendar(ZoneInfo("UTC"), 4)


def calendar(zone: str, day_start_hour: int = 4) -> LearningCalendar:
	return LearningCalendar(ZoneInfo(zone), day_start_hour)


def answer(
	before: Memory | None = None,
	quality: int = 4,
	at: datetime = NOON,
	*,
	seed: str = "golden",
	calendar: LearningCalendar = UTC_CALENDAR,
	season_end: date = FAR_END,
) -> Outcome:
	return review(before, quality, at, seed=seed, calendar=calendar, season_end=season_end)


def interval_days(outcome: Outcome, answered_at: datetime, calendar: LearningCalendar = UTC_CALENDAR) -> int:
	return (calendar.day_of(outcome.memory.due) - calendar.day_of(answered_at)).days


@dataclass
class Run:
	"""Returns what came of a row of answers, each given some hours after the question fell due."""

	intervals: list[int] = field(default_factory=list)
	outcomes: list[Outcome] = field(default_factory=list)

	@property
	def memory(self) -> Memory:
		return self.outcomes[-1].memory


def run(qualities: list[int], hours_late: int = 8, first_at: datetime = NOON, **options) -> Run:
	result, memory, at = Run(), None, first_at
	days = options.get("calendar", UTC_CALENDAR)
	for quality in qualities:
		outcome = answer(memory, quality, at, **options)
		result.intervals.append(interval_days(outcome, at, days))
		result.outcomes.append(outcome)
		memory = outcome.memory
		at = memory.due + timedelta(hours=hours_late)
	return result
