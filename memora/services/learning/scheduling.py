"""Decides when a question comes back: FSRS-6 on learning days.

This module is pure: no frappe, no redis, no clock. The model is that of the `fsrs` package, with its default
parameters (Jarrett Ye and others, https://github.com/open-spaced-repetition/py-fsrs). The model is fed whole
learning days instead of 24-hour periods: a learner who answers at 20:00 and again at 07:00 has slept in
between. On real data whole days halve the log loss of the prediction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import IntEnum
from functools import cache, lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

from fsrs import Card, Rating, Scheduler, State

DECIMALS = 6  # to which every figure is rounded before it is stored, so that a replay gives equal figures
RETENTION = 0.9  # Anki's usual one, where none is given or any would do
FUZZ_FROM_DAYS = 3  # shorter intervals are left as they are

# (from day, to day, share): an interval's spread is the sum of the shares of its parts in each range of days.
# Anki and FSRS use the same ranges (rslib/src/scheduler/states/fuzz.rs). The spread is rounded to whole days
# to either side.
FUZZ_RANGES = ((2.5, 7.0, 0.15), (7.0, 20.0, 0.1), (20.0, float("inf"), 0.05))


class Quality(IntEnum):
	"""SM-2's grades of an answer, as clients send them."""

	BLACKOUT = 0
	WRONG = 1
	WRONG_BUT_FAMILIAR = 2
	HARD = 3
	GOOD = 4
	PERFECT = 5


RATINGS = {
	Quality.BLACKOUT: Rating.Again,
	Quality.WRONG: Rating.Again,
	Quality.WRONG_BUT_FAMILIAR: Rating.Again,
	Quality.HARD: Rating.Hard,
	Quality.GOOD: Rating.Good,
	Quality.PERFECT: Rating.Easy,
}


def is_right(quality: int) -> bool:
	"""Says whether a quality of 0 to 5 stands for a question that was not forgotten."""
	return RATINGS[Quality(quality)] != Rating.Again


@dataclass(frozen=True)
class LearningCalendar:
	"""The learning days of a site. A day starts at `day_start_hour`, by the wall clock of `zone`."""

	zone: ZoneInfo
	day_start_hour: int = 4

	def day_of(self, moment: datetime) -> date:
		"""Returns the learning day that an aware moment falls in."""
		wall_clock = moment.astimezone(self.zone).replace(tzinfo=None)
		return (wall_clock - timedelta(hours=self.day_start_hour)).date()

	def start_of(self, day: date) -> datetime:
		"""Returns the aware moment at which a learning day starts."""
		return datetime.combine(day, time(self.day_start_hour), tzinfo=self.zone)


@dataclass(frozen=True)
class Memory:
	"""The model's state for one learner and one question. Stability is in days, difficulty from 1 to 10."""

	stability: float
	difficulty: float
	state: str
	reps: int
	lapses: int
	due: datetime
	last_review: datetime


@dataclass(frozen=True)
class Outcome:
	"""An answer's effect. `predicted_recall` is 0 to 1.

	`moved` is false if the answer was given before the last review, or was practice: then `memory` is the
	state from before, and `predicted_recall` is None. `predicted_recall` is None, too, at the first sight of
	a question.
	"""

	memory: Memory
	rating: Rating
	predicted_recall: float | None
	moved: bool = True


def review(
	before: Memory | None,
	quality: int,
	reviewed_at: datetime,
	*,
	seed: str,
	calendar: LearningCalendar,
	season_end: date,
	desired_retention: float = RETENTION,
) -> Outcome:
	"""Schedules one question after an answer of quality 0 to 5.

	`reviewed_at` must be aware, or ValueError is raised. The next review falls due at the start of a learning
	day: not past `season_end`, but never today (see due_day). `seed` names learner and question. Seed and
	number of repetitions settle the fuzz, so that a replay gives the same date. An answer given before the
	last review moves nothing.
	"""
	if reviewed_at.tzinfo is None:
		raise ValueError(f"reviewed_at must be aware, not {reviewed_at!r}")
	rating = RATINGS[Quality(quality)]
	# compare epochs: within one zone Python compares wall clocks, which an autumn clock change sets back
	if before and reviewed_at.timestamp() < before.last_review.timestamp():
		return Outcome(before, rating, None, moved=False)
	today = calendar.day_of(reviewed_at)
	scheduler = _scheduler(desired_retention)
	card = _card(before, calendar) if before else _new_card()
	predicted = round(scheduler.get_card_retrievability(card, _midnight(today)), DECIMALS) if before else None
	card, _log = scheduler.review_card(card, rating, _midnight(today))
	reps = before.reps + 1 if before else 1
	stability, difficulty = _figures(card)
	interval_days = interval(stability, reps, seed=seed, desired_retention=desired_retention)
	memory = Memory(
		stability=stability,
		difficulty=difficulty,
		state=card.state.name,
		reps=reps,
		lapses=(before.lapses + (rating == Rating.Again)) if before else 0,
		due=calendar.start_of(due_day(today, interval_days, season_end)),
		last_review=reviewed_at,
	)
	return Outcome(memory, rating, predicted)


