"""The core's own fuzz: seeded, even to both sides, never a day too short."""

from collections import Counter

import pytest

from memora.services.learning.scheduling import fuzzed

SEEDS = [f"seed {i}" for i in range(4000)]
REACHES = {3: 1, 4: 1, 5: 1, 7: 2, 10: 2, 20: 3, 30: 3, 100: 7, 365: 20, 1000: 52}


@pytest.mark.parametrize("interval_days", [0, 1, 2])
def test_short_intervals_are_left_as_they_are(interval_days):
	assert {fuzzed(interval_days, seed) for seed in SEEDS} == {interval_days}


def test_the_same_seed_gives_the_same_days():
	assert [fuzzed(30, seed) for seed in SEEDS] == [fuzzed(30, seed) for seed in SEEDS]


def test_golden_days():
	assert [fuzzed(30, f"question:{reps}") for reps in range(1, 9)] == [28, 27, 29, 29, 29, 31, 30, 30]
	assert [fuzzed(365, f"question:{reps}") for reps in range(1, 9)] == [
		364,
		364,
		360,
		353,
		347,
		382,
		355,
		379,
	]


@pytest.mark.parametrize(("interval_days", "reach"), REACHES.items())
def test_every_day_of_a_symmetric_range_is_taken_and_no_other(interval_days, reach):
	days = {fuzzed(interval_days, seed) for seed in SEEDS}
	assert days == set(range(interval_days - reach, interval_days + reach + 1))


@pytest.mark.parametrize(("interval_days", "reach"), REACHES.items())
def test_the_mean_over_many_questions_is_the_interval(interval_days, reach):
	mean = sum(fuzzed(interval_days, seed) for seed in SEEDS) / len(SEEDS)
	assert mean == pytest.approx(interval_days, abs=0.06 * (reach + 1))


def test_all_days_of_the_range_are_about_equally_frequent():
	counts = Counter(fuzzed(30, seed) for seed in SEEDS)
	expected = len(SEEDS) / len(counts)
	assert all(abs(count - expected) < 0.2 * expected for count in counts.values())


@pytest.mark.parametrize("interval_days", range(3, 60))
def test_three_days_or_more_never_become_less_than_two(interval_days):
	assert min(fuzzed(interval_days, seed) for seed in SEEDS[:500]) >= 2
