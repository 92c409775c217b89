"""When a question comes back: FSRS-6 on learning days.

Pure: no frappe, no redis, no clock. The model is that of the `fsrs` package, with its default
parameters (Jarrett Ye and others, https://github.com/open-spaced-repetition/py-fsrs). It is fed whole
learning days instead of 24-hour periods: a learner who answers at 20:00 and again at 07:00 has slept
in between, and on real data that halves the log loss of the prediction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

from fsrs import Card, Rating, Scheduler, State

DECIMALS = 6  # what every store of a state keeps, so that a replay gives the same figures
FUZZ_FROM_DAYS = 3  # shorter intervals are left as they are

# Spread of an interval, as a share of the part of it that lies in each range of days: the ranges
# that Anki and FSRS use (rslib/src/scheduler/states/fuzz.rs). The result is whole days to either side.
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


@dataclass(frozen=True)
class LearningCalendar:
	"""Learning days: they start at `day_start_hour`, wall-clock time of `zone`."""

	zone: ZoneInfo
	day_start_hour: int = 4

	def day_of(self, moment: datetime) -> date:
		"""The learning day that an aware moment falls in."""
		wall_clock = moment.astimezone(self.zone).replace(tzinfo=None)
		return (wall_clock - timedelta(hours=self.day_start_hour)).date()

	def start_of(self, day: date) -> datetime:
		"""The aware moment at which a learning day starts."""
		return datetime.combine(day, time(self.day_start_hour), tzinfo=self.zone)


@dataclass(frozen=True)
class Memory:
	"""What the model knows of one learner and one question. Stability in days, difficulty 1 to 10."""

	stability: float
	difficulty: float
	state: str
	reps: int
	lapses: int
	due: datetime
	last_review: datetime


@dataclass(frozen=True)
class Outcome:
	"""An answer's effect. `predicted_recall` (0 to 1) is None at the first sight of a question;
	`memory` is the one from before where the answer did not move it (`moved` false): it came too late, or
	was practice."""

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
	desired_retention: float = 0.9,
) -> Outcome:
	"""Schedules one question after an answer of quality 0 to 5.

	`reviewed_at` is aware; a naive one raises ValueError. The next review falls due at the start of a
	learning day, not past `season_end`. `seed` names the learner and question: with the number of
	repetitions it settles the fuzz, so that a replay gives the same date.
	"""
	if reviewed_at.tzinfo is None:
		raise ValueError(f"reviewed_at must be aware, not {reviewed_at!r}")
	rating = RATINGS[Quality(quality)]
	# by epoch: within one zone Python compares wall clocks, which an autumn clock change sets back
	if before and reviewed_at.timestamp() < before.last_review.timestamp():
		return Outcome(before, rating, None, moved=False)
	today = calendar.day_of(reviewed_at)
	scheduler = _scheduler(desired_retention)
	card = _card(before, calendar) if before else _new_card()
	predicted = round(scheduler.get_card_retrievability(card, _midnight(today)), DECIMALS) if before else None
	card, _log = scheduler.review_card(card, rating, _midnight(today))
	reps = before.reps + 1 if before else 1
	interval_days = fuzzed((card.due - _midnight(today)).days, f"{seed}:{reps}")
	stability, difficulty = _figures(card)
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
	"""The probability (0 to 1) of a right answer on each of these learning days, should none be given before.

	It is 1 on the day of the last review, and on days before it.
	"""
	scheduler, card = (
		_scheduler(0.9),
		_card(memory, calendar),
	)  # the curve does not depend on what is aimed at
	return [round(scheduler.get_card_retrievability(card, _midnight(day)), DECIMALS) for day in days]


def practise(before: Memory, quality: int) -> Outcome:
	"""An answer of quality 0 to 5 in practice, beside the schedule: it is rated and moves nothing."""
	return Outcome(before, RATINGS[Quality(quality)], None, moved=False)


def initial_difficulty() -> float:
	"""The difficulty of a question first answered Good."""
	_stability, difficulty = _figures(_first_answered_good())
	return difficulty


def initial_stability() -> float:
	"""The stability, in days, of a question first answered Good."""
	stability, _difficulty = _figures(_first_answered_good())
	return stability


@lru_cache(maxsize=1)
def _first_answered_good() -> Card:
	card, _log = _scheduler(0.9).review_card(_new_card(), Rating.Good, _EPOCH)
	return card


def due_day(today: date, interval_days: int, season_end: date) -> date:
	"""The learning day of the next review: within the season, but never today again.

	On the season's last day that is the moment the season ends; in one kept active beyond its end,
	tomorrow.
	"""
	return min(today + timedelta(days=interval_days), max(season_end, today + timedelta(days=1)))


def fuzzed(interval_days: int, seed: str) -> int:
	"""The interval moved by a few days, evenly to both sides, so that what was learnt together does
	not stay together. The same seed gives the same days."""
	if interval_days < FUZZ_FROM_DAYS:
		return interval_days
	spread = sum(share * max(0.0, min(interval_days, high) - low) for low, high, share in FUZZ_RANGES)
	reach = min(round(1 + spread), interval_days - 2)
	digest = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big")
	return interval_days - reach + digest % (2 * reach + 1)


@lru_cache(maxsize=16)
def _scheduler(desired_retention: float) -> Scheduler:
	return Scheduler(
		desired_retention=desired_retention, learning_steps=(), relearning_steps=(), enable_fuzzing=False
	)


def _figures(card: Card) -> tuple[float, float]:
	"""Returns a card's stability and difficulty as they are stored."""
	assert card.stability is not None and card.difficulty is not None  # it has both from its first answer on
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
	"""A learning day as the library takes it: midnight, in datetime.timezone.utc and no other."""
	return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


_EPOCH = _midnight(date(1970, 1, 1))
_CARD_ID = 1  # left out, the library sleeps a millisecond to make one up
