"""A real Redis Cluster spreads schedules over nodes, loses a node, and hands slots over."""

import pytest
import redis

from memora.services.cache import status, survey
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.srs_redis_manager import SRSRedisManager, rebuild_season_cache
from memora.services.store.question_status import NO_CHANGES
from tests.integration import redis_cluster, state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records, set_limits
from tests.integration.redis_cluster import RedisCluster
from tests.integration.redis_moods import OPEN_SECONDS, Case, Clock
from tests.integration.redis_server import RedisServer
from tests.integration.submitting import answers, as_sent, ids, read, submit
from tests.integration.waiting import wait_until

LEARNERS = 12

pytestmark = pytest.mark.usefixtures("in_cluster")


@pytest.fixture
def players(season) -> list[str]:
	names = sorted(make_learner().name for _ in range(LEARNERS))
	for name in names:
		make_records(name, 3)
	return names


@pytest.fixture
def clock(in_cluster) -> Clock:
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock = Clock()
	return clock


def key_of(case: Case) -> str:
	return SRSRedisManager()._make_key(case.player, case.season)


def make_case(season: str, cluster: RedisCluster, node: RedisServer | None = None) -> Case:
	"""A learner whose schedule is loaded and changed by an answer; one whom this node serves, if it matters."""
	set_limits(user_seconds=0)
	case = Case(make_learner().name, season)
	while node and cluster.node_of(key_of(case)) is not node:
		case.player = make_learner().name
	make_records(case.player, 12)
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	assert state.is_loaded(case.player, season)
	return case


def counting_node(cluster: RedisCluster) -> RedisServer:
	"""The one that counts outages."""
	return cluster.node_of(SRSRedisManager().schedules.keys.generation)


def other_node(cluster: RedisCluster) -> RedisServer:
	return next(node for node in cluster.nodes if node is not counting_node(cluster))


# Where keys are


def test_schedules_are_spread_over_all_nodes(cluster, players, season):
	rebuild_season_cache(season)
	held = [set(node.admin.scan_iter(f"srs:*:{season}", count=1000)) for node in cluster.nodes]
	assert all(held)
	assert sum(map(len, held)) == LEARNERS
	assert set().union(*held) == {f"srs:{player}:{season}" for player in players}
	for node, keys in zip(cluster.nodes, held, strict=True):
		assert all(cluster.node_of(key) is node for key in keys)


def test_the_fullest_node_counts(cluster):
	"""The first that takes no more writes ends it for all."""
	limit = 10**8
	for node, maxmemory in zip(cluster.nodes, (9 * limit, limit, 5 * limit), strict=True):
		node.admin.config_set("maxmemory", maxmemory)
	try:
		assert survey.get_memory_use(SRSRedisManager().schedules)[1] == limit
	finally:
		for node in cluster.nodes:
			node.admin.config_set("maxmemory", 0)


def test_nothing_spans_slots(cluster, players, season):
	"""No command on schedules has keys in two slots, nor has a script."""
	manager = SRSRedisManager()
	with redis_cluster.monitored(cluster) as commands:
		rebuild_season_cache(season)
		for player in players:
			submit(player, answers(questions=bank_questions()[:2]))
			read(player)
			read(player, "Bank Geography")
			manager.schedules.drop_outdated({(player, season): {"q": 1.0}}, lambda of: {"q": 1.0})
			manager.add_batch(player, season, {"q": 1.0, "r": 2.0})
			manager.remove_item(player, season, "q")
			manager.get_cache_stats(player, season)
			manager.schedules.read_all(player, season)
			manager.schedules.count_due(player, season)
		reconcile_cache_with_database()
		status.get_cache_status()
		assert manager.clear_user_cache(players[0], season)
		assert manager.clear_season_cache(season)
	slots = [redis_cluster.slots_of(cluster, command) for command in commands]
	assert max(map(len, slots)) == 1
	assert len(set().union(*slots)) >= LEARNERS
	assert {command[0].upper() for command in commands} >= {"EVALSHA", "ZADD", "DEL", "UNLINK", "SCAN"}
	assert not state.rows("Safe Mode Incident")


def test_such_a_command_would_be_found(cluster):
	assert len(redis_cluster.slots_of(cluster, ["DEL", "srs:a:s", "srs:b:s"])) == 2


# What is believed


def agree(*cases: Case) -> None:
	"""Reads are right, not degraded, and everything says the same."""
	for case in cases:
		case.look(is_degraded=False)
		case.answer(is_degraded=False)
		case.look(is_degraded=False)
		case.fold()
		state.assert_agreement(case.player, case.season)


def test_slots_that_move_take_their_schedules_along(cluster, season):
	"""Nobody tells this process: it follows where it is sent."""
	case = make_case(season, cluster)
	source = cluster.node_of(key_of(case))
	target = next(node for node in cluster.nodes if node is not source)
	cluster.move(key_of(case), source, target)
	try:
		agree(case)
		assert not source.admin.keys(f"*{case.player}*")
		assert target.admin.exists(key_of(case))
		assert not state.rows("Safe Mode Incident")
	finally:
		cluster.move(key_of(case), target, source)


