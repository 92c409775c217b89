"""Golden schedules of the core. The figures were made with fsrs 6.3.2 and its default parameters."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from fsrs import Rating, State

from memora.services.learning import scheduling
from memora.services.learning.scheduling import Quality
from tests.unit.scheduling_runs import FAR_END, NOON, UTC_CALENDAR, answer, interval_days, run

PROJECT = Path(__file__).resolve().parents[2]

# Resources are other tests': what they left open may be collected while these run
pytestmark = pytest.mark.filterwarnings("error", "default::ResourceWarning")


@pytest.mark.parametrize(
	("qualities", "intervals"),
	[
		pytest.param([4] * 8, [2, 11, 45, 169, 501, 1345, 3346, 7409], id="good"),
		pytest.param([3] * 8, [1, 2, 6, 12, 14, 21, 27, 40], id="hard"),
		pytest.param([5] * 4, [6, 52, 330, 1611], id="easy"),
		pytest.param([1] * 6, [1, 1, 1, 1, 1, 1], id="again"),
		pytest.param([4, 4, 4, 1, 4, 4, 5, 3, 4, 4], [2, 11, 45, 2, 9, 17, 60, 105, 186, 346], id="mixed"),
		pytest.param([0, 4, 4, 4, 4], [1, 2, 6, 18, 43], id="again first"),
	],
)
def test_golden_intervals(qualities, intervals):
	assert run(qualities).intervals == intervals


def test_golden_stability_and_difficulty():
	outcomes = run([4, 4, 4, 1, 4]).outcomes
	assert [o.memory.stability for o in outcomes] == [2.3065, 10.964332, 46.280218, 2.925344, 6.509161]
	assert [o.memory.difficulty for o in outcomes] == [2.118104, 2.111214, 2.104331, 7.389976, 7.377814]


def test_golden_predicted_recall_is_about_the_desired_retention_on_the_due_day():
	outcomes = run([4, 4, 4, 1, 4]).outcomes
	assert [o.predicted_recall for o in outcomes] == [None, 0.909493, 0.899777, 0.901916, 0.923948]


@pytest.mark.parametrize(
	("quality", "rating"),
	[(0, "Again"), (1, "Again"), (2, "Again"), (3, "Hard"), (4, "Good"), (5, "Easy")],
)
def test_every_quality_has_its_rating(quality, rating):
	outcome = answer(quality=quality)
	assert outcome.rating.name == rating
	assert outcome == answer(quality=Quality(quality))


@pytest.mark.parametrize("quality", [-1, 6, 3.5, None, "4"])
def test_a_quality_outside_0_to_5_raises(quality):
	with pytest.raises(ValueError):
		answer(quality=quality)


def test_qualities_are_ordered_by_what_they_do_to_stability():
	stabilities = [answer(quality=quality).memory.stability for quality in range(6)]
	assert stabilities[0] == stabilities[1] == stabilities[2]
	assert stabilities[2] < stabilities[3] < stabilities[4] < stabilities[5]


def test_every_state_of_the_model_is_review():
	outcomes = run([4, 1, 1, 4, 5]).outcomes
	assert {o.memory.state for o in outcomes} == {State.Review.name}


def test_repetitions_and_lapses_are_counted():
	first, *later = run([1, 4, 1, 2, 5]).outcomes
	assert (first.memory.reps, first.memory.lapses) == (1, 0)  # what was never known can't be forgotten
	assert [(o.memory.reps, o.memory.lapses) for o in later] == [(2, 0), (3, 1), (4, 2), (5, 2)]


def test_the_memory_given_is_left_as_it_was():
	before = answer().memory
	copy = scheduling.Memory(**vars(before))
	answer(before, 1, before.due)
	assert before == copy
	with pytest.raises(FrozenInstanceError):
		before.reps = 9


def test_last_review_is_the_moment_of_the_answer():
	assert answer(at=NOON).memory.last_review == NOON


def test_a_naive_datetime_raises():
	with pytest.raises(ValueError, match="aware"):
		answer(at=datetime(2025, 1, 1, 12))


def test_a_second_answer_on_the_same_learning_day_is_scheduled_too():
	first = answer(at=NOON)
	second = answer(first.memory, 1, NOON + timedelta(hours=1))
	assert second.moved
	assert (second.memory.reps, second.memory.lapses) == (2, 1)
	assert interval_days(second, NOON + timedelta(hours=1)) == 1
	assert second.predicted_recall == 1.0


def test_an_answer_older_than_the_last_one_moves_nothing():
	before = answer(at=NOON).memory
	late = answer(before, 1, NOON - timedelta(seconds=1))
	assert not late.moved
	assert late.memory == before
	assert (late.rating, late.predicted_recall) == (Rating.Again, None)


def test_an_answer_of_the_same_moment_counts():
	before = answer(at=NOON).memory
	outcome = answer(before, 4, NOON)
	assert outcome.moved
	assert outcome.memory.reps == 2


def test_the_same_answers_give_the_same_schedule():
	assert run([4, 3, 5, 1, 4]) == run([4, 3, 5, 1, 4])


def test_another_question_gets_another_fuzz_and_the_same_model():
	here, there = run([4, 4, 4], seed="here"), run([4, 4, 4], seed="there")
	assert here.outcomes[1].memory.stability == there.outcomes[1].memory.stability
	assert here.intervals != there.intervals


def test_higher_retention_asks_earlier():
	options = {"seed": "golden", "calendar": UTC_CALENDAR, "season_end": FAR_END}
	before = run([4, 4, 4]).memory
	dues = [
		scheduling.review(before, 4, before.due, desired_retention=retention, **options).memory.due
		for retention in (0.95, 0.9, 0.8)
	]
	assert dues == sorted(set(dues))


@pytest.mark.parametrize(
	("season_end", "due"),
	[
		pytest.param(date(2025, 1, 3), date(2025, 1, 3), id="well after the due day"),
		pytest.param(date(2025, 1, 10), date(2025, 1, 3), id="the interval is shorter"),
		pytest.param(date(2025, 1, 2), date(2025, 1, 2), id="the day before the due day"),
		pytest.param(date(2025, 1, 1), date(2025, 1, 2), id="the last day"),
		pytest.param(date(2024, 12, 31), date(2025, 1, 2), id="the day after"),
		pytest.param(date(2024, 6, 1), date(2025, 1, 2), id="long ago"),
	],
)
def test_season_end_caps_the_due_day(season_end, due):
	outcome = answer(at=NOON, season_end=season_end)
	assert outcome.memory.due == datetime(due.year, due.month, due.day, 4, tzinfo=timezone.utc)


def test_the_cap_holds_for_long_intervals():
	memory = run([4, 4, 4, 4]).memory
	end = UTC_CALENDAR.day_of(memory.due) + timedelta(days=30)
	outcome = answer(memory, 5, memory.due, season_end=end)
	assert UTC_CALENDAR.day_of(outcome.memory.due) == end
	assert outcome.memory.stability > 500  # the model is not capped


def test_the_initial_difficulty_is_that_of_a_first_good_answer():
	assert scheduling.initial_difficulty() == answer(quality=4).memory.difficulty == 2.118104


def test_the_core_imports_neither_frappe_nor_redis():
	program = (
		"import sys, memora.services.learning.scheduling; print({'frappe', 'redis'} & sys.modules.keys())"
	)
	loaded = subprocess.run(
		[sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT
	)
	assert loaded.stdout.strip() == "set()"
