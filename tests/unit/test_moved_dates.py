"""Dates after the season's end has moved: what an answer by the new end would have led to."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora.services.learning.moved_dates import MovedCalendar
from memora.services.learning.scheduling import LearningCalendar, Memory, review
from memora.services.store.date_moves import MovableRecord
from tests.unit.scheduling_runs import NOON

ZONE = ZoneInfo("Asia/Kolkata")
DAYS = LearningCalendar(ZONE, 4)
START = NOON.astimezone(ZONE).date()
END = START + timedelta(days=200)
NAME = "0123456789abcdef" * 2

ENDS = st.integers(-30, 400).map(lambda days: START + timedelta(days=days))
HOURS = st.integers(0, 23)
ANSWERS = st.tuples(st.just("answer"), st.integers(0, 5), st.integers(1, 90 * 24))
STEPS = st.lists(
	st.one_of(
		ANSWERS, st.tuples(st.just("end"), ENDS, st.just(0)), st.tuples(st.just("end"), ENDS, st.just(0))
	),
	max_size=12,
)


def moved(
	memory: Memory, end: date, old_ends=(), old_hours=(), hour: int = 4, retention: float = 0.9
) -> datetime:
	calendar = MovedCalendar(end, hour, retention, old_ends, old_hours)
	naive = [moment.replace(tzinfo=None) for moment in (memory.due, memory.last_review)]
	return calendar.moved(MovableRecord(NAME, "", "", memory.stability, memory.reps, *naive))


def answered(
	before: Memory | None, quality: int, at: datetime, end: date, days=DAYS, retention=0.9
) -> Memory:
	options = {"seed": NAME, "calendar": days, "season_end": end, "desired_retention": retention}
	return review(before, quality, at, **options).memory


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, first_end=ENDS, retention=st.sampled_from([0.7, 0.9, 0.97]))
def test_each_date_is_that_of_an_answer_by_the_present_end(steps, first_end, retention):
	end, at, before = first_end, NOON.astimezone(ZONE), None
	memory, quality = answered(None, 4, at, end, retention=retention), 4
	for kind, value, pause in steps:
		if kind == "answer":
			at, before, quality = at + timedelta(hours=pause), memory, value
			memory = answered(before, quality, at, end, retention=retention)
		else:
			due = moved(memory, value, [end], retention=retention).replace(tzinfo=ZONE)
			memory, end = Memory(**{**vars(memory), "due": due}), value
		assert memory.due == answered(before, quality, at, end, retention=retention).due


@settings(max_examples=100, deadline=None)
@given(ends=st.lists(ENDS, min_size=2, max_size=5))
def test_a_run_that_was_cut_off_between_two_changes_leads_to_the_same_dates(ends):
	"""Some dates have followed the ends in between, others have not."""
	first, *between, last = ends
	memory = answered(None, 5, NOON.astimezone(ZONE), first)
	expected = answered(None, 5, NOON.astimezone(ZONE), last).due
	followed = memory
	for end in between:
		due = moved(followed, end, ends).replace(tzinfo=ZONE)
		followed = Memory(**{**vars(memory), "due": due})
	for found in (memory, followed):
		assert moved(found, last, ends).replace(tzinfo=ZONE) == expected


@given(hour=HOURS, old_hour=HOURS, quality=st.integers(0, 5), end=ENDS)
def test_what_was_due_at_the_start_of_a_day_is_due_at_its_new_start(hour, old_hour, quality, end):
	days = LearningCalendar(ZONE, old_hour)
	memory = answered(None, quality, NOON.astimezone(ZONE), END, days)
	due = moved(memory, END, old_hours=[old_hour], hour=hour)
	assert due.hour == hour
	assert due.date() == memory.due.date()
	again = Memory(**{**vars(memory), "due": due.replace(tzinfo=ZONE)})
	assert moved(again, END, hour=hour) == due


def external(due: str) -> Memory:
	"""A date that another scheduler has chosen, of a record that would be due later."""
	memory = answered(None, 5, NOON.astimezone(ZONE), END)
	return Memory(
		**{**vars(memory), "stability": 500.0, "due": datetime.fromisoformat(due).replace(tzinfo=ZONE)}
	)


def test_a_date_of_another_scheduler_stays_unless_it_lies_beyond_the_end_or_at_the_old_one():
	chosen = external("2025-02-01 15:30:00")
	assert moved(chosen, date(2025, 3, 1), [END]) == datetime(2025, 2, 1, 15, 30)
	assert moved(chosen, date(2025, 1, 20), [END]) == datetime(2025, 1, 20, 4)
	assert moved(chosen, date(2025, 3, 1), [date(2025, 2, 1)]) == datetime(2025, 3, 1, 4)
	for late in ("2025-02-01 22:00:00", "2025-02-02 03:59:00"):  # on the old end's day
		assert moved(external(late), date(2025, 3, 1), [date(2025, 2, 1)]) == datetime(2025, 3, 1, 4)


def test_no_date_before_the_first_moved_one_moves():
	calendar = MovedCalendar(date(2025, 3, 1), 4, 0.9, [date(2025, 5, 1)])
	assert calendar.first_moved == datetime(2025, 3, 2)
	assert MovedCalendar(date(2025, 5, 1), 4, 0.9, [date(2025, 3, 1)]).first_moved == datetime(2025, 3, 1)
	assert MovedCalendar(date(2025, 3, 1), 4, 0.9, [], [6]).first_moved == datetime.min


JAN, FEB, MARCH = (date(2025, month, day) for month, day in ((1, 20), (2, 10), (3, 1)))
NO_DAY = "2025-01-01 12:00"  # of the answer


@pytest.mark.parametrize(
	("old_ends", "end", "old_hours", "before", "now", "answered_at", "is_moved"),
	[
		pytest.param(
			[], MARCH, [], "2025-02-10 04:00", "2025-02-10 04:00", NO_DAY, False, id="nothing changed"
		),
		pytest.param([FEB], MARCH, [], "2025-02-10 04:00", "2025-02-20 04:00", NO_DAY, True, id="rest"),
		pytest.param(
			[FEB], MARCH, [], "2025-02-10 04:00", "2025-03-01 04:00", NO_DAY, True, id="rest to the end"
		),
		pytest.param(
			[FEB], MARCH, [], "2025-02-10 04:00", "2025-03-02 04:00", NO_DAY, False, id="beyond the end"
		),
		pytest.param(
			[FEB], MARCH, [], "2025-02-09 04:00", "2025-02-20 04:00", NO_DAY, False, id="was not cut"
		),
		pytest.param(
			[FEB], MARCH, [], "2025-02-10 04:00", "2025-02-20 15:30", NO_DAY, False, id="no start of a day"
		),
		pytest.param([MARCH], FEB, [], "2025-02-20 04:00", "2025-02-10 04:00", NO_DAY, True, id="cut"),
		pytest.param(
			[MARCH], FEB, [], "2025-02-20 04:00", "2025-02-11 04:00", NO_DAY, False, id="cut elsewhere"
		),
		pytest.param(
			[MARCH], FEB, [], "2025-02-05 04:00", "2025-02-05 04:00", NO_DAY, True, id="the same day"
		),
		pytest.param(
			[MARCH], FEB, [], "2025-02-05 22:00", "2025-02-05 04:00", NO_DAY, True, id="late on that day"
		),
		pytest.param(
			[], MARCH, [6], "2025-02-05 06:00", "2025-02-05 04:00", NO_DAY, True, id="an earlier hour"
		),
		pytest.param([], MARCH, [2], "2025-02-05 02:00", "2025-02-05 04:00", NO_DAY, True, id="a later hour"),
		pytest.param([], MARCH, [6], "2025-02-05 06:00", "2025-02-06 04:00", NO_DAY, False, id="another day"),
		pytest.param(
			[JAN],
			FEB,
			[],
			"2025-02-01 04:00",
			"2025-02-08 04:00",
			"2025-01-31 22:00",
			True,
			id="after the end",
		),
		pytest.param(
			[JAN], FEB, [], "2025-02-01 04:00", "2025-02-08 04:00", "2025-02-01 02:00", True, id="at night"
		),
		pytest.param(
			[JAN],
			FEB,
			[],
			"2025-02-01 04:00",
			"2025-02-08 04:00",
			"2025-01-30 22:00",
			False,
			id="a day before",
		),
	],
)
def test_which_dates_may_have_moved(old_ends, end, old_hours, before, now, answered_at, is_moved):
	calendar = MovedCalendar(end, 4, 0.9, old_ends, old_hours)
	moments = [datetime.fromisoformat(text) for text in (before, now, answered_at)]
	assert calendar.has_moved(*moments) is is_moved
