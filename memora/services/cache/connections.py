"""Connections to the schedules' Redis: one server, the master that Sentinels know of, or a cluster.

	srs_redis_cache      URL of the server, or of one node of a cluster
	srs_redis_sentinel   {"hosts": ["host:port", …], "service": name}. Optional: `username`, `password`
	                     and `db` of the master, `sentinel_password` of the Sentinels, `tls` of both, `tls_ca_file`
	srs_redis_cluster    1, or ["host:port", …]: further nodes that can be asked for the slots

On a cluster, an action that has waited in vain for one node waits for no other node.
"""

import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from memora.services.cache import addresses
from memora.services.cache.addresses import InvalidConfiguration

CONNECT_TIMEOUT_SECONDS = 0.25
READ_TIMEOUT_SECONDS = 0.5
SENTINEL_TIMEOUT_SECONDS = 0.1  # each: Sentinels that hang must leave time for a Sentinel that answers
PROBE_KEYS = 1000  # tried, to find a key for each primary of a cluster
DEFAULT_REDIS_URL = "redis://localhost:13000"

URL, SENTINEL, CLUSTER = "srs_redis_cache", "srs_redis_sentinel", "srs_redis_cluster"
SENTINEL_OPTIONS = {
	"hosts",
	"service",
	"username",
	"password",
	"db",
	"sentinel_password",
	"tls",
	"tls_ca_file",
}


FAILURES = (RedisError, RedisClusterException, OSError, InvalidConfiguration)
# A cluster's client renews its map of the slots in one thread while other threads read the map. A thread that
# meets a half-made map raises these errors, too.
CLUSTER_FAILURES = (*FAILURES, RuntimeError, LookupError, AttributeError)


@dataclass(frozen=True)
class Place:
	"""The place where a site keeps its schedules, as the configuration says. Nothing is checked yet.

	It is no tuple: Frappe 16 logs all that is in a tuple, and does not ask __repr__.
	"""

	url: str
	sentinel: str = "null"  # JSON
	cluster: str = "null"  # JSON

	def __repr__(self) -> str:
		"""Without passwords: Error Log shows the variables of a traceback."""
		return f"Place({addresses.shown(self.url)})"

	@property
	def is_cluster(self) -> bool:
		return bool(json.loads(self.cluster))


def place(conf: dict[str, Any]) -> Place:
	"""Returns the place that a site's configuration names."""
	url = conf.get(URL) or conf.get("redis_cache") or DEFAULT_REDIS_URL
	return Place(url, *(json.dumps(conf.get(name), sort_keys=True) for name in (SENTINEL, CLUSTER)))


@addresses.without_variables
def connect(where: Place, known_nodes: Sequence[tuple[str, int]] = ()) -> redis.Redis:
	"""Returns a client for a place. Raises InvalidConfiguration.

	A cluster's client connects at once, by way of `known_nodes` and the configured nodes. So it may raise any
	of CLUSTER_FAILURES.
	"""
	if where.is_cluster and json.loads(where.sentinel):
		raise InvalidConfiguration(f"{SENTINEL} and {CLUSTER} are both set: only one can be")
	if where.is_cluster:
		return _cluster(where, known_nodes)
	if json.loads(where.sentinel):
		return _master(where)
	return redis.Redis.from_url(_impatient(where.url), decode_responses=True, retry=_no_retry())


# Sentinel


def _master(where: Place) -> redis.Redis:
	options = sentinel_options(where)
	return _sentinel(options).master_for(
		options["service"],
		decode_responses=True,
		retry=_no_retry(),
		socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
		socket_timeout=READ_TIMEOUT_SECONDS,
		**{name: options[name] for name in ("username", "password", "db") if options.get(name)},
		**_tls(options),
	)


def _sentinel(options: dict[str, Any]) -> Sentinel:
	patience = {
		"socket_connect_timeout": SENTINEL_TIMEOUT_SECONDS,
		"socket_timeout": SENTINEL_TIMEOUT_SECONDS,
		"password": options.get("sentinel_password"),
		"retry": _no_retry(),
		**_tls(options),
	}
	return Sentinel(_addresses(SENTINEL, options["hosts"]), sentinel_kwargs=patience)


