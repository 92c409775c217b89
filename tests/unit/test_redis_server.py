"""What a process remembers of the schedules' Redis, for how long, and which failures it forgives. Nothing is connected."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import redis

from memora.services.cache import server as module
from memora.services.cache.connections import Place
from memora.services.cache.ownership import Database
from memora.services.cache.server import EPOCH_SECONDS, SLOW_SECONDS, Server
from tests.unit.clock import Clock

HERE, THERE = ("h", 3306), ("h", 3307)
DATABASE = Database("db", "server", "digest", is_read_only=False)
SLOW = redis.TimeoutError("Timeout reading from socket")
CLOSED = redis.ConnectionError("Connection closed by server.")
REFUSED = redis.ConnectionError("Error 111 connecting to h:1. Connection refused.")


@pytest.fixture
def clock(monkeypatch) -> Clock:
	clock = Clock()
	monkeypatch.setattr(module, "time", clock)
	return clock


@pytest.fixture
def server(clock) -> Server:
	return Server(Place("redis://h:1"))


def failing_once(error: Exception) -> Callable[[redis.Redis], int]:
	"""An action that fails at its first try, and returns how often it was tried."""
	tries = []

	def action(client: redis.Redis) -> int:
		tries.append(client)
		if len(tries) == 1:
			raise error
		return len(tries)

	return action


def is_forgiven(server: Server, error: Exception) -> bool:
	try:
		return server._run_patiently(failing_once(error)) == 2
	except type(error):
		return False


def test_an_epoch_is_known_for_seconds(server, clock):
	assert not server.epoch
	assert server.remember_epoch("epoch") == "epoch"
	for age, epoch in ((0, "epoch"), (EPOCH_SECONDS - 0.1, "epoch"), (EPOCH_SECONDS, None)):
		clock.now = 1000 + age
		assert server.epoch == epoch


def test_a_database_is_known_for_seconds_at_its_address(server, clock):
	assert server.database_at(HERE) is None
	assert server.remember_database(HERE, DATABASE) == DATABASE
	for age, database in ((0, DATABASE), (EPOCH_SECONDS - 0.1, DATABASE), (EPOCH_SECONDS, None)):
		clock.now = 1000 + age
		assert (server.database_at(HERE), server.database_at(THERE)) == (database, None)
		assert server.database_at(HERE, within_seconds=math.inf) == DATABASE


def test_with_another_database_the_epoch_is_forgotten(server):
	assert not server.is_another("digest")
	server.remember_epoch("epoch")
	for digest, is_another in (("digest", False), ("digest", False), ("other", True)):
		assert server.is_another(digest) == is_another
		server.remember_database(HERE, DATABASE._replace(digest=digest))
		assert server.epoch == (None if is_another else "epoch")


@pytest.mark.parametrize(
	("seconds", "are_forgiven"),
	[
		([0, 0], [True, False]),
		([0, SLOW_SECONDS - 0.1], [True, False]),
		([0, SLOW_SECONDS], [True, True]),
		([0, SLOW_SECONDS, SLOW_SECONDS + 1], [True, True, False]),
		([0, -0.3], [True, True]),  # which another thread began before the first reply was missed
	],
)
def test_one_slow_reply_is_forgiven_in_ten_seconds(seconds, are_forgiven, server, clock):
	found = []
	for second in seconds:
		clock.now = 1000.0 + second
		found.append(is_forgiven(server, SLOW))
	assert found == are_forgiven


@pytest.mark.parametrize(
	("error", "cluster", "forgiven"),
	[(CLOSED, "null", True), (REFUSED, "null", False), (CLOSED, "1", False), (REFUSED, "1", False)],
)
def test_a_connection_that_was_closed_is_made_anew_but_not_on_a_cluster(error, cluster, forgiven, clock):
	server: Any = Server(Place("redis://h:1", cluster=cluster))
	server.__dict__["client"] = redis.Redis(host="h")
	assert [is_forgiven(server, error) for _time in range(3)] == [forgiven] * 3
