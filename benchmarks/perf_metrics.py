"""Section `metrics`: what it costs a read that its time is counted.

Two web servers on the same site answer the same read by turns. One server runs the app as it is. In the other server
Frappe never calls the two hooks that time requests. The ratio is the p50 with the hooks divided by the p50 without.
"""

import argparse
from contextlib import ExitStack

from benchmarks import perf_data
from benchmarks.perf_data import Learner
from benchmarks.perf_endpoints import READ, Client, check
from benchmarks.report import Section, number, percentile, table
from devtools import processes
from devtools.report import step

APP = "benchmarks.without_metrics:application"
WARM_UP, PAIRS = 100, 2500
LIMIT = 1.05


def measure(arguments: argparse.Namespace) -> Section:
	with perf_data.prepared() as (_, learners), ExitStack() as stack:
		counted = stack.enter_context(processes.web()).url
		floor = stack.enter_context(processes.web(app=APP)).url
		with step(f"Reading {PAIRS:,} times from each of two servers"):
			ms = _read(learners, counted, floor)
		with_metrics, without = ms[counted][WARM_UP:], ms[floor][WARM_UP:]
	figures = {
		"metrics_overhead_ratio": percentile(with_metrics, 0.5) / percentile(without, 0.5),
		"metrics_p50_ms": percentile(with_metrics, 0.5),
		"metrics_floor_p50_ms": percentile(without, 0.5),
	}
	rows = [
		["metrics", "reads", "p50 ms", "p99 ms", "p50 ratio", "at most"],
		_row("counted", with_metrics, number(figures["metrics_overhead_ratio"], 3), number(LIMIT, 2)),
		_row("not counted", without),
	]
	return Section({name: round(value, 4) for name, value in figures.items()}, table(rows))


def _read(learners: list[Learner], *urls: str) -> dict[str, list[float]]:
	"""Returns the milliseconds of each read, by server. The two servers take turns at being asked first."""
	clients = {url: Client(learners, url) for url in urls}
	ms: dict[str, list[float]] = {url: [] for url in urls}
	for number_of_pair in range(WARM_UP + PAIRS):
		for url in urls if number_of_pair % 2 else reversed(urls):
			((learner, (took, status, content)),) = clients[url].run(READ, 1)
			check(READ, learner, status, content)
			ms[url].append(took)
	return ms


def _row(name: str, ms: list[float], *rest: str) -> list[str]:
	cells = [name, number(len(ms)), number(percentile(ms, 0.5), 2), number(percentile(ms, 0.99), 2), *rest]
	return [*cells, *[""] * (6 - len(cells))]
