"""What a process remembers of Safe Mode's refusals, and how it counts by itself while MariaDB takes no writes."""

import pytest

from memora.services.cache import safe_mode
from memora.services.cache.safe_mode import Verdict, _Memory
from tests.unit.clock import Clock

PAUSE, MOST = LIMITS = 30, 3  # seconds of one learner, reads of all in a minute


@pytest.fixture
def clock(monkeypatch) -> Clock:
	clock = Clock(0.0)  # of a machine that has just been started
	monkeypatch.setattr(safe_mode, "time", clock)
	return clock


@pytest.fixture
def memory(clock) -> _Memory:
	return _Memory(LIMITS)


def waits(memory: _Memory, *learners: str) -> list[float]:
	return [memory.verdict(learner).wait_seconds for learner in learners]


def test_a_learner_waits_until_her_time_has_come_and_others_do_not(clock, memory):
	assert waits(memory, "a", "b") == [0, 0]
	memory.note("a", Verdict(PAUSE))
	for now, wait in ((0, 30), (29.5, 0.5), (30, 0), (30.5, 0), (99, 0)):
		clock.now = now
		assert waits(memory, "a", "b") == [wait, 0]
	memory.note("a", Verdict(PAUSE))
	assert memory.verdict("a") == (PAUSE, False)


def test_all_learners_wait_while_all_places_are_taken(clock, memory):
	memory.note("a", Verdict(10, is_full=True))
	assert memory.verdict("a") == memory.verdict("b") == (10, True)
	for now, wait in ((9.5, 0.5), (10, 0), (11, 0)):
		clock.now = now
		assert waits(memory, "a", "b") == [wait, wait]


def test_learners_who_may_read_again_are_forgotten_when_there_are_many(clock, memory, monkeypatch):
	monkeypatch.setattr(safe_mode, "REMEMBERED_LEARNERS", 3)
	for learner, wait in (("a", 10), ("b", 20), ("c", 30)):
		memory.note(learner, Verdict(wait))
	clock.now = 15
	assert len(memory.learners) == 3
	memory.note("d", Verdict(PAUSE))
	assert memory.learners.keys() == {"b", "c", "d"}
	assert waits(memory, "a", "b", "c", "d") == [0, 5, 15, 30]


def test_its_own_count_admits_so_many_in_any_sixty_seconds(clock, memory):
	for now in (0, 10, 20):
		clock.now = now
		assert memory.admit() == (0, False)
	for now, verdict in (
		(30, (30, True)),
		(59, (1, True)),
		(60, (0, False)),
		(65, (5, True)),
		(75, (0, False)),
		(75, (5, True)),
		(300, (0, False)),
		(300, (0, False)),
		(300, (0, False)),
		(300, (60, True)),
	):
		clock.now = now
		assert memory.admit() == verdict
