"""What to run after the files of production are written, and the queue's Redis that runs meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import redis
from redis.exceptions import RedisError

from memora.services.cache.addresses import shown
from memora.services.operations.production import Plan

SUPERVISOR_FOLDERS = (
	"/etc/supervisor/conf.d",
	"/etc/supervisor.d",
	"/etc/supervisord/conf.d",
	"/etc/supervisord.d",
)
SECONDS_TO_WRITE = 60  # the first file with all jobs
DUMP = "config/pids/redis_queue.rdb"
LASTING = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
LOST_JOBS = (
	"The queue's Redis at {url} could not be told to write its jobs as the next one reads them ({why}). Jobs that wait in the queue "
	"would be lost with its next start. Before it, see to it that this succeeds there: CONFIG SET appendonly yes"
)


def keep_jobs(plan: Plan) -> str | None:
	"""Has the queue's Redis that runs write its jobs as the next one will read them. Returns what speaks against it, if anything does.

	A Redis that starts with appendonly reads nothing else, so without this the first start would lose all jobs.
	"""
	if not plan.queue:
		return None
	client = redis.Redis.from_url(plan.queue, decode_responses=True, socket_timeout=5)
	try:
		for name, value in LASTING.items():
			if client.config_get(name).get(name) != value:
				client.config_set(name, value)
		_wait_until_written(client)
	except (RedisError, OSError) as error:
		if isinstance(error, redis.ConnectionError) and not (plan.bench.folder / DUMP).exists():
			return None  # it has never run
		return LOST_JOBS.format(url=shown(plan.queue), why=str(error) or type(error).__name__)
	return None


def _wait_until_written(client: "redis.Redis") -> None:
	"""Until its first file is written, a Redis with appendonly does not end; supervisor would kill it, and the jobs with it."""
	end = time.monotonic() + SECONDS_TO_WRITE
	while _is_writing(client.info("persistence")):
		if time.monotonic() > end:
			raise TimeoutError(f"its file is not written after {SECONDS_TO_WRITE} s")
		time.sleep(0.1)


def _is_writing(told: Any) -> bool:
	return bool(told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])


class Step(NamedTuple):
	"""A command, and who runs it where."""

	who: str
	run: str


def steps(plan: Plan) -> list[Step]:
	"""Returns what puts the files in force, in order. Each step can be taken again."""
	bench = plan.bench
	bench_command = f"cd {bench.folder} && {bench.command}"
	parts = [
		(f"As {bench.user}", _bench(plan, bench_command)),
		("As root", _systemd(plan) if plan.systemd else _supervisor(plan)),
		("As root, where nginx runs", _nginx(plan)),
		(
			"Where Prometheus runs",
			[f"add {bench.ours}/prometheus.{plan.site}.yml to its configuration: docs/monitoring.md"],
		),
		(f"As {bench.user}", [f"{bench_command} --site {plan.site} memora doctor"]),
	]
	return [Step(who, line) for who, lines in parts for line in lines]


def _bench(plan: Plan, bench_command: str) -> Iterator[str]:
	"""Yields what has bench's configuration of supervisor get the worker of srs_write, if it has none.

	--skip-supervisord: bench 5.31 ends with an error where only root may speak to supervisor, as on Debian.
	"""
	if not plan.systemd and not plan.bench.has_worker:
		skip = "" if plan.bench.runs_queue else " --skip-redis"
		yield f"{bench_command} setup supervisor --yes --skip-supervisord{skip}"


def _supervisor(plan: Plan) -> Iterator[str]:
	bench = plan.bench
	folder = next((name for name in SUPERVISOR_FOLDERS if Path(name).is_dir()), SUPERVISOR_FOLDERS[0])
	ending = "ini" if folder == SUPERVISOR_FOLDERS[-1] else "conf"
	yield f"ln -sfn {bench.supervisor} {folder}/{bench.name}.{ending}"
	if (ours := bench.ours / "supervisor.conf") in _paths(plan):
		# after bench's own file in the order of the alphabet: of two lines for one program the later holds
		yield f"ln -sfn {ours} {folder}/{bench.name}.memora.{ending}"
	yield "supervisorctl reread && supervisorctl update"
	if _has_new_settings(plan, "redis_srs.conf"):
		yield f"supervisorctl restart {bench.name}-redis-srs"
	if _has_new_settings(plan, "redis_queue.conf"):
		yield f"supervisorctl restart {bench.name}-redis:{bench.name}-redis-queue"
	yield f"supervisorctl restart {bench.name}-web: {bench.name}-workers:"


def _systemd(plan: Plan) -> Iterator[str]:
	bench = plan.bench
	units = [path for path in _paths(plan) if path.parent == bench.ours / "systemd"]
	for path in units:
		yield f"ln -sfn {path} /etc/systemd/system/{path.name}"
	queue = f"{bench.name}-redis-queue.service"
	if plan.queue:
		yield f"mkdir -p /etc/systemd/system/{queue}.d"
		yield f"ln -sfn {bench.ours}/systemd/{queue}.d/memora.conf /etc/systemd/system/{queue}.d/memora.conf"
	yield "systemctl daemon-reload"
	yield f"systemctl enable --now {' '.join(path.name.replace('@', '@1') for path in units)}"
	if _has_new_settings(plan, "redis_srs.conf"):
		yield f"systemctl restart {bench.name}-redis-srs.service"
	if plan.queue:
		yield f"systemctl restart {queue}"
	yield f"systemctl restart {bench.name}-web.target {bench.name}-workers.target"


def _has_new_settings(plan: Plan, name: str) -> bool:
	"""Says whether a Redis runs with settings that have changed: neither supervisor nor systemd sees that."""
	return any(file.path == plan.bench.ours / name and file.before for file in plan.changed)


def _paths(plan: Plan) -> list[Path]:
	return [file.path for file in plan.files]


def _nginx(plan: Plan) -> Iterator[str]:
	yield f"ln -sfn {plan.bench.ours}/nginx.conf /etc/nginx/conf.d/memora_limits.conf"
	yield "nginx -t && systemctl reload nginx"
