"""A Redis of a test's own, to be stopped, hung and configured."""

import signal
import subprocess
from pathlib import Path

import redis

from devtools import ports, shell
from devtools.daemons import Daemon, answers
from devtools.pids import PidFile


class RedisServer:
	"""Listens on the same port each time that it is started. `admin` is one connection that stays open."""

	def __init__(self, directory: Path) -> None:
		self.directory = directory
		directory.mkdir(exist_ok=True)
		self.port = _port()
		self.url = f"redis://127.0.0.1:{self.port}/0"
		self.id = ""  # that of a cluster's node
		self.process: subprocess.Popen[bytes] | None = None

	def start(self, *options: str) -> None:
		"""Starts the server and waits until it takes connections. It may still be loading its data then."""
		where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory))
		daemon = Daemon(
			name="redis-server",
			args=[shell.find("redis-server"), *where, "--save", "", *options],
			log=self.directory / "log",
			pid_file=PidFile(self.directory / "pid.json"),
			ready=lambda: answers(self.port, b"", b""),
		)
		self.process = daemon.start()
		self.admin = redis.Redis(port=self.port, single_connection_client=True, decode_responses=True)

	def kill(self) -> None:
		"""Kills the server, even if it hangs."""
		self.process.kill()
		self.process.wait()

	def hang(self) -> None:
		self.process.send_signal(signal.SIGSTOP)

	def resume(self) -> None:
		self.process.send_signal(signal.SIGCONT)


def _port() -> int:
	"""One with room for a cluster's bus, 10,000 above."""
	while (port := ports.any_free()) > 55_000 or not ports.is_free(port + 10_000):
		pass
	return port
