"""Section `safe-mode`: thousands of learners in an open loop, while the Redis for schedules is down.

Each load lasts a minute, and begins without an admission on record. MariaDB's own statistics tell how many reads
reached the tracker. They count the rows that were fetched by position, and only a read fetches rows of the tracker by
position. Submissions and folds use the primary key of the tracker. MariaDB counts their rows, too, so they are subtracted.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from urllib.parse import urlsplit

import frappe

from benchmarks import crowd_data, open_loop, site
from benchmarks.open_loop import Answer
from benchmarks.perf_data import Learner
from benchmarks.perf_endpoints import ANSWERS, NOOP, READ, REQUESTS, SUBMIT, Client
from benchmarks.report import Section, number, percentile, table
from devtools import mariadb, ports, services
from devtools.locks import exclusive
from devtools.paths import current_bench
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.learning.reviews import SAFE_MODE_LIMIT
from memora.services.settings import get_settings
from memora.services.store import database, journal

RATES = 50, 200  # requests/s
SECONDS = 60
SUBMIT_EVERY = 20  # one request in so many is a submission
SEED = 20261122
SINGLE_READS = 20  # which tell how many rows of the tracker a read fetches
ALONE_REQUESTS = 200  # for each kind, with one client
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_BEGIN = 0.5
HEAL_SECONDS, HEALED_READS = 60, 20  # so many reads in a row that every server process has answered some

ADMITTED, REJECTED = 200, 429
ADMITTED_MS, REJECTED_MS = 200, 60  # the largest p99 allowed at the first rate

FETCHED_SQL = """
	SELECT COALESCE((SELECT SUM(ROWS_READ) FROM information_schema.TABLE_STATISTICS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabPlayer Memory Tracker'), 0)
	- COALESCE((SELECT SUM(ROWS_READ) FROM information_schema.INDEX_STATISTICS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'tabPlayer Memory Tracker'), 0)"""


@dataclass
class Load:
	"""One minute of load: the kind, the learner and the answer of each request, and the reads that MariaDB counted."""

	rate: int
	kinds: Sequence[str]
	learners: Sequence[Learner]
	answers: Sequence[Answer] = ()
	tracker_reads: float = 0.0
	submits_lost: int = 0

	def of(self, kind: str, status: int) -> list[Answer]:
		return [a for a, k in zip(self.answers, self.kinds, strict=True) if (k, a.status) == (kind, status)]

	@property
	def admitted(self) -> int:
		"""Returns how many reads were admitted within the minute. A later answer may be admitted in the next minute."""
		return sum(answer.at_seconds <= SECONDS for answer in self.of(READ, ADMITTED))

	@property
	def others(self) -> int:
		return sum(answer.status not in (ADMITTED, REJECTED) for answer in self.answers)

	def p99(self, status: int) -> float:
		return percentile([answer.ms for answer in self.of(READ, status)], 0.99)


def measure(arguments: argparse.Namespace) -> Section:
	with crowd_data.prepared(SINGLE_READS + SECONDS * sum(RATES)) as (season, model, crowd):
		with _redis_stopped(model), _statistics():
			with step(f"Reading {SINGLE_READS} times, then no-ops and rejections with one client"):
				rows = _rows_of_a_read(crowd[:SINGLE_READS])
				ratio = _ratio(crowd[SINGLE_READS - 1])
			loads, first = [], SINGLE_READS
			for rate in RATES:
				load = _make_load(rate, crowd[first : first + rate * SECONDS])
				with step(f"Sending {rate} requests a second for {SECONDS} s"):
					_run(load, season, rows)
				loads.append(load)
				first += rate * SECONDS
	return Section(_figures(loads, ratio), _text(loads, ratio))


# The outage


@contextmanager
def _redis_stopped(learner: Learner) -> Iterator[None]:
	"""Stops the bench's Redis for schedules for the block. Nobody can start this Redis, or another server at its port.

	After the block, the incidents and notifications of the outage are deleted. If the block is interrupted, they stay.
	"""
	bench, name, begin = current_bench(), "redis-srs", site_time.naive_now()
	with exclusive(bench.run / "services.lock", f"a command that starts {name}"):
		with step(f"Stopping {name}"):
			services.pid_file(bench, name).stop(seconds=60)
		try:
			with ports.held(ports.known(bench)[services.PORTS[name]]):
				yield
		finally:
			with step(f"Starting {name}"):
				services.daemon(bench, name).start(outlives=True)
	with step("Waiting until no read is degraded any more"):
		_wait_until_healed(learner)
	_remove_incidents(begin)


def _wait_until_healed(learner: Learner) -> None:
	"""Returns when no process of the web server is in Safe Mode. Raises Failure after HEAL_SECONDS."""
	deadline, healed = time.monotonic() + HEAL_SECONDS, 0
	while healed < HEALED_READS:
		healed = healed + 1 if _is_healed(learner) else 0
		if time.monotonic() > deadline:
			raise Failure(f"Reads are still degraded {HEAL_SECONDS} s after Redis was started")


def _is_healed(learner: Learner) -> bool:
	try:
		_ms, status, content = Client([learner]).request(learner, READ)
	except OSError:  # the web server is still busy with the load
		return False
	return status == ADMITTED and not json.loads(content)["message"]["is_degraded"]


def _remove_incidents(since: datetime) -> None:
	names = frappe.get_all("Safe Mode Incident", {"started_at": (">=", since)}, pluck="name")
	frappe.db.delete("Notification Log", {"document_name": ("in", names)})
	frappe.db.delete("Error Log", {"reference_name": ("in", names)})
	frappe.db.delete("Safe Mode Incident", {"name": ("in", names)})
	_forget_admissions()


def _forget_admissions() -> None:
	frappe.db.delete("Safe Mode Admission")
	frappe.db.commit()


# The server's statistics


@contextmanager
def _statistics() -> Iterator[None]:
	"""Has MariaDB count the rows read from each table and index during the block."""
	mariadb.execute(current_bench(), "SET GLOBAL userstat = ON")
	try:
		yield
	finally:
		mariadb.execute(current_bench(), "SET GLOBAL userstat = OFF")


def _fetched() -> int:
	return int(database.query(FETCHED_SQL)[0][0])


def _rows_of_a_read(learners: Sequence[Learner]) -> int:
	"""Returns how many rows of the tracker one read fetches. Raises Failure unless each read fetches as many."""
	counts = set()
	for learner in learners:
		before = _fetched()
		_check(READ, learner, *Client([learner]).request(learner, READ)[1:])
		counts.add(_fetched() - before)
	if len(counts) > 1 or 0 in counts:
		raise Failure(f"MariaDB counts different rows for each read, or none: {sorted(counts)}")
	return counts.pop()


async def _fetched_until(end: float) -> int:
	"""Returns the rows that MariaDB had counted at the last look before `end`, a time of the monotonic clock."""
	fetched = now = await asyncio.to_thread(_fetched)
	while time.monotonic() < end:
		fetched = now
		await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
		now = await asyncio.to_thread(_fetched)
	return fetched


# The loads


def _ratio(learner: Learner) -> float:
	"""Returns the p50 of a rejection divided by that of a no-op, which take turns. The learner was admitted just before."""
	client = Client([learner])
	ms: dict[str, list[float]] = {NOOP: [], READ: []}
	for _turn in range(ALONE_REQUESTS):
		for kind, milliseconds in ms.items():
			taken, status, content = client.request(learner, kind)
			if status != (ADMITTED if kind == NOOP else REJECTED):
				raise Failure(f"{kind} of {learner.user} was answered {status}: {content[:300].decode()}")
			milliseconds.append(taken)
	return percentile(ms[READ], 0.5) / percentile(ms[NOOP], 0.5)


def _make_load(rate: int, learners: Sequence[Learner]) -> Load:
	return Load(rate, [READ if n % SUBMIT_EVERY else SUBMIT for n in range(len(learners))], learners)


def _run(load: Load, season: str, rows: int) -> None:
	requests = _requests(load)
	_forget_admissions()
	before = _fetched()
	load.answers, fetched = asyncio.run(_send(requests))
	load.tracker_reads = (fetched - before) / rows
	for kind, learner, answer in zip(load.kinds, load.learners, load.answers, strict=True):
		if answer.status == ADMITTED:
			_check(kind, learner, answer.status, answer.body)
	load.submits_lost = load.kinds.count(SUBMIT) - _count_journalled(load, season)
	site.wait_until_folded(season, [learner.id for learner in load.learners[::SUBMIT_EVERY]])


def _requests(load: Load) -> list[open_loop.Request]:
	times = open_loop.arrivals(load.rate, SECONDS, Random(f"{SEED}:{load.rate}"))
	contents = map(_content, load.kinds, load.learners)
	return [open_loop.Request(at, content) for at, content in zip(times, contents, strict=True)]


def _content(kind: str, learner: Learner) -> bytes:
	verb, path, body = REQUESTS[kind](learner)
	lines = [f"{verb} {path} HTTP/1.1", f"Host: {urlsplit(site.url()).netloc}", "Connection: close"]
	lines.append(f"Authorization: token {learner.key}:{learner.secret}")
	if body:
		lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
	return "\r\n".join([*lines, "", body or ""]).encode()


async def _send(requests: Sequence[open_loop.Request]) -> tuple[list[Answer], int]:
	"""Sends the load. Returns the answers, and the rows that MariaDB had counted when the minute was over."""
	host, _colon, port = urlsplit(site.url()).netloc.partition(":")
	begin = time.monotonic() + SECONDS_TO_BEGIN
	return await asyncio.gather(
		open_loop.send_all((host, int(port)), requests, begin), _fetched_until(begin + SECONDS)
	)


def _is_right(kind: str, message: dict[str, Any]) -> bool:
	if not message["is_degraded"]:
		return False
	if kind == READ:
		return (len(message["questions"]), message["total_due"]) == (SAFE_MODE_LIMIT, crowd_data.DUE)
	return kind != SUBMIT or message["processed"] == ANSWERS


def _check(kind: str, learner: Learner, status: int, content: bytes) -> None:
	"""Raises Failure unless Safe Mode gave this answer. Other answers must not be measured as Safe Mode's."""
	message = json.loads(content).get("message") if status == ADMITTED else None
	if not message or not _is_right(kind, message):
		raise Failure(f"{kind} of {learner.user} was answered {status}: {content[:300].decode()}")


def _count_journalled(load: Load, season: str) -> int:
	"""Counts the acknowledged submissions whose answers are all in the journal."""
	frappe.db.rollback()  # the count must see what was written during the load
	journalled = 0
	for kind, learner, answer in zip(load.kinds, load.learners, load.answers, strict=True):
		if kind == SUBMIT and answer.status == ADMITTED:
			submission_id = json.loads(answer.body)["message"]["submission_id"]
			found = journal.find_submission(learner.id, submission_id, [season])
			journalled += found is not None and len(found[1]) == ANSWERS
	return journalled


# Figures


def _figures(loads: list[Load], ratio: float) -> dict[str, float]:
	slow, fast = loads
	figures = {
		"admitted_per_minute": max(load.admitted for load in loads),
		"tracker_reads_per_minute": max(load.tracker_reads for load in loads),
		"admitted_p99_ms": slow.p99(ADMITTED),
		"rejected_p99_ms": slow.p99(REJECTED),
		"submits_lost": sum(load.submits_lost for load in loads),
		"other_statuses": sum(load.others for load in loads),
		f"admitted_p99_ms_{fast.rate}": fast.p99(ADMITTED),
		f"rejected_p99_ms_{fast.rate}": fast.p99(REJECTED),
		"rejected_noop_ratio": ratio,
	}
	return {name: round(value, 3) for name, value in figures.items()}


def _text(loads: list[Load], ratio: float) -> str:
	allowed = get_settings().safe_mode_requests_per_minute
	head = ["safe-mode"]
	for load in loads:
		head += [f"{load.rate}/s", "at most", ""]
	tracker_reads = [load.tracker_reads for load in loads]
	rows = [
		_row("reads admitted in the minute", [load.admitted for load in loads], [allowed] * 2),
		_row("reads of the tracker, by MariaDB's count", tracker_reads, [allowed] * 2),
		_row("admitted, p99 ms", [load.p99(ADMITTED) for load in loads], [ADMITTED_MS, None]),
		_row("rejected, p99 ms", [load.p99(REJECTED) for load in loads], [REJECTED_MS, None]),
		_row("submissions", [load.kinds.count(SUBMIT) for load in loads], [None, None]),
		_row("submissions refused or lost", [load.submits_lost for load in loads], [0, 0]),
		_row("replies neither 200 nor 429", [load.others for load in loads], [0, 0]),
	]
	alone = f"With one client a rejection takes {number(ratio, 2)} times as long as a no-op (p50)."
	return f"{table([head, *rows])}\n{alone}"


def _row(title: str, values: Sequence[float], limits: Sequence[float | None]) -> list[str]:
	row = [title]
	for value, limit in zip(values, limits, strict=True):
		is_over = limit is not None and value > limit
		row += [number(value), "" if limit is None else number(limit), "OVER" if is_over else ""]
	return row
