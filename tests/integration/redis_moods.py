"""Each way in which a Redis fails, how it begins and ends, and a learner who meets it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from devtools import ports
from memora.services.folding.folds import fold
from tests.integration import state
from tests.integration.factories import bank_questions
from tests.integration.redis_server import RedisServer
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.waiting import wait_until

OPEN_SECONDS = 5
KEYS_TO_LOAD, LOAD_DELAY_MICROSECONDS = 2000, 10_000
SLOTS = 16384


class Clock:
	"""The breakers', which runs ahead of the time."""

	ahead = 0.0

	def __call__(self) -> float:
		return time.monotonic() + self.ahead


# The moods


def gone(server: RedisServer) -> Callable[[], None]:
	server.kill()
	return server.start


def hanging(server: RedisServer) -> Callable[[], None]:
	server.hang()
	return server.resume


def read_only(server: RedisServer) -> Callable[[], None]:
	"""A replica of a master that is gone."""
	server.admin.replicaof("127.0.0.1", ports.any_free())
	return lambda: server.admin.replicaof("NO", "ONE")


def out_of_memory(server: RedisServer) -> Callable[[], None]:
	server.admin.config_set("maxmemory", 1)
	return lambda: server.admin.config_set("maxmemory", 0)


def out_of_disk(server: RedisServer) -> Callable[[], None]:
	"""Redis can't write its dump: a directory stands in its place."""
	(server.directory / "dump.rdb" / "taken").mkdir(parents=True)
	server.admin.config_set("save", "3600 1")
	server.admin.bgsave()
	wait_until(lambda: server.admin.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed dump")
	return lambda: server.admin.config_set("save", "")


def wanting_a_password(server: RedisServer) -> Callable[[], None]:
	server.admin.config_set("requirepass", "secret")
	server.admin.client_kill_filter(_type="normal", skipme=True)
	return lambda: server.admin.config_set("requirepass", "")


def loading(server: RedisServer) -> Callable[[], None]:
	"""Killed and started with so much to read that it takes 20 s."""
	server.admin.mset({f"other:{n}": "x" * 1024 for n in range(KEYS_TO_LOAD)})
	server.admin.config_set("rdbcompression", "no")
	server.admin.save()
	server.kill()
	delay, interval = str(LOAD_DELAY_MICROSECONDS), "1024"
	server.start("--key-load-delay", delay, "--loading-process-events-interval-bytes", interval)

	def end() -> None:
		server.admin.config_set("key-load-delay", 0)
		wait_until(lambda: not server.admin.info("persistence")["loading"], "a Redis that has read its data")

	return end


def moved(server: RedisServer) -> Callable[[], None]:
	"""A node of a cluster in its place, with all slots at the other node."""
	server.kill()
	other = RedisServer(server.directory.with_name("other"))
	other.start("--cluster-enabled", "yes")
	server.start("--cluster-enabled", "yes", "--dbfilename", "cluster.rdb")

	def end() -> None:
		other.kill()
		server.kill()
		server.start()

	try:
		other.admin.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
		server.admin.execute_command("CLUSTER MEET", "127.0.0.1", other.port)
		wait_until(lambda: server.admin.cluster("info")["cluster_state"] == "ok", "a cluster")
	except BaseException:
		end()
		raise
	return end


@dataclass(frozen=True)
class Mood:
	"""`begin` returns what ends it. `reason` begins the incident's."""

	begin: Callable[[RedisServer], Callable[[], None]]
	reason: str


MOODS = [
	Mood(gone, "no server listens at this address: Error 111 connecting to 127.0.0.1:"),
	Mood(hanging, "it does not answer in time: Timeout"),
	Mood(read_only, "it is a replica, which takes no writes: You can't write"),
	Mood(out_of_memory, "its memory is full: "),
	Mood(out_of_disk, "it can't write to its disk: MISCONF"),
	Mood(wanting_a_password, "it wants a password that its URL lacks: Authentication required"),
	Mood(loading, "it is reading its data from disk: Redis is loading"),
	Mood(moved, "it is a node of a cluster, and srs_redis_cluster is not set: MOVED"),
]


@dataclass
class Case:
	"""A learner with twelve questions due, and what she has answered since."""

	player: str
	season: str
	questions: list[str] = field(default_factory=lambda: bank_questions()[:12])

	def answer(self, is_degraded: bool) -> None:
		result = submit(self.player, answers(questions=[self.questions.pop(0)]))
		assert (result["status"], result["processed"], result["is_degraded"]) == ("success", 1, is_degraded)

	def look(self, is_degraded: bool, subject: str | None = None) -> None:
		session = read(self.player, subject)
		shown = self.questions[:10] if is_degraded else self.questions
		expected = (shown, len(self.questions), is_degraded)
		assert (ids(session), session["total_due"], session["is_degraded"]) == expected

	def fold(self) -> None:
		for row in state.outbox(self.player):
			fold(row.name)
