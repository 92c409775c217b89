"""The bench's three Redis servers. The cache may forget its keys; the queue and the schedules may not."""

import subprocess

from devtools import ports, shell
from devtools.daemons import Daemon, answers
from devtools.paths import Bench
from devtools.pids import PidFile
from devtools.report import Failure

LASTING = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
OPTIONS: dict[str, tuple[str, ...]] = {
	"cache": ("--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"),
	"queue": LASTING,
	"srs": LASTING,
}
# A Redis that hangs may cost a request half a second, and must not block the web process for good. Schedules can be read
# from MariaDB instead, so connecting to their Redis gets less time.
TIMEOUTS = {
	"cache": "socket_timeout=0.5&socket_connect_timeout=0.5",
	"queue": "socket_timeout=0.5&socket_connect_timeout=0.5",
	"srs": "socket_timeout=0.5&socket_connect_timeout=0.25",
}


def url(bench: Bench, name: str, database: int = 0) -> str:
	return f"redis://127.0.0.1:{ports.known(bench)[name]}/{database}?{TIMEOUTS[name]}"


def empty(bench: Bench, name: str, database: int) -> None:
	"""Deletes all keys in one database of a running server."""
	port = str(ports.known(bench)[name])
	args = [_program("redis-cli"), "-p", port, "-n", str(database), "FLUSHDB"]
	subprocess.run(args, check=True, capture_output=True)


def daemon(bench: Bench, name: str) -> Daemon:
	port = ports.known(bench)[name]
	return Daemon(
		name=f"redis-{name}",
		args=_args(bench, name, port),
		log=bench.log(f"redis-{name}"),
		pid_file=PidFile(bench.run / f"redis-{name}.json"),
		ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
	)


def _args(bench: Bench, name: str, port: int) -> list[str]:
	data = bench.redis_data(name)
	data.mkdir(parents=True, exist_ok=True)
	where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(data)]
	return [_program("redis-server"), *where, "--save", "", *OPTIONS[name]]


def _program(name: str) -> str:
	if found := shell.find(name):
		return found
	raise Failure(f"{name} is not installed: run ./dev setup")
