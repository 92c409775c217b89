"""Learning days: rollover, zones, and clock changes in both directions."""

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from memora.services.learning.scheduling import LearningCalendar
from tests.unit.scheduling_runs import answer, calendar, interval_days, run

# Resources are other tests': what they left open may be collected while these run
pytestmark = pytest.mark.filterwarnings("error", "default::ResourceWarning")


def at(text: str, zone: str, fold: int = 0) -> datetime:
	return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def utc(text: str) -> datetime:
	return at(text, "UTC").astimezone(timezone.utc)


@pytest.mark.parametrize(
	("moment", "day"),
	[
		("2025-05-02T03:59:59.999999", date(2025, 5, 1)),
		("2025-05-02T04:00:00", date(2025, 5, 2)),
		("2025-05-02T23:59:59", date(2025, 5, 2)),
		("2025-05-03T00:00:00", date(2025, 5, 2)),
	],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Pacific/Auckland", "America/Los_Angeles"])
def test_a_day_rolls_over_at_four_in_the_morning_site_time(zone, moment, day):
	assert calendar(zone).day_of(at(moment, zone)) == day


@pytest.mark.parametrize(
	("zone", "moment", "day"),
	[
		("Asia/Kolkata", "2025-05-01T22:29:59", date(2025, 5, 1)),  # 03:59:59 there
		("Asia/Kolkata", "2025-05-01T22:30:00", date(2025, 5, 2)),
		("Pacific/Auckland", "2025-05-01T15:59:59", date(2025, 5, 1)),  # UTC+12
		("Pacific/Auckland", "2025-05-01T16:00:00", date(2025, 5, 2)),
		("Pacific/Auckland", "2025-01-01T15:00:00", date(2025, 1, 2)),  # UTC+13 in summer
		("America/Los_Angeles", "2025-05-02T10:59:59", date(2025, 5, 1)),  # UTC-7
		("America/Los_Angeles", "2025-05-02T11:00:00", date(2025, 5, 2)),
		("America/Los_Angeles", "2025-01-02T11:30:00", date(2025, 1, 1)),  # UTC-8 in winter
	],
)
def test_a_moment_in_utc_falls_in_the_learning_day_of_the_site(zone, moment, day):
	assert calendar(zone).day_of(utc(moment)) == day


def test_answers_on_both_sides_of_the_rollover_are_a_day_apart():
	before, after = at("2025-05-02T03:59", "UTC"), at("2025-05-02T04:00", "UTC")
	assert answer(at=before).memory.due == utc("2025-05-03T04:00")
	assert answer(at=after).memory.due == utc("2025-05-04T04:00")


def test_recall_is_that_of_whole_days_and_not_of_hours():
	first = answer(at=at("2025-05-01T20:00", "UTC")).memory
	same_day = answer(first, 4, at("2025-05-02T03:59", "UTC"))
	next_day = answer(first, 4, at("2025-05-02T04:00", "UTC"))
	day_end = answer(first, 4, at("2025-05-03T03:59", "UTC"))
	assert same_day.predicted_recall == 1.0
	assert next_day.predicted_recall == day_end.predicted_recall < 1.0


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin"])
def test_the_golden_intervals_are_the_same_in_every_zone(zone):
	noon = at("2025-01-01T12:00", zone)
	days = calendar(zone)
	good = run([4] * 5, first_at=noon, calendar=days)
	assert good.intervals == [2, 11, 45, 169, 501]
	assert all(o.memory.due.astimezone(days.zone).hour == 4 for o in good.outcomes)


@pytest.mark.parametrize(
	("zone", "answered", "due"),
	[
		# spring: the night has 23 hours
		("Europe/Berlin", "2025-03-29T20:00", "2025-03-31T02:00"),
		("America/New_York", "2025-03-08T20:00", "2025-03-10T08:00"),
		# autumn: it has 25
		("Europe/Berlin", "2025-10-25T20:00", "2025-10-27T03:00"),
		("America/New_York", "2025-11-01T20:00", "2025-11-03T09:00"),
	],
)
def test_a_due_day_starts_at_four_on_the_wall_across_clock_changes(zone, answered, due):
	days = calendar(zone)
	outcome = answer(at=at(answered, zone), calendar=days)
	assert outcome.memory.due.astimezone(timezone.utc) == utc(due)
	assert outcome.memory.due.astimezone(days.zone).hour == 4
	assert interval_days(outcome, at(answered, zone), days) == 2


CLOCK_CHANGES = [
	("Europe/Berlin", date(2025, 3, 30)),
	("Europe/Berlin", date(2025, 10, 26)),
	("America/New_York", date(2025, 3, 9)),
	("America/New_York", date(2025, 11, 2)),
	("Pacific/Auckland", date(2025, 4, 6)),
	("Pacific/Auckland", date(2025, 9, 28)),
]


@pytest.mark.parametrize("day_start_hour", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("zone", "change"), CLOCK_CHANGES)
def test_days_follow_each_other_without_gap_or_overlap_around_a_clock_change(zone, change, day_start_hour):
	"""A day can start at an hour that the clock skips or repeats."""
	days = LearningCalendar(ZoneInfo(zone), day_start_hour)
	for offset in (-1, 0, 1):
		day = change + timedelta(days=offset)
		start = days.start_of(day).astimezone(timezone.utc)
		assert days.day_of(start) == day
		assert days.day_of(start - timedelta(microseconds=1)) == day - timedelta(days=1)


@pytest.mark.parametrize("day_start_hour", [2, 3, 4])
@pytest.mark.parametrize(("zone", "change"), CLOCK_CHANGES)
def test_no_moment_of_a_clock_change_falls_back_to_an_earlier_day(zone, change, day_start_hour):
	days = LearningCalendar(ZoneInfo(zone), day_start_hour)
	noon_before = datetime(change.year, change.month, change.day, tzinfo=timezone.utc) - timedelta(days=1)
	seen = [days.day_of(noon_before + timedelta(minutes=10 * i)) for i in range(6 * 60)]
	assert seen == sorted(seen)


def test_a_day_that_would_start_in_the_gap_starts_when_the_clock_jumps():
	days = LearningCalendar(ZoneInfo("Europe/Berlin"), 2)
	assert days.start_of(date(2025, 3, 30)).astimezone(timezone.utc) == utc("2025-03-30T01:00")


def test_a_day_that_would_start_in_the_repeated_hour_starts_the_first_time():
	days = LearningCalendar(ZoneInfo("Europe/Berlin"), 2)
	assert days.start_of(date(2025, 10, 26)).astimezone(timezone.utc) == utc("2025-10-26T00:00")


def test_an_answer_in_the_repeated_hour_is_later_than_one_before_it():
	"""02:50 summer time, then 02:10 winter time: twenty minutes later, though the wall reads earlier."""
	days = calendar("Europe/Berlin")
	first = answer(at=at("2025-10-26T02:50", "Europe/Berlin"), calendar=days).memory
	second = answer(first, 1, at("2025-10-26T02:10", "Europe/Berlin", fold=1), calendar=days)
	assert second.moved
	assert second.memory.reps == 2


def test_an_answer_before_the_repeated_hour_is_older_than_one_in_it():
	days = calendar("Europe/Berlin")
	first = answer(at=at("2025-10-26T02:10", "Europe/Berlin", fold=1), calendar=days).memory
	late = answer(first, 1, at("2025-10-26T02:50", "Europe/Berlin"), calendar=days)
	assert not late.moved
	assert late.memory == first
