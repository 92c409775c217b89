"""Properties that hold for every row of answers, in every zone."""

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora.services.learning.scheduling import LearningCalendar, Memory, review

# Resources are other tests': what they left open may be collected while these run
pytestmark = pytest.mark.filterwarnings("error", "default::ResourceWarning")

ZONES = [
	"UTC",
	"Asia/Kolkata",
	"Pacific/Auckland",
	"Pacific/Apia",
	"America/Los_Angeles",
	"America/New_York",
	"Europe/Berlin",
	"Australia/Lord_Howe",  # its clock changes by half an hour
]
CALENDARS = st.builds(LearningCalendar, st.sampled_from(ZONES).map(ZoneInfo), st.integers(0, 23))
FIRST_MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(timezone.utc))
ANSWERS = st.lists(
	st.tuples(st.integers(0, 5), st.timedeltas(timedelta(seconds=1), timedelta(days=200))),
	min_size=1,
	max_size=8,
)
SEASON_DAYS = st.integers(-30, 400)


@settings(max_examples=150, deadline=None)
@given(calendar=CALENDARS, first=FIRST_MOMENTS, answers=ANSWERS, season_days=SEASON_DAYS, seed=st.text())
def test_every_answer_leads_to_a_sound_schedule(calendar, first, answers, season_days, seed):
	season_end = first.date() + timedelta(days=season_days)
	memory, at = None, first
	for quality, pause in answers:
		at += pause
		outcome = review(memory, quality, at, seed=seed, calendar=calendar, season_end=season_end)
		memory = outcome.memory
		assert outcome.moved
		assert_due_is_sound(memory, at, calendar, season_end)
		assert_model_is_sound(memory, outcome.predicted_recall)
	assert memory.reps == len(answers)


def assert_due_is_sound(memory: Memory, at: datetime, calendar: LearningCalendar, season_end: date) -> None:
	today, due_day = calendar.day_of(at), calendar.day_of(memory.due.astimezone(timezone.utc))
	assert memory.due == calendar.start_of(due_day)
	assert today < due_day <= max(season_end, today + timedelta(days=1))


def assert_model_is_sound(memory: Memory, predicted_recall: float | None) -> None:
	assert memory.stability > 0
	assert 1 <= memory.difficulty <= 10
	assert 0 <= memory.lapses < memory.reps
	assert predicted_recall is None or 0 <= predicted_recall <= 1


@settings(max_examples=100, deadline=None)
@given(calendar=CALENDARS, first=FIRST_MOMENTS, back=st.timedeltas(timedelta(seconds=1), timedelta(days=300)))
def test_older_answers_never_move_anything(calendar, first, back):
	end = date(2099, 1, 1)
	before = review(None, 4, first, seed="s", calendar=calendar, season_end=end).memory
	late = review(before, 0, first - back, seed="s", calendar=calendar, season_end=end)
	assert (late.moved, late.memory) == (False, before)
