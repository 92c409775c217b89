"""A second host: gunicorn and a worker with a bench folder of their own, which reach each server by a forwarder of their own.

So this host alone can be cut off from one server, from several, or from all.
"""

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from devtools import daemons, fault_bench, ports, services
from devtools.daemons import Daemon
from devtools.paths import PROJECT
from devtools.pids import PidFile
from devtools.processes import Handle
from tests.faults.forwarder import BACKLOG
from tests.faults.freezing import ports_of
from tests.faults.stage import Stage, children


class Host:
	"""`wires` are the forwarders, by the names that services.PORTS has."""

	def __init__(self, stage: Stage, name: str = "far") -> None:
		self.stage = stage
		self.wires: dict[str, subprocess.Popen[bytes]] = {}
		self.listeners: dict[str, socket.socket] = {}
		self.bench = fault_bench.second_host(
			stage.bench, name, {port: ports.any_free() for port in services.PORTS.values()}
		)
		for server in services.PORTS:
			self._start_wire(server)
		self.web: Handle = stage.start_web_of(self.bench)
		self.worker: Handle | None = None

	def _start_wire(self, server: str) -> None:
		name = services.PORTS[server]
		own, target = ports.known(self.bench)[name], ports.known(self.stage.bench)[name]
		listener = self.listeners[server] = socket.create_server(("127.0.0.1", own), backlog=BACKLOG)
		self.stage.stack.callback(listener.close)
		daemon = Daemon(
			name=f"wire to {server}",
			args=[sys.executable, "-m", "tests.faults.forwarder", str(listener.fileno()), str(target)],
			log=self.bench.log(f"wire-{server}"),
			pid_file=PidFile(self.bench.run / f"wire-{server}.json"),
			ready=lambda: daemons.answers(own, b"", b""),
			cwd=PROJECT,
			seconds_to_stop=0,  # it may stand still
			pass_fds=(listener.fileno(),),
		)
		self.wires[server] = daemon.start()
		self.stage.stack.callback(daemon.stop, self.wires[server])

	def ensure_worker(self) -> Handle:
		"""Starts a worker if there is none, or if it has died, as supervisor would."""
		if not (self.worker and self.worker.alive()):
			self.worker = self.stage.start_worker_of(self.bench)
		return self.worker

	@contextmanager
	def refusing(self, servers: Iterable[str]) -> Iterator[None]:
		"""Who wants to connect to these servers gets no answer (but for the one connection that the kernel accepts).

		With wires that stand still this is a network that loses every packet.
		"""
		listeners = [self.listeners[server] for server in servers]
		for listener in listeners:
			listener.listen(0)
		try:
			yield
		finally:
			for listener in listeners:
				listener.listen(BACKLOG)

	# What can be frozen

	def wire_pids(self, servers: Iterable[str]) -> list[int]:
		return [self.wires[server].pid for server in servers]

	def web_pids(self) -> list[int]:
		return children(self.web.pid)

	def horses(self) -> list[int]:
		return children(self.worker.pid) if self.worker else []

	def all_pids(self) -> list[int]:
		"""Everything that runs on this host, but for the parent of its web processes."""
		return [*self.wire_pids(self.wires), *self.web_pids(), *self.worker_pids()]

	def worker_pids(self) -> list[int]:
		return [self.worker.pid, *self.horses()] if self.worker else []

	def database_ports(self) -> set[int]:
		"""The ports from which MariaDB sees this host's connections."""
		return ports_of(self.wire_pids(["mariadb"]))
