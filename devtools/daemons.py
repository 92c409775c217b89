"""Starts servers, and waits until they answer."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devtools.pids import PidFile
from devtools.report import Failure
from devtools.shell import Arguments, die_with_parent

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Daemon:
	"""A long-running program with its log, its pid file, and a function that says whether the program is ready."""

	name: str
	args: Arguments
	log: Path
	pid_file: PidFile
	ready: Callable[[], bool]
	cwd: Path | None = None
	env: Mapping[str, str] = field(default_factory=dict)
	seconds_to_start: float = 60
	seconds_to_stop: float = 60
	pass_fds: tuple[int, ...] = ()

	def start(self, outlives: bool = False) -> "subprocess.Popen[bytes]":
		"""Starts the program and waits until it is ready. Raises Failure if it ends or takes too long.

		On failure or interruption the program is stopped. Unless `outlives` is set, the kernel kills the program when the
		calling thread ends, even by `kill -9`.
		"""
		process = self._spawn(outlives)
		try:
			self.pid_file.write(process.pid)
			self._wait(process)
		except BaseException:
			self.stop(process)
			raise
		return process

	def stop(self, process: "subprocess.Popen[bytes] | None" = None) -> None:
		self.pid_file.stop(self.seconds_to_stop)
		if process:
			process.wait()

	def _spawn(self, outlives: bool) -> "subprocess.Popen[bytes]":
		with self.log.open("wb") as log:
			return subprocess.Popen(
				self.args,
				cwd=self.cwd,
				env={**os.environ, **self.env},
				stdin=subprocess.DEVNULL,
				stdout=log,
				stderr=log,
				start_new_session=True,
				pass_fds=self.pass_fds,
				preexec_fn=None if outlives else _die_with_starter,
			)

	def _wait(self, process: "subprocess.Popen[bytes]") -> None:
		deadline = time.monotonic() + self.seconds_to_start
		while not self.ready():
			if process.poll() is not None:
				raise Failure(f"{self.name} exited with {process.returncode}", self.log)
			if time.monotonic() > deadline:
				raise Failure(f"{self.name} was not ready after {self.seconds_to_start:.0f} s", self.log)
			time.sleep(SECONDS_BETWEEN_LOOKS)


def _die_with_starter() -> None:
	"""Asks the kernel for a SIGKILL when the starter ends. A program that hangs would ignore a gentler signal."""
	die_with_parent(signal.SIGKILL)


def answers(port: int, request: bytes, expected: bytes) -> bool:
	try:
		with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
			connection.sendall(request)
			return connection.recv(len(expected)) == expected
	except OSError:
		return False
