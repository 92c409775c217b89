"""A master, its replica and three Sentinels of a test's own."""

from pathlib import Path

import redis

from devtools import ports, shell
from devtools.daemons import Daemon, answers
from devtools.pids import PidFile
from tests.integration.redis_server import RedisServer
from tests.integration.waiting import wait_until

SERVICE, PASSWORD = "memora", "a secret: / @"
DOWN_AFTER_MS = 1000
LOGIN = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0")
CONFIG = """\
sentinel monitor {service} 127.0.0.1 {port} 2
sentinel auth-pass {service} "{password}"
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 3000
"""


class RedisSentinels:
	def __init__(self, directory: Path, how_many: int = 3) -> None:
		self.master, self.replica = RedisServer(directory / "master"), RedisServer(directory / "replica")
		self.sentinels: list[redis.Redis] = []
		self._processes = []
		try:
			self.master.start(*LOGIN)
			self.replica.start(*LOGIN, "--replicaof", f"127.0.0.1 {self.master.port}")
			for server in (self.master, self.replica):
				# which Sentinels cut off when they promote somebody
				server.admin = redis.Redis(port=server.port, password=PASSWORD, decode_responses=True)
			for number in range(how_many):
				self._start_sentinel(directory / f"sentinel{number}")
			wait_until(self._is_complete, "Sentinels that know each other and the replica")
		except BaseException:  # no fixture would stop the servers that run by now
			self.stop()
			raise

	def _start_sentinel(self, directory: Path) -> None:
		directory.mkdir()
		port, config = ports.any_free(), directory / "sentinel.conf"
		values = {"service": SERVICE, "port": self.master.port, "password": PASSWORD}
		config.write_text(CONFIG.format(**values, down_after_ms=DOWN_AFTER_MS))
		where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory))
		daemon = Daemon(
			name="redis-sentinel",
			args=[shell.find("redis-server"), config, "--sentinel", *where],
			log=directory / "log",
			pid_file=PidFile(directory / "pid.json"),
			ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
		)
		self._processes.append(daemon.start())
		self.sentinels.append(redis.Redis(port=port, decode_responses=True))

	def _is_complete(self) -> bool:
		states = [sentinel.sentinel_master(SERVICE) for sentinel in self.sentinels]
		others = len(self.sentinels) - 1
		return all(
			state["num-other-sentinels"] == others and state["num-slaves"] == 1 and state["is_master"]
			for state in states
		)

	def agree(self) -> bool:
		"""Says whether every living Sentinel names the replica as the master."""
		living = zip(self.sentinels, self._processes, strict=True)
		states = [sentinel.sentinel_master(SERVICE) for sentinel, process in living if process.poll() is None]
		return {(state["port"], state["is_master"]) for state in states} == {(self.replica.port, True)}

	@property
	def hosts(self) -> list[str]:
		return [f"127.0.0.1:{s.connection_pool.connection_kwargs['port']}" for s in self.sentinels]

	@property
	def config(self) -> dict:
		"""Returns the setting by which a site finds these Sentinels."""
		return {"hosts": self.hosts, "service": SERVICE, "password": PASSWORD}

	def kill_sentinel(self) -> None:
		"""The first of the configuration."""
		self._processes[0].kill()
		self._processes[0].wait()

	def stop(self) -> None:
		for process in [*self._processes, self.master.process, self.replica.process]:
			if process:
				process.kill()
				process.wait()
