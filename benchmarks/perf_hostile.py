"""Section `hostile`: what the others' reads take while one account sends 32 submissions at a time, without a pause.

Measured before and meanwhile, at the web server itself and through nginx with memora/data/production/nginx.conf. The hostile
clients run at the lowest priority: in a school they are other machines, which take no CPU from the server.
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks import perf_data, site
from benchmarks.perf_data import Learner
from benchmarks.perf_endpoints import READ, SUBMIT, Client, check
from benchmarks.report import Section, number, percentile, table
from devtools import nginx
from devtools.report import Failure, step

HOSTILE_CLIENTS, READERS = 32, 7
SECONDS = 20  # of a measurement
MOST_PAUSE_SECONDS = (
	0.6  # of a reader between two reads; drawn at random, or all readers would read at the same moments
)
ROUNDS = 3
WARM_UP_READS = 10
LOWEST_PRIORITY = 19
LIMIT = 1.5  # the largest ratio of the p99 allowed

_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Measured:
	"""Milliseconds of the others' reads, before and meanwhile, and how many hostile requests got which status."""

	before: list[float]
	meanwhile: list[float]
	statuses: Counter[int]

	def ratio(self, share: float) -> float:
		return percentile(self.meanwhile, share) / percentile(self.before, share)

	@property
	def others(self) -> int:
		return self.statuses.total() - self.statuses[200] - self.statuses[429]


def measure(arguments: argparse.Namespace) -> Section:
	with perf_data.prepared() as (_season, learners), tempfile.TemporaryDirectory() as directory:
		readers, hostile = learners[:READERS], learners[READERS]
		with nginx.before(site.url(), Path(directory)) as proxy:
			ways = {"direct": site.url(), "nginx": proxy}
			results = {way: _measure(way, url, readers, hostile) for way, url in ways.items()}
	return Section(_figures(results), _text(results))


def _measure(way: str, url: str, readers: list[Learner], hostile: Learner) -> Measured:
	before: list[float] = []
	meanwhile: list[float] = []
	statuses: Counter[int] = Counter()
	with step(f"Reading before and during the attack, {way}"):
		read_for(0.0, url, readers)
		for _round in range(ROUNDS):
			before += read_for(SECONDS, url, readers)
			with _attack(url, hostile) as counted:
				meanwhile += read_for(SECONDS, url, readers)
			statuses += counted
	return Measured(before, meanwhile, statuses)


def read_for(seconds: float, url: str, readers: list[Learner]) -> list[float]:
	"""Lets each reader read for so many seconds, at least WARM_UP_READS times. Returns the milliseconds of all reads."""
	end = time.monotonic() + seconds

	def read(learner: Learner) -> list[float]:
		client = Client([learner], url)
		ms: list[float] = []
		while time.monotonic() < end or len(ms) < WARM_UP_READS:
			taken, status, content = client.request(learner, READ)
			check(READ, learner, status, content)
			ms.append(taken)
			time.sleep(random.uniform(0, MOST_PAUSE_SECONDS))
		return ms

	with ThreadPoolExecutor(len(readers)) as pool:
		return list(chain.from_iterable(pool.map(read, readers)))


@contextmanager
def _attack(url: str, hostile: Learner) -> Iterator[Counter[int]]:
	"""Sends hostile requests during the block. Yields a counter of statuses, which is filled when the block is over."""
	begun, over = _processes.Event(), _processes.Event()
	receiver, sender = _processes.Pipe(duplex=False)
	process = _processes.Process(target=_send_all, args=(url, hostile, begun, over, sender), daemon=True)
	process.start()
	counted: Counter[int] = Counter()
	try:
		if not begun.wait(60):
			raise Failure("The hostile clients have not begun to send")
		yield counted
		over.set()
		counted.update(receiver.recv())
	finally:
		process.kill()
		process.join()


def _send_all(url: str, hostile: Learner, begun: Event, over: Event, sender: Connection) -> None:
	_step_back()
	counted: Counter[int] = Counter()

	def send(number_of_client: int) -> None:
		learner = replace(hostile, cursor=number_of_client, answered=[])
		client = Client([learner], url)
		while not over.is_set():
			try:
				status = client.request(learner, SUBMIT)[1]
			except (OSError, HTTPException):
				status, client = 0, Client([learner], url)
			counted[status] += 1
			begun.set()

	threads = [threading.Thread(target=send, args=(n,)) for n in range(HOSTILE_CLIENTS)]
	for thread in threads:
		thread.start()
	for thread in threads:
		thread.join()
	sender.send(counted)


def _step_back() -> None:
	"""Gives this process the CPU that nobody else wants. Where the kernel shares the CPU among sessions first, its session gets it."""
	os.setsid()
	os.nice(LOWEST_PRIORITY)
	os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
	with suppress(OSError):
		Path("/proc/self/autogroup").write_text(str(LOWEST_PRIORITY))


def _figures(results: dict[str, Measured]) -> dict[str, float]:
	figures: dict[str, float] = {}
	for way, measured in results.items():
		named = {
			"others_p50_ratio": measured.ratio(0.5),
			"others_p99_ratio": measured.ratio(0.99),
			"others_p99_ms_before": percentile(measured.before, 0.99),
			"others_p99_ms_meanwhile": percentile(measured.meanwhile, 0.99),
			"hostile_served": measured.statuses[200],
			"hostile_refused": measured.statuses[429],
			"hostile_other_statuses": measured.others,
		}
		figures |= {f"{name}_{way}": round(value, 3) for name, value in named.items()}
	return figures


def _text(results: dict[str, Measured]) -> str:
	head = ["hostile", "p50", "p99", "at most", "", "p99 ms before", "meanwhile", "served", "refused"]
	return table([head, *(_row(way, measured) for way, measured in results.items())])


def _row(way: str, measured: Measured) -> list[str]:
	ratio = measured.ratio(0.99)
	milliseconds = [number(percentile(ms, 0.99)) for ms in (measured.before, measured.meanwhile)]
	counts = [number(measured.statuses[status]) for status in (200, 429)]
	is_over = "OVER" if ratio > LIMIT else ""
	return [
		way,
		number(measured.ratio(0.5), 2),
		number(ratio, 2),
		number(LIMIT, 1),
		is_over,
		*milliseconds,
		*counts,
	]
