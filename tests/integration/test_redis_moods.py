"""Each way in which a Redis fails, with a real one: what learners get, and how it is over without a restart."""

import math
from collections.abc import Iterator

import frappe
import pytest

from devtools.paths import PROJECT
from memora.services.cache import causes, incidents
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.factories import make_learner, make_records, set_limits
from tests.integration.redis_moods import MOODS, OPEN_SECONDS, Case, Clock, out_of_memory, read_only
from tests.integration.redis_proxy import RedisProxy
from tests.integration.redis_server import RedisServer
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, read, submit

SLOW_REPLY_SECONDS = 0.2
CAUSES = {*causes.CAUSES.values(), causes.TIMED_OUT}


@pytest.fixture
def server(site, tmp_path) -> Iterator[RedisServer]:
	"""All processes have their schedules in it."""
	server = RedisServer(tmp_path / "redis")
	server.start()
	with site_config(srs_redis_cache=server.url):
		frappe.local.conf.srs_redis_cache = server.url
		yield server
	server.kill()


@pytest.fixture
def proxy(server) -> Iterator[RedisProxy]:
	"""This process reaches the server by way of it."""
	proxy = RedisProxy(server.url)
	frappe.local.conf.srs_redis_cache = proxy.url
	yield proxy
	proxy.stop()


@pytest.fixture
def clock(server) -> Clock:
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock = Clock()
	return clock


@pytest.fixture
def case(server, player, season) -> Case:
	"""Her schedule is loaded, and has been changed by an answer."""
	set_limits(user_seconds=0)
	make_records(player, 12)
	case = Case(player, season)
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	assert state.is_loaded(player, season)
	return case


@pytest.mark.parametrize("mood", MOODS, ids=lambda mood: mood.begin.__name__)
def test_safe_mode_while_it_lasts_and_right_answers_afterwards(mood, server, clock, case):
	end = mood.begin(server)
	try:
		case.answer(is_degraded=True)
		case.look(is_degraded=True)
		clock.ahead += OPEN_SECONDS
		case.look(is_degraded=True)
		case.answer(is_degraded=True)
		case.look(is_degraded=True, subject="Bank Geography")
		assert not SRSRedisManager().is_available()
		(incident,) = state.rows("Safe Mode Incident", ended_at=None)
		assert incident.reason.startswith(mood.reason)
		assert case.player not in incident.reason
	finally:
		end()
	case.look(is_degraded=True)
	clock.ahead += OPEN_SECONDS
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	case.look(is_degraded=False)
	assert SRSRedisManager().is_available()
	case.fold()
	state.assert_agreement(case.player, case.season)
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.ended_at


@pytest.mark.parametrize("begin", [read_only, out_of_memory])
def test_a_redis_that_answers_and_takes_no_writes_is_not_available(begin, server, clock, case):
	end = begin(server)
	assert server.admin.ping()
	for _ in range(2):
		case.look(is_degraded=True, subject="Bank Geography")
		case.look(is_degraded=True)
		clock.ahead += OPEN_SECONDS
	end()
	assert SRSRedisManager().is_available()


def test_a_schedule_that_there_is_no_memory_for_is_not_shown_by_others(server, case):
	"""Other processes have not met the error: they must not find the old schedule."""
	other = Case(make_learner().name, case.season)
	make_records(other.player, 12)
	other.look(is_degraded=False)
	out_of_memory(server)
	case.answer(is_degraded=True)
	assert not state.is_loaded(case.player, case.season)
	assert state.is_loaded(other.player, case.season)


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_operators_find_each_cause_in_the_documentation(cause):
	assert f"| {cause} |" in (PROJECT / "docs" / "operations.md").read_text()


# How much a hanging one costs


def everything_a_learner_does(case: Case) -> None:
	case.look(is_degraded=True)
	case.answer(is_degraded=True)
	case.look(is_degraded=True, subject="Bank Geography")
	submission = answers(questions=case.questions[:1])
	for _first_and_again in range(2):
		submit(case.player, submission, f"that of {case.questions[0]}")
	case.questions.pop(0)
	case.fold()


def test_a_hanging_redis_is_asked_twice_and_then_once_in_five_seconds(server, proxy, clock, case):
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock
	assert SRSRedisManager().is_available()
	server.hang()
	connections = proxy.connections
	with proxy.counted() as count:
		everything_a_learner_does(case)
		everything_a_learner_does(case)
	assert (count.round_trips, proxy.connections - connections) == (
		2,
		1,
	)  # first on the connection that there was
	for attempt in (2, 3):
		clock.ahead += OPEN_SECONDS
		with proxy.counted() as count:
			everything_a_learner_does(case)
		assert (count.round_trips, proxy.connections - connections) == (1, attempt)


