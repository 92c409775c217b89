"""Runs MariaDB and Redis for as long as a command needs them.

Several commands may use the services at once. Each command holds a shared lock on `in-use.lock`, and the last command to
end stops the services. If the last command is killed, the keeper stops them.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from devtools import config, mariadb, ports, redis
from devtools.daemons import Daemon
from devtools.locks import exclusive, try_lock
from devtools.paths import PROJECT, Bench
from devtools.pids import PidFile
from devtools.report import step

# service name -> the name of its port
PORTS = {"mariadb": "mariadb", "redis-cache": "cache", "redis-queue": "queue", "redis-srs": "srs"}


@contextmanager
def running(bench: Bench) -> Iterator[None]:
	"""Starts the services that do not run. All services answer during the block."""
	pid_file = PidFile(bench.run / f"command-{os.getpid()}.json")
	pid_file.write(os.getpid())
	try:
		with in_use_lock(bench) as in_use:
			try:
				_enter(bench, in_use)
				yield
			finally:
				_leave(bench, in_use)
	finally:
		pid_file.remove()


def in_use_lock(bench: Bench) -> IO[str]:
	return (bench.run / "in-use.lock").open("a")


def _enter(bench: Bench, in_use: IO[str]) -> None:
	"""Starts the services that do not run. Services that a killed command has started are stopped together with these."""
	with exclusive(bench.run / "services.lock"):
		fcntl.flock(in_use, fcntl.LOCK_SH)
		for name in PORTS:
			if not pid_file(bench, name).pid():
				_start(bench, name)
		config.write(bench)
		_ensure_keeper(bench)


def _start(bench: Bench, name: str) -> None:
	port = ports.claim(bench, PORTS[name])
	with step(f"Starting {name} on 127.0.0.1:{port}"):
		_remember_started(bench, [*_started(bench), name])
		if name == "mariadb":
			mariadb.configure(bench, port)
		daemon(bench, name).start(outlives=True)


def _leave(bench: Bench, in_use: IO[str]) -> None:
	"""Stops the services that commands have started, unless another command still uses them."""
	fcntl.flock(in_use, fcntl.LOCK_UN)
	with _undisturbed(), if_unused(bench) as unused:
		if unused:
			stop_started(bench)


@contextmanager
def if_unused(bench: Bench) -> Iterator[bool]:
	"""Yields True if no command uses the services. During the block no command can begin to use them."""
	with exclusive(bench.run / "services.lock"), in_use_lock(bench) as in_use:
		yield try_lock(in_use, fcntl.LOCK_EX)


def stop_started(bench: Bench) -> None:
	if started := _started(bench):
		stop(bench, started)
	_remember_started(bench, [])


def stop(bench: Bench, names: list[str]) -> None:
	alive = [name for name in names if pid_file(bench, name).pid()]
	if not alive:
		return
	with step(f"Stopping {', '.join(alive)}"):
		for name in reversed(alive):
			pid_file(bench, name).stop(seconds=60)


def _ensure_keeper(bench: Bench) -> None:
	"""Starts devtools.keeper, unless it runs. The caller holds services.lock, so a keeper can't end at this moment."""
	if keeper_file(bench).pid():
		return
	with bench.log("keeper").open("ab") as log:
		process = subprocess.Popen(
			[sys.executable, "-m", "devtools.keeper", bench.root],
			env={**os.environ, "PYTHONPATH": str(PROJECT)},
			stdin=subprocess.DEVNULL,
			stdout=log,
			stderr=log,
			start_new_session=True,
		)
	keeper_file(bench).write(process.pid)


def keeper_file(bench: Bench) -> PidFile:
	return PidFile(bench.run / "keeper.json")


def daemon(bench: Bench, name: str) -> Daemon:
	return mariadb.daemon(bench) if name == "mariadb" else redis.daemon(bench, PORTS[name])


def pid_file(bench: Bench, name: str) -> PidFile:
	return PidFile(bench.run / f"{name}.json")


def _started(bench: Bench) -> list[str]:
	path = bench.run / "started-by-commands.json"
	return json.loads(path.read_text()) if path.is_file() else []


def _remember_started(bench: Bench, names: list[str]) -> None:
	(bench.run / "started-by-commands.json").write_text(json.dumps(names))


@contextmanager
def _undisturbed() -> Iterator[None]:
	"""Ignores SIGINT and SIGTERM during the block: a second Ctrl-C must not leave services running."""
	numbers = (signal.SIGINT, signal.SIGTERM)
	before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
	try:
		yield
	finally:
		for number, handler in zip(numbers, before, strict=True):
			signal.signal(number, handler)
