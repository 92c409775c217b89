import threading

import pytest

from memora.services.cache.breaker import CircuitBreaker, NotAsked, Unavailable
from tests.unit.clock import Clock


@pytest.fixture
def clock() -> Clock:
	return Clock()


@pytest.fixture
def breaker(clock) -> CircuitBreaker:
	return CircuitBreaker(failures=(OSError,), open_seconds=5, clock=clock)


def fail(breaker: CircuitBreaker, error: Exception | None = None) -> None:
	with pytest.raises(Unavailable), breaker.guard():
		raise error or ConnectionRefusedError("refused")


def runs(breaker: CircuitBreaker) -> bool:
	"""Says whether the block behind the breaker is entered."""
	entered = False
	try:
		with breaker.guard():
			entered = True
	except Unavailable:
		pass
	return entered


def test_calls_go_through_while_nothing_fails(breaker):
	assert breaker.is_closed
	assert all(runs(breaker) for _ in range(3))
	assert breaker.is_closed


def test_a_failure_becomes_unavailable_and_names_its_cause(breaker):
	cause = ConnectionRefusedError("no one there")
	with pytest.raises(Unavailable, match="no one there") as caught, breaker.guard():
		raise cause
	assert caught.value.__cause__ is cause
	assert not breaker.is_closed


def test_a_failure_without_a_text_is_named_by_its_type(breaker):
	with pytest.raises(Unavailable, match="TimeoutError"), breaker.guard():
		raise TimeoutError


def test_who_is_refused_is_told_of_the_failure(breaker):
	fail(breaker, ConnectionRefusedError("no one there"))
	with pytest.raises(NotAsked, match="no one there"), breaker.guard():
		pass


def test_only_a_trial_knows_that_it_is_one(breaker, clock):
	with breaker.guard() as is_trial:
		assert not is_trial
	fail(breaker)
	clock.now += 5
	with breaker.guard() as is_trial:
		assert is_trial


def test_a_call_that_began_before_the_failure_does_not_close(breaker):
	with breaker.guard():
		in_a_thread(lambda: fail(breaker))
	assert not breaker.is_closed
	assert not runs(breaker)


def test_an_error_of_the_caller_is_left_alone(breaker):
	with pytest.raises(KeyError), breaker.guard():
		raise KeyError("mine")
	assert runs(breaker)


def test_open_refuses_every_call_for_five_seconds(breaker, clock):
	fail(breaker)
	for elapsed in (0, 1, 4.999):
		clock.now = 1000 + elapsed
		assert not runs(breaker)


def test_closes_again_when_the_trial_succeeds(breaker, clock):
	fail(breaker)
	clock.now += 5
	assert runs(breaker)
	assert breaker.is_closed
	assert runs(breaker)


def test_opens_again_when_the_trial_fails(breaker, clock):
	fail(breaker)
	clock.now += 5
	fail(breaker)
	assert not runs(breaker)
	clock.now += 4.999
	assert not runs(breaker)
	clock.now += 0.001
	assert runs(breaker)


def test_one_caller_tries_while_the_others_are_refused(breaker, clock):
	fail(breaker)
	clock.now += 5
	with breaker.guard():
		others = [in_a_thread(lambda: runs(breaker)) for _ in range(3)]
	assert others == [False, False, False]
	assert runs(breaker)


def test_a_hanging_call_stops_nobody_while_closed(breaker):
	with breaker.guard():
		assert in_a_thread(lambda: runs(breaker))


def test_a_trial_that_never_comes_back_gives_way_to_another(breaker, clock):
	fail(breaker)
	clock.now += 5
	with breaker.guard():
		assert not runs(breaker)
		clock.now += 5
		assert runs(breaker)


def in_a_thread(action):
	results = []
	thread = threading.Thread(target=lambda: results.append(action()))
	thread.start()
	thread.join(10)
	return results[0]
