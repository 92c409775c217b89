"""Schedules in a master that Sentinels watch over, and in whichever takes its place; with real ones."""

from collections.abc import Iterator

import frappe
import pytest

from devtools import ports
from memora.services.cache import connections
from memora.services.operations import closed_doors, doctor
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store.question_status import NO_CHANGES
from tests.integration import state
from tests.integration.factories import make_records, set_limits
from tests.integration.redis_moods import OPEN_SECONDS, Case, Clock
from tests.integration.redis_sentinels import PASSWORD, SERVICE, RedisSentinels
from tests.integration.site_config import site_config
from tests.integration.submitting import read
from tests.integration.waiting import wait_until

HERE = "127.0.0.1:26379"


@pytest.fixture
def sentinels(clean, tmp_path) -> Iterator[RedisSentinels]:
	sentinels = RedisSentinels(tmp_path)
	with site_config(srs_redis_sentinel=sentinels.config):
		frappe.local.conf.srs_redis_sentinel = sentinels.config
		yield sentinels
	sentinels.stop()


def test_writes_go_on_at_the_promoted_replica(sentinels, player, season):
	"""The first Sentinel dies with the master."""
	set_limits(user_seconds=0)
	SRSRedisManager().schedules.gateway.server.breaker.clock = clock = Clock()
	master, replica = sentinels.master.admin, sentinels.replica.admin
	make_records(player, 12)
	case = Case(player, season)
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	key = f"srs:{player}:{season}"
	assert master.exists(key)
	assert unsafe_servers() == {sentinels.master.port, sentinels.replica.port}
	master.wait(1, 5000)  # until the replica has what the master has
	sentinels.kill_sentinel()
	sentinels.master.kill()
	case.look(is_degraded=True)
	wait_until(sentinels.agree, "a promoted replica")
	clock.ahead += OPEN_SECONDS
	assert replica.exists(key, state.marker_key(player, season)) == 2
	assert not SRSRedisManager().schedules.read_due(player, season, 20, NO_CHANGES)[
		"is_loaded"
	]  # it may lack the last answers
	case.look(is_degraded=False)
	case.answer(is_degraded=False)
	case.look(is_degraded=False)
	case.fold()
	assert dict(replica.zrange(key, 0, -1, withscores=True)) == state.scores(player, season)
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.ended_at


def unsafe_servers() -> set[int]:
	"""Returns the settings that the doctor says the schedules' Redis would forget."""
	found = [f for f in doctor.examine() if f.check == "redis_persists"]
	assert PASSWORD not in str(found)
	return {int(f.problem.rpartition("127.0.0.1:")[2].partition("/")[0]) for f in found}


@pytest.mark.parametrize(
	("sentinel", "cluster", "named"),
	[
		("127.0.0.1:26379", None, "srs_redis_sentinel must be"),
		({"service": SERVICE}, None, "srs_redis_sentinel must name its hosts"),
		({"hosts": [], "service": SERVICE}, None, "srs_redis_sentinel must name its hosts"),
		({"hosts": HERE, "service": SERVICE}, None, "srs_redis_sentinel must name its hosts"),
		(
			{"hosts": ["127.0.0.1"], "service": SERVICE},
			None,
			"has the host '127.0.0.1', which is not host:port",
		),
		({"hosts": ["h:99999"], "service": SERVICE}, None, "has the host 'h:99999', which is not host:port"),
		({"hosts": [HERE]}, None, "srs_redis_sentinel.service must be the master's name, not None"),
		({"hosts": [HERE], "servce": SERVICE}, None, "srs_redis_sentinel has 'servce'; there is db, hosts"),
		({"hosts": [HERE], "service": SERVICE}, 1, "srs_redis_sentinel and srs_redis_cluster are both set"),
		(None, ["nowhere"], "srs_redis_cluster has the host 'nowhere', which is not host:port"),
		(None, 1, "its configuration is wrong: A ``db`` querystring option can only be 0"),
	],
)
def test_a_configuration_that_makes_no_sense_is_named(player, season, sentinel, cluster, named):
	"""To the operator. Learners get Safe Mode, and their answers are taken."""
	frappe.local.conf.update(srs_redis_sentinel=sentinel, srs_redis_cluster=cluster)
	make_records(player, 12)
	assert read(player)["is_degraded"]
	Case(player, season).answer(is_degraded=True)
	(incident,) = state.rows("Safe Mode Incident")
	assert named in incident.reason
	if sentinel:
		assert any(named in f.problem for f in doctor.examine() if f.check == "redis_reachable")


def test_no_sentinel_knows_the_master(player):
	conf = {"hosts": [f"127.0.0.1:{ports.any_free()}"], "service": SERVICE}
	frappe.local.conf.srs_redis_sentinel = conf
	assert not SRSRedisManager().is_available()
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.reason.startswith("no Sentinel knows a master that is up: No master found for 'memora'")
	nobody, unreachable = (f for f in doctor.examine() if f.check == "redis_reachable")
	assert "No Sentinel of srs_redis_sentinel names a master" in nobody.problem
	assert conf["hosts"][0] in unreachable.problem


def test_a_server_that_is_no_cluster():
	url = frappe.conf.srs_redis_cache.partition("?")[0].rpartition("/")[0]
	frappe.local.conf.update(srs_redis_cache=url, srs_redis_cluster=1)
	assert not SRSRedisManager().is_available()
	(incident,) = state.rows("Safe Mode Incident")
	assert incident.reason.startswith("it is no cluster, and srs_redis_cluster is set: ")


def test_sentinels_that_ask_for_no_password(sentinels, monkeypatch):
	"""Were they on other machines; theirs is one that lets in whoever comes."""
	monkeypatch.setattr(closed_doors, "is_local", lambda host: False)
	frappe.local.conf.srs_redis_sentinel = sentinels.config
	found = [f for f in doctor.examine() if f.check == "redis_closed"]
	assert len([f for f in found if "srs_redis_sentinel" in f.problem]) == len(sentinels.hosts)
	assert [f for f in found if "srs_redis_cache" in f.problem] == []
	assert PASSWORD not in str(found)


def test_tls_reaches_sentinels_and_master():
	options = {"hosts": ["h:1"], "service": SERVICE, "tls": 1, "tls_ca_file": "/ca.crt", "password": PASSWORD}
	place = connections.place({"srs_redis_sentinel": options})
	pool = connections.connect(place).connection_pool
	assert pool.connection_class.__name__ == "SentinelManagedSSLConnection"
	(sentinel,) = pool.sentinel_manager.sentinels
	for arguments in (pool.connection_kwargs, sentinel.connection_pool.connection_kwargs):
		assert arguments["ssl_ca_certs"] == "/ca.crt"
	assert connections.sentinel_urls(place) == ["rediss://h:1/0?ssl_ca_certs=%2Fca.crt"]
