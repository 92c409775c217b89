"""A Redis Cluster of a test's own."""

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import frappe
import redis
from redis.crc import key_slot

from tests.integration import cleaning
from tests.integration.redis_server import RedisServer
from tests.integration.site_config import site_config
from tests.integration.waiting import wait_until

SLOTS = 16384
NODE_TIMEOUT_MS = 2000
END = "the end of what is monitored"
ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"')
OPTIONS = (
	*("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
	*("--repl-diskless-sync-delay", "0"),
)


class RedisCluster:
	"""Nodes with as many slots each."""

	def __init__(self, directory: Path, size: int = 3) -> None:
		self.directory = directory
		self.nodes: list[RedisServer] = []
		self.numbers = itertools.count()
		try:
			for number in range(size):
				slots = range(SLOTS * number // size, SLOTS * (number + 1) // size)
				self._add().admin.execute_command("CLUSTER ADDSLOTS", *slots)
				self.nodes[-1].admin.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
			self._meet(*self.nodes[1:])
		except BaseException:  # no fixture would stop the nodes that run by now
			self.stop()
			raise

	@property
	def url(self) -> str:
		"""Names one node."""
		return self.nodes[0].url

	def add(self) -> RedisServer:
		"""One more node, without slots."""
		node = self._add()
		self._meet(node)
		return node

	def add_replica(self, master: RedisServer) -> RedisServer:
		replica = self.add()
		replica.admin.execute_command("CLUSTER REPLICATE", master.id)
		wait_until(lambda: replica.admin.info("replication")["master_link_status"] == "up", "a replica")
		return replica

	def forget(self, dead: RedisServer) -> None:
		"""Goes on without a node whose slots another one has."""
		self.nodes.remove(dead)
		for node in self.nodes:
			node.admin.execute_command("CLUSTER FORGET", dead.id)
		self.wait()

	def move(self, key: str, source: RedisServer, target: RedisServer) -> None:
		"""Hands the key's slot over, with all that is in it."""
		slot = key_slot(key.encode())
		target.admin.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
		source.admin.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
		if keys := source.admin.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000):
			source.admin.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
		for node in (target, source, *self.nodes):
			node.admin.execute_command("CLUSTER SETSLOT", slot, "NODE", target.id)

	def _add(self) -> RedisServer:
		node = RedisServer(self.directory / f"node{next(self.numbers)}")
		self.start(node)
		node.id = node.admin.execute_command("CLUSTER MYID")
		self.nodes.append(node)
		return node

	def _meet(self, *nodes: RedisServer) -> None:
		for node in nodes:
			self.nodes[0].admin.execute_command("CLUSTER MEET", "127.0.0.1", node.port)
		self.wait()

	def start(self, node: RedisServer) -> None:
		node.start(*OPTIONS)

	def wait(self) -> None:
		"""Waits until all nodes know each other and all slots are served."""
		wait_until(lambda: all(map(self._is_complete, self.nodes)), "a cluster")

	def _is_complete(self, node: RedisServer) -> bool:
		info = node.admin.cluster("info")
		return (info["cluster_state"], int(info["cluster_known_nodes"])) == ("ok", len(self.nodes))

	def node_of(self, key: str) -> RedisServer:
		"""The one that serves the key."""
		client = redis.RedisCluster(port=self.nodes[-1].port, host="127.0.0.1")
		port = client.get_node_from_key(key).port
		return next(node for node in self.nodes if node.port == port)

	def stop(self) -> None:
		for node in self.nodes:
			node.kill()


@contextmanager
def schedules_in(cluster: RedisCluster) -> Iterator[None]:
	"""All processes have their schedules in the cluster, in a block that leaves nothing behind there."""
	place = {"srs_redis_cache": cluster.url, "srs_redis_cluster": 1}
	with site_config(**place):
		frappe.local.conf.update(place)
		yield
		cleaning.empty_schedules()
	frappe.local.conf.pop("srs_redis_cluster", None)


@contextmanager
def monitored(cluster: RedisCluster) -> Iterator[list[list[str]]]:
	"""Lists the commands that the nodes run during a block, those of scripts included."""
	done: list[list[str]] = []
	with ExitStack() as stack:
		clients = [redis.Redis(port=node.port, decode_responses=True) for node in cluster.nodes]
		monitors = [stack.enter_context(client.monitor()) for client in clients]
		yield done
		for client, monitor in zip(clients, monitors, strict=True):
			client.echo(END)
			while END not in (line := monitor.connection.read_response()):
				done.append(ARGUMENT.findall(line))


def slots_of(cluster: RedisCluster, command: list[str]) -> set[int]:
	"""Returns the slots of a command's keys, as the server sees the keys."""
	try:
		keys = cluster.nodes[0].admin.execute_command("COMMAND GETKEYS", *command)
	except redis.ResponseError:  # it has none
		return set()
	return {key_slot(key.encode()) for key in keys}
