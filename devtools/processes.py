"""Runs web server, workers, scheduler and rq-dashboard as real processes, for `./dev start` and for tests.

Each context manager waits until its process is ready. When the block ends, even by an error, the process is stopped by pid.
"""

import itertools
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devtools import environment, ports, redis, shell, sites
from devtools.daemons import Daemon, answers
from devtools.paths import MAIN_SITE, PROJECT, Bench, current_bench
from devtools.pids import PidFile
from devtools.report import tail

WEB_WORKERS, WEB_THREADS = 2, 4
WEB_REQUEST_SECONDS = 120
SECONDS_TO_STOP = 10

_serial = itertools.count(1)


@dataclass(frozen=True)
class Handle:
	"""A running process. `url` is set if the process speaks HTTP."""

	name: str
	process: "subprocess.Popen[bytes]"
	log: Path
	url: str = ""

	@property
	def pid(self) -> int:
		return self.process.pid

	def alive(self) -> bool:
		return self.process.poll() is None

	def log_tail(self) -> str:
		return tail(self.log)


@contextmanager
def web(
	site: str | None = None,
	port: int = 0,
	env: Mapping[str, str] | None = None,
	log: Path | None = None,
	name: str = "",
	app: str = "devtools.wsgi:application",
	options: Sequence[str] = (),
) -> Iterator[Handle]:
	"""Runs gunicorn for one site. Without `site` this is MEMORA_SITE, or else the main site. Port 0 takes a free port.

	`options` of gunicorn go beside its usual ones, and before them.
	"""
	bench = current_bench()
	site = site or os.environ.get("MEMORA_SITE", MAIN_SITE)
	port = port or ports.any_free()
	url = f"http://127.0.0.1:{port}"
	env = {"MEMORA_SITE": site, "PYTHONPATH": str(PROJECT), **(env or {})}
	with _running(
		bench, name, "web", _gunicorn(bench, port, app, options), env, log, lambda _: _pings(url), url
	) as handle:
		yield handle


@contextmanager
def worker(
	queues: Sequence[str] = ("srs_write",),
	env: Mapping[str, str] | None = None,
	log: Path | None = None,
	name: str = "",
) -> Iterator[Handle]:
	"""Runs one RQ worker on these queues. The queues are in the Redis that FRAPPE_REDIS_QUEUE names, or else in the bench's."""
	args = ["worker", "--queue", ",".join(queues)]
	with _working("worker", args, env, log, name) as handle:
		yield handle


@contextmanager
def worker_pool(
	queues: Sequence[str] = ("srs_write",),
	workers: int = 1,
	env: Mapping[str, str] | None = None,
	log: Path | None = None,
	name: str = "",
) -> Iterator[Handle]:
	"""Runs a process that keeps so many RQ workers running. Environment and queues are as in `worker`."""
	args = ["worker-pool", "--queue", ",".join(queues), "--num-workers", str(workers)]
	with _working("worker-pool", args, env, log, name) as handle:
		yield handle


@contextmanager
def _working(
	kind: str, args: list[str], env: Mapping[str, str] | None, log: Path | None, name: str
) -> Iterator[Handle]:
	bench = current_bench()
	env = {**(env or {})}
	env["FRAPPE_REDIS_QUEUE"] = env.get("FRAPPE_REDIS_QUEUE") or queue_url(bench)
	command = sites.bench_command(bench, *args)
	with _running(bench, name, kind, command, env, log, _listens) as handle:
		yield handle


@contextmanager
def scheduler(
	env: Mapping[str, str] | None = None, log: Path | None = None, name: str = ""
) -> Iterator[Handle]:
	bench = current_bench()
	args = sites.bench_command(bench, "schedule")
	with _running(bench, name, "scheduler", args, env or {}, log, lambda _: True) as handle:
		yield handle


@contextmanager
def rq_dashboard(
	port: int = 0, env: Mapping[str, str] | None = None, log: Path | None = None, name: str = ""
) -> Iterator[Handle]:
	"""Runs rq-dashboard on the Redis of the queues. Port 0 takes a free port."""
	bench = current_bench()
	program = environment.ensure_rq_dashboard(bench)
	port = port or ports.any_free()
	url = f"http://127.0.0.1:{port}"
	env = {"RQ_DASHBOARD_REDIS_URL": queue_url(bench), **(env or {})}
	args: shell.Arguments = [program, "--bind", "127.0.0.1", "--port", str(port)]

	def listens(_log: Path) -> bool:
		return answers(port, b"", b"")

	with _running(bench, name, "rq-dashboard", args, env, log, listens, url) as handle:
		yield handle


def queue_url(bench: Bench) -> str:
	return os.environ.get("FRAPPE_REDIS_QUEUE") or redis.url(bench, "queue")


@contextmanager
def _running(
	bench: Bench,
	name: str,
	kind: str,
	args: Sequence[str | Path],
	env: Mapping[str, str],
	log: Path | None,
	ready: Callable[[Path], bool],
	url: str = "",
) -> Iterator[Handle]:
	name = name or f"{kind}-{os.getpid()}-{next(_serial)}"
	log = log or bench.log(name)
	daemon = Daemon(
		name=name,
		args=args,
		log=log,
		pid_file=PidFile(bench.run / f"{name}.json"),
		ready=lambda: ready(log),
		cwd=bench.sites,
		env=env,
		seconds_to_stop=SECONDS_TO_STOP,
	)
	process = daemon.start()
	try:
		yield Handle(name, process, log, url)
	finally:
		daemon.stop(process)


def _gunicorn(bench: Bench, port: int, app: str, options: Sequence[str]) -> list[str | Path]:
	return [
		bench.env / "bin" / "gunicorn",
		f"--bind=127.0.0.1:{port}",
		f"--workers={WEB_WORKERS}",
		f"--threads={WEB_THREADS}",
		"--worker-class=gthread",
		f"--timeout={WEB_REQUEST_SECONDS}",
		"--graceful-timeout=5",
		"--preload",
		*options,
		app,
	]


def _pings(url: str) -> bool:
	direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
	try:
		with direct.open(f"{url}/api/method/ping", timeout=10) as response:
			return response.status == 200
	except (OSError, urllib.error.URLError):
		return False


def _listens(log: Path) -> bool:
	return "Listening on" in log.read_text(errors="replace")
