"""The schedules' Redis of one site as this process sees it: connections, breaker, and the epoch read last."""

import math
import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import redis

from memora.services.cache import causes, connections, incidents
from memora.services.cache.breaker import CircuitBreaker, NotAsked, Unavailable
from memora.services.cache.connections import Place
from memora.services.cache.ownership import Database, KeysOfAnother

SLOW_SECONDS = 10  # within which Redis may be slow once
EPOCH_SECONDS = 5  # how long a process may go on with the epoch it has read

Action = Callable[[redis.Redis], Any]


class Server:
	"""Connections to the Redis of one place, behind one circuit breaker.

	`has_missed_writes` says whether a write of this process failed and could not be noted, either, since Redis was last
	trusted. `owned_by` is the MariaDB server by which this process owned the keys; empty as long as it never did.
	"""

	def __init__(self, place: Place) -> None:
		self.place = place
		failures = connections.CLUSTER_FAILURES if place.is_cluster else connections.FAILURES
		self.breaker = CircuitBreaker((*failures, KeysOfAnother), describe=causes.cause)
		self.has_missed_writes = False
		self.owned_by = ""
		self._epoch = (0.0, "")
		self._database: tuple[float, Any, Database | None] = (0.0, None, None)
		self._slow_at = -math.inf  # when a slow reply was forgiven last
		self._nodes: list[tuple[str, int]] = []  # of a cluster, as its last client knew them

	@cached_property
	def client(self) -> redis.Redis:
		"""The client. Use it only behind the breaker: a cluster's client connects as soon as it is made."""
		return connections.connect(self.place, self._nodes)

	def run(self, action: Action, probe: Action) -> Any:
		"""Runs action(client) behind the breaker and returns its result.

		A failure opens an incident. After a failure, the next action runs only if `probe` succeeds first. If
		both succeed, the incident is closed. One slow reply is no failure: the action is run once more. Raises Unavailable.
		"""
		connections.begin_action()
		try:
			with self.breaker.guard() as is_trial:
				if is_trial:
					probe(self.client)
					result = action(self.client)
				else:
					result = self._run_patiently(action)
		except NotAsked:
			raise
		except Unavailable as error:
			self._drop_connections()
			incidents.open_incident(str(error))
			raise
		if is_trial:
			incidents.close_incidents()
		return result

	def _run_patiently(self, action: Action) -> Any:
		"""Runs an action, and once more if Redis does not answer in time; but only once in SLOW_SECONDS. Also once more if
		the connection was closed: proxies close those that are idle.

		A Redis that forks, or waits for its disk, pauses for a moment, in which all threads wait for it. Each action may be
		run twice: it sets what it sets whatever was there, or finds that it has been done.
		"""
		began = time.monotonic()
		try:
			return action(self.client)
		except redis.ConnectionError as error:
			if self.place.is_cluster or not connections.was_closed(error):
				raise
			self._drop_connections()  # all that are idle may have been closed, without a word
			return action(self.client)
		except redis.TimeoutError:
			if self._slow_at <= began < self._slow_at + SLOW_SECONDS:
				raise
			self._slow_at = max(self._slow_at, time.monotonic())
			connections.begin_action()
			return action(self.client)

	def _drop_connections(self) -> None:
		"""Closes pooled connections. They lead to the dead server, so each would open the breaker again.

		A cluster's client is thrown away whole: it forgets nodes that failed, and in the end would know none.
		"""
		client = self.__dict__.get("client")
		if not client:
			return
		if self.place.is_cluster:
			self._nodes = connections.nodes_of(client) or self._nodes
			self.__dict__.pop("client", None)
		else:
			client.connection_pool.disconnect(inuse_connections=False)

	@property
	def epoch(self) -> str | None:
		"""The epoch, if this process read it less than EPOCH_SECONDS ago; else None."""
		read_at, epoch = self._epoch
		return epoch if time.monotonic() - read_at < EPOCH_SECONDS else None

	def remember_epoch(self, epoch: str) -> str:
		self._epoch = (time.monotonic(), epoch)
		return epoch

	def database_at(self, address: Any, within_seconds: float = EPOCH_SECONDS) -> Database | None:
		"""Returns the database at an address, if this process has read it there in the last seconds; else None."""
		read_at, known, database = self._database
		return database if known == address and time.monotonic() - read_at < within_seconds else None

	def is_another(self, digest: str) -> bool:
		"""Says whether this process has known another database than the one that a digest stands for."""
		known = self._database[2]
		return known is not None and known.digest != digest

	def remember_database(self, address: Any, database: Database) -> Database:
		if self.is_another(database.digest):
			self._epoch = (0.0, "")
		self._database = (time.monotonic(), address, database)
		return database


@cache  # with a Server that is thrown away goes what the process has missed
def server_of(site: str, place: Place, prefix: str) -> Server:
	"""Returns the one Server that this process has for a site, a place, and what stands before the site's keys."""
	return Server(place)
