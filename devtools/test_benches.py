"""Benches for tests that run side by side: each process of pytest has its own servers and sites.

The first process uses the bench itself. Each other process uses a bench inside that bench: it shares the programs, and
has its own MariaDB and three Redis. Tests need their own servers, because they change settings of a whole server and
read its counters.
"""

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devtools import config, mariadb, redis, services, sites
from devtools.locks import exclusive
from devtools.paths import TEST_SITE, Bench
from devtools.report import step

SHARED = ("env", "apps", "api-client", "node", "node-of-pypi", "rq-dashboard", "sites/assets")

QUICK = "not (browser or faults or servers or slow)"
# More processes would gain nothing: beside each run web servers, workers, a MariaDB and Redis
PROCESSES = min(2, len(os.sched_getaffinity(0)))
# With other options, or with names of tests, only a few tests run: one process starts sooner
FOR_WHOLE_RUNS = re.compile(r"--durations|--maxfail|--tb|--junitxml|-[qvxrW]")


def plan(args: list[str]) -> tuple[int, list[str]]:
	"""Returns in how many processes the tests run, and pytest's arguments. Without `-n`, a whole run takes PROCESSES."""
	parser = argparse.ArgumentParser(prog="./dev test", add_help=False, allow_abbrev=False)
	parser.add_argument("-n", type=int, dest="processes")
	parser.add_argument("--quick", action="store_true")
	options, for_pytest = parser.parse_known_args(args)
	if options.processes is None:
		options.processes = PROCESSES if all(map(FOR_WHOLE_RUNS.match, for_pytest)) else 1
	if options.quick:
		for_pytest += ["-m", QUICK]
	if options.processes > 1:
		for_pytest += ["-n", str(options.processes), "--dist", "loadfile", "--no-loadscope-reorder"]
	return max(1, options.processes), for_pytest


def of(bench: Bench, number: int | str) -> Bench:
	return Bench(bench.root / f"test-{number}") if number else bench


def all_of(bench: Bench) -> list[Bench]:
	"""Returns the benches that have been made inside a bench."""
	return [Bench(path) for path in sorted(bench.root.glob("test-*"))]


@contextmanager
def running(bench: Bench, processes: int) -> Iterator[None]:
	"""Runs one bench for each process during the block. The first one is the bench itself."""
	with ExitStack() as stack:
		stack.enter_context(services.running(bench))
		for number in range(1, processes):
			stack.enter_context(one(bench, number))
		yield


@contextmanager
def one(bench: Bench, number: int | str) -> Iterator[None]:
	"""Runs a bench inside a bench, which is running, during the block. Another run waits."""
	own = of(bench, number)
	own.make_directories()
	with exclusive(own.run / "tests.lock", "another run of the tests"):
		_share(own, bench)
		mariadb.ensure_data(own)
		with services.running(own):
			if not sites.ready(own):
				with step(f"Copying the sites for {own.root.name}"):
					sites.copy_all(bench, own)
			yield


def _share(own: Bench, bench: Bench) -> None:
	(bench.root / "rq-dashboard").mkdir(exist_ok=True)  # a test installs it for both
	for name in SHARED:
		link, target = own.root / name, bench.root / name
		if link.is_symlink() or not target.exists():
			continue
		if link.is_dir():
			link.rmdir()  # make_directories has made an empty folder
		link.symlink_to(Path(os.path.relpath(target, link.parent)))


def environment(bench: Bench, number: int | str = 0) -> dict[str, str]:
	"""Returns the variables that tell a process of pytest, and all that it starts, where its site is."""
	own = of(bench, number)
	return {
		"MEMORA_BENCH": str(own.root),
		"MEMORA_SITES_PATH": str(own.sites),
		"MEMORA_SITE": TEST_SITE,
		# a database of its own: a running worker must not take the tests' jobs
		"FRAPPE_REDIS_QUEUE": redis.url(own, "queue", config.QUEUE_TEST_DATABASE),
	}