def _tls(options: dict[str, Any]) -> dict[str, Any]:
	if not options.get("tls"):
		return {}
	return {"ssl": True, **({"ssl_ca_certs": options["tls_ca_file"]} if options.get("tls_ca_file") else {})}


@addresses.without_variables
def sentinel_options(where: Place) -> dict[str, Any]:
	"""Returns the setting srs_redis_sentinel, checked. Raises InvalidConfiguration."""
	options = json.loads(where.sentinel)
	if not isinstance(options, dict):
		raise InvalidConfiguration(f'{SENTINEL} must be {{"hosts": […], "service": …}}')
	if unknown := sorted(options.keys() - SENTINEL_OPTIONS):
		raise InvalidConfiguration(
			f"{SENTINEL} has {unknown[0]!r}; there is {', '.join(sorted(SENTINEL_OPTIONS))}"
		)
	service = options.get("service")
	if not isinstance(service, str) or not service:
		raise InvalidConfiguration(f"{SENTINEL}.service must be the master's name, not {service!r}")
	_addresses(SENTINEL, options.get("hosts"))
	return options


def _addresses(name: str, hosts: Any) -> list[tuple[str, int]]:
	if not isinstance(hosts, list) or not hosts:
		raise InvalidConfiguration(f'{name} must name its hosts as ["host:port", …]')
	return [_address(name, host) for host in hosts]


def _address(name: str, host: Any) -> tuple[str, int]:
	machine, _colon, port = str(host).rpartition(":")
	if not machine or "@" in machine or not port.isdecimal() or not 0 < int(port) < 65536:
		which = "a host with a login" if "@" in str(host) else f"the host {host!r}"
		raise InvalidConfiguration(f"{name} has {which}, which is not host:port")
	return machine.strip("[]"), int(port)


# Cluster


def _cluster(where: Place, known_nodes: Sequence[tuple[str, int]]) -> redis.Redis:
	_hurry.has_waited = False  # a new client may wait again
	others = json.loads(where.cluster)
	nodes = {*known_nodes, *(_addresses(CLUSTER, others) if isinstance(others, list) else ())}
	return redis.RedisCluster.from_url(
		_impatient(where.url),
		startup_nodes=[ClusterNode(*node) for node in random.sample(sorted(nodes), len(nodes))],
		connection_pool_class=_HurriedPool,
		decode_responses=True,
		**_one_more_try(),
	)


def _one_more_try() -> dict[str, Any]:
	"""Returns the option for one more try, after the client has asked which node has the slot now.

	redis-py takes the number from a Retry since version 6. Older versions give a Retry to each connection.
	"""
	if hasattr(Retry, "get_retries"):
		return {"retry": Retry(NoBackoff(), 1)}
	return {"cluster_error_retry_attempts": 1}


def primaries(client: redis.Redis) -> list[redis.Redis]:
	"""Returns a client for each primary of a cluster; without a cluster, the client itself."""
	if not isinstance(client, redis.RedisCluster):
		return [client]
	return [client.get_redis_connection(node) for node in client.get_primaries()]


def a_key_on_each(client: redis.Redis, key: str) -> list[str]:
	"""Returns keys `key:number`, one on each primary of a cluster; without a cluster, only `key`.

	A primary with so few slots that none of PROBE_KEYS keys falls into its slots is left out.
	"""
	if not isinstance(client, redis.RedisCluster):
		return [key]
	missing, found = {node.name for node in client.get_primaries()}, []
	for number in range(PROBE_KEYS):
		name = client.get_node_from_key(f"{key}:{number}").name
		if name in missing:
			missing.remove(name)
			found.append(f"{key}:{number}")
		if not missing:
			break
	return found


def nodes_of(client: redis.Redis) -> list[tuple[str, int]]:
	"""Returns (host, port) of each node that a cluster's client knows."""
	return [(node.host, node.port) for node in cast(redis.RedisCluster, client).get_nodes()]


_hurry = threading.local()  # its `has_waited` says whether this thread's action has waited in vain for a node


def begin_action() -> None:
	"""Lets this thread wait again. Until the next call, the thread waits in vain for one node at most."""
	_hurry.has_waited = False


