"""Section `workers`: the CPU that a fold costs in a worker, in a pool of workers, and in a pool that does not fork.

Each kind of worker does the same jobs, one after the other, and takes its turn in each round: jobs that do nothing, and
folds of one submission each. The former are the floor: what Frappe and RQ cost. Counted is the CPU time of all the
worker's processes, as the kernel keeps it. A worker that does not fork then goes on, to see what memory it gathers.
"""

import argparse
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from statistics import median
from unittest.mock import patch

import frappe
from frappe.utils import background_jobs
from rq import Worker
from rq.job import Job

from benchmarks import accounts, perf_drain, season_data
from benchmarks.report import Section, number, table
from devtools import processes, redis
from devtools.paths import current_bench
from devtools.processes import Handle
from devtools.report import Failure, step
from memora.services.folding import queueing

JOBS, WARM_UP, ROUNDS = 100, 10, 3
GROWTH_JOBS = (
	1000  # over which the memory of a worker that does not fork is watched; Frappe ends it after 5,000
)
DATABASE = 9  # of the queue's Redis: the workers of ./dev must not take these jobs
JOB_SECONDS = 20  # after these, nobody does the job
SECONDS_BETWEEN_LOOKS = 0.002

_serial = count()

Run = Callable[[dict[str, str]], AbstractContextManager[Handle]]
KINDS: dict[str, Run] = {
	"worker": lambda env: processes.worker(env=env),
	"pool": lambda env: processes.worker_pool(env=env),
}
FORKS_NOT = "pool_no_fork"  # Frappe 15 has none
if hasattr(background_jobs, "FrappeWorkerNoFork"):
	KINDS[FORKS_NOT] = lambda env: processes.worker_pool(env={**env, "FRAPPE_BACKGROUND_WORKERS_NOFORK": "1"})


def measure(arguments: argparse.Namespace) -> Section:
	with season_data.season(perf_drain.SEASON), _no_scheduler(), own_queue() as env:
		figures = _costs(env)
		growth = _growth(env) if FORKS_NOT in KINDS else {}
	return Section({**figures, **growth}, "\n\n".join([_text(figures), *_growth_text(growth)]))


def _costs(env: dict[str, str]) -> dict[str, float]:
	"""Returns the CPU milliseconds of a job for each kind of worker: the medians of the rounds."""
	found: dict[str, list[float]] = {}
	for round_ in range(ROUNDS):
		for kind, run in KINDS.items():
			with step(f"Jobs of a {_spoken(kind)}, round {round_ + 1} of {ROUNDS}"), run(env) as worker:
				for job, enqueue in (("noop", _noop), ("fold", _fold)):
					found.setdefault(f"{kind}_{job}_cpu_ms", []).append(_cpu_ms(worker.pid, enqueue))
	return {name: round(median(values), 2) for name, values in found.items()}


def _growth(env: dict[str, str]) -> dict[str, float]:
	"""Returns the memory of a worker that does not fork after its first folds, and how it grows from there."""
	with step(f"{GROWTH_JOBS:,} folds without a fork"), KINDS[FORKS_NOT](env):
		_do(JOBS, _fold)
		pid = _pid_of_worker()
		mb = [accounts.memory_mb(pid)]
		for _ in range(2):
			_do(GROWTH_JOBS // 2, _fold)
			mb.append(accounts.memory_mb(pid))
	names = (f"{FORKS_NOT}_mb", f"{FORKS_NOT}_growth_mb_first_half", f"{FORKS_NOT}_growth_mb_second_half")
	return dict(zip(names, (round(value, 1) for value in (mb[0], mb[1] - mb[0], mb[2] - mb[1])), strict=True))


def _pid_of_worker() -> int:
	"""Returns the process id of the only worker, which RQ knows. A pool starts it by way of other processes."""
	(worker,) = Worker.all(connection=background_jobs.get_redis_conn())
	return int(worker.pid or 0)


# Tables


def _text(figures: dict[str, float]) -> str:
	rows = [["workers: CPU ms a job", "no-op", "fold", "fold - no-op", "of a worker's fold"]]
	for kind in KINDS:
		floor, fold = figures[f"{kind}_noop_cpu_ms"], figures[f"{kind}_fold_cpu_ms"]
		cells = [number(ms, 2) for ms in (floor, fold, fold - floor)]
		rows.append([_spoken(kind), *cells, number(fold / figures["worker_fold_cpu_ms"], 2)])
	return table(rows)


def _growth_text(growth: dict[str, float]) -> list[str]:
	if not growth:
		return []
	half = number(GROWTH_JOBS // 2)
	head = ["memory without forks", f"MB after {JOBS}", f"after {half} more", f"after {half} more"]
	return [table([head, ["worker", *(number(mb, 1) for mb in growth.values())]])]


def _spoken(kind: str) -> str:
	return kind.replace("_", " ")


# Jobs


def _cpu_ms(pid: int, enqueue: Callable[[], Job]) -> float:
	"""Returns the CPU time of a job in the processes of a worker, averaged over JOBS."""
	_do(WARM_UP, enqueue)
	before = accounts.cpu_seconds(pid)
	_do(JOBS, enqueue)
	return (accounts.cpu_seconds(pid) - before) * 1000 / JOBS


def _do(jobs: int, enqueue: Callable[[], Job]) -> None:
	"""Has a worker do so many jobs, one after the other."""
	for _ in range(jobs):
		_wait(enqueue())


def _noop() -> Job:
	return frappe.enqueue("frappe.ping", queue=queueing.QUEUE)


def _fold() -> Job:
	learner = season_data.learner(0)
	key = perf_drain.write_submission(learner, next(_serial))
	queueing.enqueue_job(key, learner, perf_drain.SEASON)
	return background_jobs.get_job(key)


def _wait(job: Job) -> None:
	deadline = time.monotonic() + JOB_SECONDS
	while not job.is_finished:
		if job.is_failed or time.monotonic() > deadline:
			raise Failure(f"The job {job.id} is {job.get_status()}, not finished")
		time.sleep(SECONDS_BETWEEN_LOOKS)


# Surroundings


@contextmanager
def own_queue() -> Iterator[dict[str, str]]:
	"""Has this process queue jobs where no other worker looks. Yields the environment of the workers that do them."""
	url = redis.url(current_bench(), "queue", DATABASE)
	env = {"FRAPPE_REDIS_QUEUE": url}
	redis.empty(current_bench(), "queue", DATABASE)
	# Frappe 16 looks at the environment each time, Frappe 15 once
	with patch.dict(os.environ, env), patch.dict(frappe.local.conf, redis_queue=url):
		background_jobs._redis_queue_conn = None
		try:
			yield env
		finally:
			background_jobs._redis_queue_conn = None
			redis.empty(current_bench(), "queue", DATABASE)


@contextmanager
def _no_scheduler() -> Iterator[None]:
	"""Holds the lock that lets one scheduler of a host run: each pool would start one, which takes CPU time."""
	with (current_bench().root / "config" / "scheduler_process").open("a") as file:
		with suppress(BlockingIOError):  # ./dev start has one
			fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
		yield
