"""Where a record's date lies after its season's end, or the hour at which a learning day starts, has changed.

A date is a function of the record and of the present calendar. It does not depend on the day on which it is moved. So
an end that is moved to and fro leads to the dates that it would have led to at once, and a run can be repeated.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial

from memora.services.learning import scheduling
from memora.services.store.date_moves import MovableRecord


@dataclass(frozen=True)
class MovedCalendar:
	"""A season's calendar now, and what it was while dates were set that are still to be moved.

	`season_end` and `old_ends` are learning days, `day_start_hour` and `old_hours` are hours from 0 to 23.
	"""

	season_end: date
	day_start_hour: int
	desired_retention: float
	old_ends: Collection[date] = ()
	old_hours: Collection[int] = ()

	def moved(self, record: MovableRecord) -> datetime:
		"""Returns when (naive site time) a record falls due now: its `next_review_date` if that stays.

		The record's name in the tracker is the seed of its fuzz.
		"""
		day = self._day_of(record.next_review_date)
		interval_days = partial(
			scheduling.interval,
			record.stability,
			record.reps,
			seed=record.name,
			desired_retention=self.desired_retention,
		)
		answered = (record.last_review_date - timedelta(hours=self.day_start_hour)).date()
		moved_day = scheduling.moved_day(day, answered, interval_days, self.season_end, self.old_ends)
		if moved_day == day and record.next_review_date.time() not in map(time, self.old_hours):
			return record.next_review_date
		return datetime.combine(moved_day, time(self.day_start_hour))

	def has_moved(self, before: datetime, now: datetime, last_review: datetime) -> bool:
		"""Says whether a date may have become another by the changes from the old calendars to this one.

		It came to one of the ends, or it had been cut short by one, or its day starts at another hour. `before`, `now` and
		`last_review` (naive site time) are those of one record.
		"""
		if not (self.old_ends or self.old_hours):
			return False
		hours = {*self.old_hours, self.day_start_hour}
		if now.time() not in map(time, hours):
			return False
		old_day, new_day = self._day_of(before), now.date()
		answered = (last_review - timedelta(hours=self.day_start_hour)).date()
		last_days = {scheduling.last_day(answered, end) for end in (*self.old_ends, self.season_end)}
		if new_day < old_day:
			return new_day in last_days
		return new_day == old_day or (old_day in last_days and new_day <= max(last_days))

	def _day_of(self, moment: datetime) -> date:
		"""Returns the learning day of a date: a date at the start of a day, by an old hour, too, is of that day."""
		if moment.time() in map(time, self.old_hours):
			return moment.date()
		return (moment - timedelta(hours=self.day_start_hour)).date()

	@property
	def first_moved(self) -> datetime:
		"""The naive site time before which no date moves."""
		if self.old_hours:
			return datetime.min
		return datetime.combine(min([*self.old_ends, self.season_end + timedelta(days=1)]), time.min)
