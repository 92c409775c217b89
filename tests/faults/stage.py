"""The servers that get killed: a MariaDB, three Redis, gunicorn and a worker of the fault bench."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from devtools import fault_bench, mariadb, ports, processes, services
from devtools import redis as redis_servers
from devtools.paths import MAIN_SITE, PROJECT, Bench
from devtools.processes import Handle
from tests.faults.commands import Commands
from tests.integration.connections import connect

MODULE_SECONDS = 60
OPEN_SECONDS = 1  # for which a process leaves a Redis alone that has failed; see served.py


class Stage:
	"""Servers by the names that services.PORTS has, and `web` and `worker`."""

	def __init__(self, bench: Bench, stack: ExitStack) -> None:
		self.bench, self.stack = bench, stack
		self.site = MAIN_SITE
		self.servers: dict[str, subprocess.Popen[bytes]] = {}
		self.furniture: dict[str, Any] = {}  # what furnish has made
		self.web: Handle | None = None
		self.worker: Handle | None = None
		self.commands: Commands | None = None

	# Starting

	def start_all(self, main_bench: Bench) -> None:
		fault_bench.claim_ports(self.bench)
		for name in services.PORTS:
			if name != "mariadb":
				shutil.rmtree(self.data(name), ignore_errors=True)
			self.start(name)
			self.stack.callback(self.stop, name)
		fault_bench.fill(self.bench, main_bench)

	def start(self, name: str) -> None:
		daemon = fault_bench.daemon(self.bench, name)
		if name == "mariadb":  # which shall see an error, as on a full disk, where a file may not grow
			daemon = replace(daemon, args=["env", "--ignore-signal=XFSZ", *daemon.args])
		self.servers[name] = daemon.start()

	def stop(self, name: str) -> None:
		"""Stops a server, even one that SIGSTOP holds."""
		if self.servers[name].poll() is None:
			self.servers[name].send_signal(signal.SIGCONT)
		fault_bench.daemon(self.bench, name).stop(self.servers[name])

	def start_web(self) -> None:
		self.web = self.start_web_of(self.bench)

	def start_worker(self) -> None:
		self.worker = self.start_worker_of(self.bench)

	def start_web_of(self, host: Bench) -> Handle:
		env = {**self.env_of(host), "OPEN_SECONDS": str(OPEN_SECONDS)}
		with being_current(host):
			web = processes.web(self.site, env=env, app="tests.faults.served:application")
			return self.stack.enter_context(web)

	def start_worker_of(self, host: Bench) -> Handle:
		with being_current(host):
			return self.stack.enter_context(processes.worker(env=self.env_of(host)))

	def start_commands(self) -> None:
		self.commands = Commands(self.bench, self.env)
		self.stack.callback(self.commands.stop)

	@property
	def env(self) -> dict[str, str]:
		return self.env_of(self.bench)

	def env_of(self, host: Bench) -> dict[str, str]:
		return {
			"MEMORA_BENCH": str(host.root),
			"MEMORA_SITE": self.site,
			"MEMORA_SITES_PATH": str(host.sites),
			"FRAPPE_REDIS_QUEUE": redis_servers.url(host, "queue"),
		}

	# Killing

	def kill(self, name: str) -> None:
		"""SIGKILL, and proof that it is gone."""
		process = self.servers[name]
		assert process.poll() is None, f"{name} had stopped by itself"
		process.kill()
		assert process.wait() == -signal.SIGKILL

	def kill_worker(self) -> None:
		assert self.worker.alive()
		os.kill(self.worker.pid, signal.SIGKILL)
		assert self.worker.process.wait() == -signal.SIGKILL

	def ensure_worker(self) -> None:
		"""Starts a new worker if the worker has died of its Redis, as supervisor or systemd would."""
		if not self.worker.alive():
			self.start_worker()

	def data(self, name: str) -> Path:
		return self.bench.redis_data(services.PORTS[name])

	# Asking

	def redis(self, name: str) -> redis.Redis:
		return redis.Redis(
			port=ports.known(self.bench)[services.PORTS[name]],
			decode_responses=name != "queue",
			socket_timeout=10,
		)

	def sql(self, statement: str, *values: Any) -> list[tuple]:
		"""Rows of a statement on a connection of its own, committed."""
		config = json.loads((self.bench.site(self.site) / "site_config.json").read_text())
		connection = connect(
			host="127.0.0.1",
			port=ports.known(self.bench)["mariadb"],
			user=config["db_name"],
			password=config["db_password"],
			database=config["db_name"],
			autocommit=True,
		)
		with connection, connection.cursor() as cursor:
			cursor.execute(statement, values)
			return list(cursor.fetchall())

	def ask_root(self, statement: str, *values: Any) -> list[tuple]:
		"""Rows of a statement of an administrator of MariaDB, who sees everybody's connections."""
		password = mariadb.root_password(self.bench)
		connection = connect(unix_socket=str(self.bench.socket()), user="root", password=password)
		with closing(connection), connection.cursor() as cursor:
			cursor.execute(statement, values)
			return list(cursor.fetchall())

	def as_root(self, statements: str) -> None:
		"""Runs statements of an administrator of MariaDB."""
		mariadb.execute(self.bench, statements)

	def bench_command(self, *args: str) -> dict[str, Any]:
		"""The JSON that a bench command on the site prints."""
		return self.commands.run("--site", self.site, *args, "--json")

	def python(self, module: str, *args: str) -> dict[str, Any]:
		"""The JSON that a module of this project prints, run with the site's configuration."""
		env = {**os.environ, **self.env, "PYTHONPATH": str(PROJECT)}
		done = subprocess.run(
			[self.bench.python, "-m", module, *args],
			cwd=self.bench.sites,
			env=env,
			capture_output=True,
			text=True,
			timeout=MODULE_SECONDS,
		)
		assert done.returncode == 0, f"{module} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
		return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def being_current(bench: Bench) -> Iterator[None]:
	"""devtools.processes starts what it starts in the bench that MEMORA_BENCH names."""
	before = os.environ.get("MEMORA_BENCH")
	os.environ["MEMORA_BENCH"] = str(bench.root)
	try:
		yield
	finally:
		if before is None:
			del os.environ["MEMORA_BENCH"]
		else:
			os.environ["MEMORA_BENCH"] = before


def children(pid: int) -> list[int]:
	"""The processes that a process has forked and that are still there."""
	try:
		return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
	except (FileNotFoundError, ProcessLookupError):
		return []


def kill_process(pid: int) -> bool:
	"""SIGKILL; whether it was there to be killed."""
	try:
		os.kill(pid, signal.SIGKILL)
	except ProcessLookupError:
		return False
	return True