def recall(memory: Memory, days: Iterable[date], calendar: LearningCalendar) -> list[float]:
	"""Returns the probability (0 to 1) of a right answer on each of these learning days.

	The figures hold as long as no other answer is given before. The probability is 1 on the day of the last
	review, and on days before.
	"""
	card = _card(memory, calendar)
	scheduler = _scheduler(RETENTION)  # the curve does not depend on it
	return [round(scheduler.get_card_retrievability(card, _midnight(day)), DECIMALS) for day in days]


def practise(before: Memory, quality: int) -> Outcome:
	"""Rates an answer of quality 0 to 5 in practice, beside the schedule. Moves nothing."""
	return Outcome(before, RATINGS[Quality(quality)], None, moved=False)


def initial_difficulty() -> float:
	"""Returns the difficulty (1 to 10) of a question whose first answer was Good."""
	_stability, difficulty = _figures(_first_answered_good())
	return difficulty


def initial_stability() -> float:
	"""Returns the stability, in days, of a question whose first answer was Good."""
	stability, _difficulty = _figures(_first_answered_good())
	return stability


@cache
def _first_answered_good() -> Card:
	card, _log = _scheduler(RETENTION).review_card(_new_card(), Rating.Good, _EPOCH)
	return card


def due_day(today: date, interval_days: int, season_end: date) -> date:
	"""Returns the learning day of the next review: within the season, but never today.

	On the season's last day this is tomorrow, whose start is the moment the season ends. In a season that is
	kept active beyond its end, this is tomorrow, too.
	"""
	return min(today + timedelta(days=interval_days), last_day(today, season_end))


def last_day(answered: date, season_end: date) -> date:
	"""Returns the last learning day that a question answered on the day `answered` can fall due on."""
	return max(season_end, answered + timedelta(days=1))


def moved_day(
	due: date,
	answered: date,
	interval_days: Callable[[], int],
	season_end: date,
	old_ends: Iterable[date] = (),
) -> date:
	"""Returns the learning day on which a record falls due, once its season ends on `season_end`.

	`interval_days` is called only for a day that an old end may have cut short.

	What lies beyond the new end comes to the end. What one of the `old_ends` has cut short gets the rest of its interval
	back, as far as the new end lets it. All other days stay, also those that another scheduler has chosen. So the day
	that review has set becomes the day that review would have set by the new end, however often the end has moved.
	"""
	if due in {last_day(answered, end) for end in old_ends}:
		due = max(due, answered + timedelta(days=interval_days()))
	return min(due, last_day(answered, season_end))


def interval(stability: float, reps: int, *, seed: str, desired_retention: float) -> int:
	"""Returns how many learning days after an answer its question falls due, without regard to the season's end.

	`stability` (days, as it is stored) and `reps` are those that the answer has led to; for `seed` see review.
	"""
	days = _scheduler(desired_retention)._next_interval(stability=stability)
	return fuzzed(days, f"{seed}:{reps}")


def fuzzed(interval_days: int, seed: str) -> int:
	"""Returns the interval moved by a few days, evenly to both sides; equal seeds move it equally.

	So questions that were learnt together do not stay together.
	"""
	if interval_days < FUZZ_FROM_DAYS:
		return interval_days
	spread = sum(share * max(0.0, min(interval_days, high) - low) for low, high, share in FUZZ_RANGES)
	reach = round(1 + spread)
	digest = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big")
	return interval_days - reach + digest % (2 * reach + 1)


@lru_cache
def _scheduler(desired_retention: float) -> Scheduler:
	return Scheduler(
		desired_retention=desired_retention, learning_steps=(), relearning_steps=(), enable_fuzzing=False
	)


def _figures(card: Card) -> tuple[float, float]:
	"""Returns a card's stability and difficulty as they are stored."""
	assert card.stability is not None and card.difficulty is not None  # both are set by the first answer
	return round(card.stability, DECIMALS), round(card.difficulty, DECIMALS)


def _new_card() -> Card:
	return Card(card_id=_CARD_ID, due=_EPOCH)


def _card(before: Memory, calendar: LearningCalendar) -> Card:
	return Card(
		card_id=_CARD_ID,
		state=State[before.state],
		stability=before.stability,
		difficulty=before.difficulty,
		due=_EPOCH,
		last_review=_midnight(calendar.day_of(before.last_review)),
	)


def _midnight(day: date) -> datetime:
	"""Returns a learning day as the library takes it: midnight, in datetime.timezone.utc and no other."""
	return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


_EPOCH = _midnight(date(1970, 1, 1))
_CARD_ID = 1  # without an id, the library sleeps a millisecond to make one up
