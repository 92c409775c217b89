"""What the settings of the schedules' Redis mean, and what is said of those that make no sense. Nothing is connected."""

from traceback import walk_tb
from typing import Any

import pytest
import redis

from memora.services.cache import addresses, connections
from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.connections import Place, place

HOSTS = ["a.example:26379", "[::1]:26380"]
SENTINEL = {"hosts": HOSTS, "service": "memora"}


def by_sentinel(**options: Any) -> Place:
	return place({"srs_redis_sentinel": {**SENTINEL, **options}})


def test_a_place_is_the_same_in_whichever_order_it_is_written():
	one, other = SENTINEL, dict(reversed(SENTINEL.items()))
	assert place({"srs_redis_sentinel": one}) == place({"srs_redis_sentinel": other})


@pytest.mark.parametrize("port", [1, 80, 65535])
def test_ports_that_there_are(port):
	assert connections.sentinel_options(by_sentinel(hosts=[f"h:{port}"]))["hosts"] == [f"h:{port}"]


@pytest.mark.parametrize("host", ["h", "h:", ":1", "h:0", "h:65536", "h:-1", "h:1.5", "h:x", 26379, None])
def test_a_host_that_is_none_is_quoted(host):
	with pytest.raises(InvalidConfiguration, match="which is not host:port") as caught:
		connections.sentinel_options(by_sentinel(hosts=["h:1", host]))
	assert repr(host) in str(caught.value)


@pytest.mark.parametrize("hosts", [None, [], "h:1", {"h:1": 1}, 26379])
def test_hosts_that_are_no_list(hosts):
	with pytest.raises(InvalidConfiguration, match="srs_redis_sentinel must name its hosts as "):
		connections.sentinel_options(by_sentinel(hosts=hosts))


def test_a_host_with_a_login_is_not_quoted():
	with pytest.raises(InvalidConfiguration, match="has a host with a login, which is not host:port"):
		connections.sentinel_options(by_sentinel(hosts=[":secret@h:1"]))


@pytest.mark.parametrize("service", [None, "", 5, ["memora"]])
def test_a_service_that_is_none(service):
	with pytest.raises(InvalidConfiguration, match="service must be the master's name, not ") as caught:
		connections.sentinel_options(by_sentinel(service=service))
	assert repr(service) in str(caught.value)


def test_of_options_that_there_are_not_the_first_is_named():
	with pytest.raises(
		InvalidConfiguration, match=r"srs_redis_sentinel has 'a'; there is db, hosts, password"
	):
		connections.sentinel_options(by_sentinel(c=1, a=1, b=1))


@pytest.mark.parametrize(
	("options", "master", "sentinel"),
	[
		({}, "redis://h:1/0", "redis://h:1/0"),
		({"db": 3, "password": "p/w"}, "redis://:p%2Fw@h:1/3", "redis://h:1/0"),
		({"username": "u:", "password": "p"}, "redis://u%3A:p@h:1/0", "redis://h:1/0"),
		({"username": "u"}, "redis://h:1/0", "redis://h:1/0"),
		({"sentinel_password": "s"}, "redis://h:1/0", "redis://:s@h:1/0"),
		({"tls": 1}, "rediss://h:1/0", "rediss://h:1/0"),
		(
			{"tls": 1, "tls_ca_file": "/ca"},
			"rediss://h:1/0?ssl_ca_certs=%2Fca",
			"rediss://h:1/0?ssl_ca_certs=%2Fca",
		),
		({"tls_ca_file": "/ca"}, "redis://h:1/0", "redis://h:1/0"),
	],
)
def test_the_urls_of_master_and_sentinels(options, master, sentinel):
	assert addresses.of_master(options, "h", 1) == master
	assert connections.sentinel_urls(by_sentinel(hosts=["h:1"], **options)) == [sentinel]


@pytest.mark.parametrize("tls", [{}, {"tls_ca_file": "/ca"}, {"tls": 1}, {"tls": 1, "tls_ca_file": "/ca"}])
def test_options_reach_the_client_of_a_master(tls):
	options = {"username": "u", "password": "p", "db": 2}
	pool: Any = connections.connect(by_sentinel(**options, **tls)).connection_pool
	known = pool.connection_kwargs
	assert {name: known[name] for name in options} == options
	assert known["decode_responses"] is True
	assert issubclass(pool.connection_class, redis.SSLConnection) == ("tls" in tls)
	assert ("ssl_ca_certs" in known) == (len(tls) == 2)
	assert not connections.sentinel_urls(place({}))