# Nodes that are gone


@pytest.mark.parametrize("which", [counting_node, other_node])
def test_safe_mode_while_a_node_is_gone_and_no_trust_in_what_it_has_read_back(which, cluster, season, clock):
	"""For all learners, wherever their schedules are. Then it has hers of before the last answer, with its marker."""
	node = which(cluster)
	another = next(one for one in cluster.nodes if one is not node)
	case, elsewhere = make_case(season, cluster, node), make_case(season, cluster, another)
	node.admin.save()
	case.answer(is_degraded=False)
	before = state.scores(case.player, season)
	node.kill()
	for _ in range(2):
		for one in (case, elsewhere):
			one.look(is_degraded=True)
		assert not SRSRedisManager().is_available()
		clock.ahead += OPEN_SECONDS
	assert status.get_cache_status()["redis_connected"] is False
	cluster.start(node)
	(node.directory / "dump.rdb").unlink()
	cluster.wait()
	assert state.is_loaded(case.player, season)
	assert state.cached(case.player, season).keys() == before.keys()
	assert state.cached(case.player, season) != before
	clock.ahead += OPEN_SECONDS
	assert not is_believed(case)
	assert is_believed(elsewhere) == (node is not counting_node(cluster))
	agree(case, elsewhere)
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.ended_at


def is_believed(case: Case) -> bool:
	return SRSRedisManager().schedules.read_due(case.player, case.season, 20, NO_CHANGES)["is_loaded"]


def test_answers_while_a_node_is_gone(cluster, season, clock):
	node = other_node(cluster)
	case, elsewhere = make_case(season, cluster, node), make_case(season, cluster)
	node.hang()
	try:
		for one in (case, elsewhere, case):
			one.answer(is_degraded=True)
			one.look(is_degraded=True)
			clock.ahead += OPEN_SECONDS
	finally:
		node.resume()
	cluster.wait()
	agree(case, elsewhere)


def offset_of(node: RedisServer) -> int:
	"""Returns how far a node follows the master. (WAIT would wait for its own connection's writes.)"""
	found = node.admin.info("replication")
	return found["master_repl_offset" if found["role"] == "master" else "slave_repl_offset"]


def test_a_replica_that_takes_over_is_used_and_not_believed(cluster, season, clock):
	"""It may lack the last answers."""
	master = cluster.nodes[0]
	replica = cluster.add_replica(master)
	case, elsewhere = make_case(season, cluster, master), make_case(season, cluster, cluster.nodes[1])
	wait_until(lambda: offset_of(replica) == offset_of(master), "the replica to have what the master has")
	master.kill()
	case.look(is_degraded=True)
	wait_until(lambda: replica.admin.role()[0] == "master", "a replica that takes over")
	cluster.forget(master)
	clock.ahead += OPEN_SECONDS
	assert replica.admin.exists(key_of(case), state.marker_key(case.player, season)) == 2
	assert not is_believed(case)
	agree(case, elsewhere)


def test_all_nodes_hanging_cost_one_timeout(cluster, season, clock, monkeypatch):
	"""A process that has waited in vain for one node asks no other node. One late reply is asked for once more.

	Where redis-py says of a late reply only that the cluster is down, it is not.
	"""
	case = make_case(season, cluster)
	waited: list[redis.TimeoutError] = []
	read_response = redis.Connection.read_response

	def watching(*args, **options):
		try:
			return read_response(*args, **options)
		except redis.TimeoutError as error:
			waited.append(error)
			raise

	monkeypatch.setattr(redis.Connection, "read_response", watching)
	for node in cluster.nodes:
		node.hang()
	try:
		for attempt in (1, 2):
			case.look(is_degraded=True)
			case.answer(is_degraded=True)
			assert attempt <= len(waited) <= attempt + 1
			clock.ahead += OPEN_SECONDS
	finally:
		for node in cluster.nodes:
			node.resume()
	cluster.wait()
	agree(case)


# All the way


def test_a_learner_over_http(cluster, web, learner, player, season):
	make_records(player, 3)
	client = Client(web.url, learner.token)
	before = message(client.get("memora.api.reviews.get_review_session"))
	assert (before["total_due"], before["is_degraded"]) == (3, False)
	given = as_sent(answers(questions=bank_questions()[:1]))
	done = message(client.post("memora.api.reviews.submit_review_session", responses=given))
	assert (done["processed"], done["is_degraded"]) == (1, False)
	after = message(client.get("memora.api.reviews.get_review_session"))
	assert (ids(after), after["is_degraded"]) == (bank_questions()[1:3], False)
	node = cluster.node_of(f"srs:{player}:{season}")
	assert dict(node.admin.zrange(f"srs:{player}:{season}", 0, -1, withscores=True)) == state.scores(
		player, season
	)