class _Hurried(redis.Connection):
	"""A connection to a node of a cluster. It waits for nothing if its thread has waited in vain before.

	A cluster's client asks one node after the other when a node is silent. If all nodes hang, a learner would
	wait for the sum of their timeouts.
	"""

	def connect(self) -> None:
		self._wait(super().connect)

	def read_response(self, *args: Any, **options: Any) -> Any:
		return self._wait(super().read_response, *args, **options)

	def _wait(self, wait: Callable[..., Any], *args: Any, **options: Any) -> Any:
		if getattr(_hurry, "has_waited", False):
			self.disconnect()
			raise redis.TimeoutError("Another node did not answer in time")
		try:
			return wait(*args, **options)
		except redis.TimeoutError:
			_hurry.has_waited = True
			raise


class _HurriedPool(redis.ConnectionPool):
	def __init__(self, connection_class: type = redis.Connection, **options: Any) -> None:
		redis.ConnectionPool.__init__(self, connection_class=_hurried(connection_class), **options)


@lru_cache
def _hurried(connection_class: type) -> type:
	return type("HurriedConnection", (_Hurried, connection_class), {})


def was_closed(error: BaseException) -> bool:
	"""Says whether an error means that the other side has closed an open connection, as proxies do with idle ones."""
	return type(error) is redis.ConnectionError and " connecting to " not in str(error)


# Addresses


def _impatient(url: str) -> str:
	"""Returns the URL with the timeouts above, or with its own timeouts where those are shorter."""
	limits = {"socket_connect_timeout": CONNECT_TIMEOUT_SECONDS, "socket_timeout": READ_TIMEOUT_SECONDS}
	parts = urlsplit(addresses.readable(url, URL))
	options: dict[str, Any] = dict(parse_qsl(parts.query))
	for name, limit in limits.items():
		options[name] = min(limit, float(options.get(name, limit)))
	return urlunsplit(parts._replace(query=urlencode(options)))


def _no_retry() -> Retry:
	return Retry(NoBackoff(), 0)  # newer versions of redis-py would try three times


@addresses.without_variables
def server_urls(where: Place) -> list[str]:
	"""Returns the URL of each server that has schedules or may have them next: nodes and replicas.

	If a cluster can't be asked, returns its configured URL. If no Sentinel can be asked, returns none. Raises
	InvalidConfiguration.
	"""
	if not where.is_cluster and not json.loads(where.sentinel):
		return [addresses.readable(where.url, URL)]
	begin_action()
	try:
		return list(_discovered(where))
	except CLUSTER_FAILURES as error:
		if isinstance(error, InvalidConfiguration):
			raise
		return [where.url] if where.is_cluster else []


def _discovered(where: Place) -> Iterator[str]:
	if where.is_cluster:
		for host, port in sorted(nodes_of(connect(where))):
			yield addresses.at(where.url, host, port)
		return
	options = sentinel_options(where)
	sentinel, service = _sentinel(options), options["service"]
	for host, port in [sentinel.discover_master(service), *sentinel.discover_slaves(service)]:
		yield addresses.of_master(options, host, port)


@addresses.without_variables
def sentinel_urls(where: Place) -> list[str]:
	"""Returns the URLs of the Sentinels; none for a site without Sentinels. Raises InvalidConfiguration."""
	if not json.loads(where.sentinel):
		return []
	options = sentinel_options(where)
	return [addresses.of_sentinel(options, *address) for address in _addresses(SENTINEL, options["hosts"])]


@addresses.without_variables
def identities(where: Place) -> set[tuple[Any, ...]]:
	"""Returns what identifies a place. Two places that have an identity in common are one place.

	Names are resolved, and every address of this machine counts as one: `localhost` and `127.0.0.1` are one server.
	"""
	if not json.loads(where.sentinel):
		parts = parse_url(addresses.readable(where.url, URL))
		hosts = addresses.machines(parts["host"]) if "host" in parts else {""}
		return set(product(hosts, [parts.get("port")], [parts.get("path")], [parts.get("db", 0)]))
	options = sentinel_options(where)
	found = _addresses(SENTINEL, options["hosts"])
	machines = {(machine, port) for host, port in found for machine in addresses.machines(host)}
	return set(product(machines, [options["service"]], [options.get("db", 0)]))