@pytest.mark.parametrize(
	("given", "connect", "read"),
	[("", 0.25, 0.5), ("?socket_timeout=0.1", 0.25, 0.1), ("?socket_connect_timeout=9", 0.25, 0.5)],
)
def test_a_url_may_be_less_patient_and_not_more(given, connect, read):
	client: Any = connections.connect(Place(f"redis://h:1/0{given}"))
	known = client.connection_pool.connection_kwargs
	assert (known["socket_connect_timeout"], known["socket_timeout"]) == (connect, read)
	assert known["decode_responses"] is True


def test_servers_that_have_schedules():
	assert connections.server_urls(Place("redis://h:1/0")) == ["redis://h:1/0"]
	with pytest.raises(InvalidConfiguration, match="srs_redis_cache must be"):
		connections.server_urls(Place("h:1"))
	with pytest.raises(InvalidConfiguration, match="master's name"):
		connections.server_urls(by_sentinel(service=""))


@pytest.mark.parametrize(
	("one", "other", "are_one"),
	[
		("redis://localhost:1", "redis://127.0.0.1:1/0", True),
		("redis://:secret@127.0.0.1:1/0", "redis://127.0.0.1:1/0", True),
		("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/1", False),
		("redis://127.0.0.1:1/0", "redis://127.0.0.1:2/0", False),
		("redis://127.0.0.1:1/0", "redis://203.0.113.9:1/0", False),
		("redis://203.0.113.9:1/0", "redis://203.0.113.9:1", True),
		("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", True),
		("unix:///run/redis.sock", "unix:///run/other.sock", False),
	],
)
def test_two_urls_of_one_place(one, other, are_one):
	assert bool(connections.identities(Place(one)) & connections.identities(Place(other))) == are_one


@pytest.mark.parametrize(
	("other", "are_one"),
	[
		({}, True),
		({"db": 0}, True),
		({"db": 1}, False),
		({"service": "other"}, False),
		({"hosts": ["203.0.113.9:1", "203.0.113.8:2"]}, True),  # a Sentinel in common
		({"hosts": ["203.0.113.9:2"]}, False),
	],
)
def test_two_ways_to_one_master(other, are_one):
	here = {"hosts": ["203.0.113.9:1"]}
	found = [connections.identities(by_sentinel(**options)) for options in (here, {**here, **other})]
	assert bool(found[0] & found[1]) == are_one


def test_addresses_of_this_machine_are_one():
	assert addresses.machines("127.0.0.1") == addresses.machines("127.0.0.2") == {"localhost"}
	assert addresses.machines("203.0.113.9") == {"203.0.113.9"}


@pytest.mark.parametrize(
	("error", "is_closed"),
	[
		(redis.ConnectionError("Connection closed by server."), True),
		(redis.ConnectionError("Error 111 connecting to h:1. Connection refused."), False),
		(redis.TimeoutError("Timeout reading from socket"), False),
		(redis.AuthenticationError("invalid username-password pair"), False),  # a ConnectionError, too
	],
)
def test_whether_a_connection_was_closed(error, is_closed):
	assert connections.was_closed(error) == is_closed


@pytest.mark.parametrize(
	("ask", "where"),
	[
		*((ask, Place("redis://:se/cret@h:1")) for ask in (connections.connect, connections.server_urls)),
		(connections.identities, Place("redis://:se/cret@h:1")),
		(connections.sentinel_options, by_sentinel(password="se/cret", service="")),
	],
)
def test_nothing_that_an_error_has_passed_holds_a_password(ask, where):
	with pytest.raises(InvalidConfiguration) as caught:
		ask(where)
	frames = [frame for frame, _line in walk_tb(caught.value.__traceback__)]
	assert "se/cret" not in repr(
		[frame.f_locals for frame in frames if "services/cache" in frame.f_code.co_filename]
	)