@pytest.mark.parametrize("replies", [0, 1, 2])
def test_a_hang_at_any_moment_costs_two_timeouts(server, proxy, case, replies):
	"""Redis may hang amid the greeting of a new connection. The caller tries once more, and does not go on to the next command."""
	frappe.local.conf.srs_redis_cache = proxy.url.replace("/0", "/1")  # whose greeting has two commands
	proxy.hang_after(replies)
	connections = proxy.connections
	with proxy.counted() as count:
		everything_a_learner_does(case)
	assert (count.round_trips, proxy.connections - connections) == (replies + 2, 2)


def test_patience_is_the_designs_whatever_the_url_says(server):
	frappe.local.conf.srs_redis_cache = server.url + "?socket_timeout=20&socket_connect_timeout=20"
	options = SRSRedisManager().schedules.gateway.server.client.connection_pool.connection_kwargs
	assert (options["socket_connect_timeout"], options["socket_timeout"]) == (0.25, 0.5)


# What is no outage


def test_one_reply_that_does_not_come_in_time_is_no_outage(server, proxy, case):
	proxy.swallow_a_reply()
	case.look(is_degraded=False)
	server_here = SRSRedisManager().schedules.gateway.server
	server_here._slow_at = -math.inf  # long ago
	proxy.swallow_a_reply()
	case.answer(is_degraded=False)
	case.look(is_degraded=False)
	case.fold()
	state.assert_agreement(case.player, case.season)
	assert state.rows("Safe Mode Incident") == state.rows("Outdated Schedule") == []


def test_the_second_within_seconds_is_one(server, proxy, case):
	for is_degraded in (False, True):
		proxy.swallow_a_reply()
		case.answer(is_degraded=is_degraded)
	assert state.rows("Safe Mode Incident")


def test_a_slow_redis_is_used(server, proxy, case):
	"""Two tenths of a second are less of an evil than ten questions in thirty seconds."""
	proxy.reply_seconds = SLOW_REPLY_SECONDS
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	case.look(is_degraded=False)
	case.fold()
	state.assert_agreement(case.player, case.season)
	assert not state.rows("Safe Mode Incident")


def test_connections_that_a_proxy_has_forgotten_are_no_outage(server, proxy, case):
	case.look(is_degraded=False)
	for act in (case.look, case.answer, case.look):
		proxy.forget()
		act(is_degraded=False)
	assert not state.rows("Safe Mode Incident")


@pytest.mark.parametrize("make", ["zset", "marker", "both"])
def test_a_key_of_another_type_costs_its_learner_a_load(server, case, make):
	other = make_learner().name
	make_records(other, 3)
	read(other)
	for act in (case.look, case.answer):
		for key in {"zset": [0], "marker": [1], "both": [0, 1]}[make]:
			name = SRSRedisManager().schedules.keys.pair(case.player, case.season)[key]
			server.admin.delete(name)
			server.admin.rpush(name, "no schedule")
		act(is_degraded=False)
		case.look(is_degraded=False)
	case.fold()
	state.assert_agreement(case.player, case.season)
	assert state.is_loaded(other, case.season)
	assert not state.rows("Safe Mode Incident")


# What keeps going


def test_flapping_is_one_incident_that_is_told_once(server, case):
	manager = make_learner(roles=["Memora Manager"]).user
	SRSRedisManager().schedules.gateway.server.breaker.open_seconds = 0
	for _ in range(4):
		server.kill()
		case.look(is_degraded=True)
		case.answer(is_degraded=True)
		incidents.tell()
		server.start()
		case.look(is_degraded=False)
		case.answer(is_degraded=False)
		incidents.tell()
	case.fold()
	state.assert_agreement(case.player, case.season)
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.ended_at
	assert incident.reason.startswith("no server listens at this address")
	assert len(state.rows("Notification Log", for_user=manager)) == 1
	assert len(state.rows("Error Log")) == 1


def test_an_incident_that_another_process_has_closed_opens_again(server, clock, case):
	server.kill()
	case.look(is_degraded=True)
	incidents.close_incidents()
	clock.ahead += OPEN_SECONDS
	case.look(is_degraded=True)
	(incident,) = state.rows("Safe Mode Incident")
	assert not incident.ended_at


def test_a_cluster_that_is_not_there_refuses_no_answer(server, clock, case):
	server.kill()
	frappe.local.conf.srs_redis_cluster = 1
	case.answer(is_degraded=True)
	case.look(is_degraded=True)
