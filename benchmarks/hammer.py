"""A reader and a writer that use a filled season without pause, each in a process of its own."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from random import Random
from typing import Any

import frappe

from benchmarks import season_data, site
from devtools.report import Failure
from memora.services import site_time
from memora.services.store import database, tracker
from memora.services.store.records import MemoryRecord

ANSWERS = 20  # of one submission, and questions of one read
READY_SECONDS = 60

WARM_UP = 50  # operations of each process
# Between operations. It leaves the server some of the cores: real clients run on other machines.
PAUSE_SECONDS = 0.002

_processes = multiprocessing.get_context("spawn")  # a fork would share this process's connections


def read_due(learner: str, season: str, now: datetime) -> list[MemoryRecord]:
	"""Runs the due query as Safe Mode does, and ends the transaction as a request does."""
	due, _total = tracker.get_due(learner, season, now, ANSWERS)
	frappe.db.rollback()
	return due


def next_records(learner: str, season: str, question_ids: list[str], now: datetime) -> list[MemoryRecord]:
	"""Returns a learner's records after one more answer to each question. Raises Failure if a record is missing."""
	records = tracker.get_records(learner, season, question_ids)
	frappe.db.rollback()  # the upsert is to start a transaction of its own, as in another request
	if len(records) != len(question_ids):
		raise Failure(f"{learner} has {len(records)} records of {len(question_ids)} questions in {season}")
	due = now + timedelta(days=30)
	return [
		replace(record, reps=record.reps + 1, last_review_date=now, next_review_date=due)
		for record in records.values()
	]


def upsert(learner: str, season: str, records: list[MemoryRecord]) -> None:
	"""Stores records as a fold does, and commits."""
	with database.transaction():
		tracker.upsert_records(learner, season, records)


def some_questions(random: Random) -> list[str]:
	numbers = random.sample(range(season_data.QUESTIONS_EACH), ANSWERS)
	return [season_data.question_id(number) for number in numbers]


def _read(random: Random, learner: str, season: str, now: datetime) -> None:
	read_due(learner, season, now)
	tracker.get_records(learner, season, some_questions(random))
	frappe.db.rollback()  # ends the transaction, as the end of a request would


def _write(random: Random, learner: str, season: str, now: datetime) -> None:
	upsert(learner, season, next_records(learner, season, some_questions(random), now))


WORK = {"reader": _read, "writer": _write}


@dataclass(frozen=True)
class Operation:
	"""One operation: when it began and ended, by time.monotonic(). All processes of a machine share that clock."""

	begin: float
	end: float

	@property
	def ms(self) -> float:
		return (self.end - self.begin) * 1000

	def overlaps(self, begin: float, end: float) -> bool:
		return self.begin < end and begin < self.end


class Hammer:
	"""The operations of both processes. They are complete once the block of `hammering` has ended."""

	def __init__(self) -> None:
		self.operations: dict[str, list[Operation]] = {}

	def within(self, begin: float, end: float) -> dict[str, list[Operation]]:
		"""Returns the operations of each kind that overlap a span of time."""
		return {kind: [o for o in done if o.overlaps(begin, end)] for kind, done in self.operations.items()}


@contextmanager
def hammering(season: str, learners: int) -> Iterator[Hammer]:
	"""Runs the reader and the writer during the block. Raises Failure if one of them meets an error."""
	hammer, stop = Hammer(), _processes.Event()
	running = {kind: _start(kind, season, learners, stop) for kind in WORK}
	try:
		for kind, (_process, pipe) in running.items():
			_receive(kind, pipe)  # returns when this process has warmed up
		yield hammer
		stop.set()
		hammer.operations = {kind: _receive(kind, pipe) for kind, (_process, pipe) in running.items()}
	finally:
		for process, _pipe in running.values():
			process.terminate()
			process.join()


def _start(kind: str, season: str, learners: int, stop: Event) -> tuple[SpawnProcess, Connection]:
	pipe, theirs = _processes.Pipe()
	process = _processes.Process(target=_run, args=(kind, season, learners, stop, theirs), daemon=True)
	process.start()
	theirs.close()
	return process, pipe


def _receive(kind: str, pipe: Connection) -> list[Operation]:
	if not pipe.poll(READY_SECONDS):
		raise Failure(f"The {kind} does not answer")
	received = pipe.recv()
	if isinstance(received, str):
		raise Failure(f"The {kind} met an error: {received}")
	return received


def _run(kind: str, season: str, learners: int, stop: Event, pipe: Connection) -> None:
	parent = multiprocessing.parent_process()

	def is_over(_done: int) -> bool:
		# a parent that was killed can't set the event
		return stop.is_set() or parent is None or not parent.is_alive()

	signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and ends this process
	try:
		with site.connected():
			pipe.send(_repeat(WORK[kind], season, learners, lambda done: done >= WARM_UP))
			pipe.send(_repeat(WORK[kind], season, learners, is_over))
	except Exception as error:  # whatever the error is, the parent must report it
		pipe.send(repr(error))


def _repeat(
	work: Callable[..., Any], season: str, learners: int, is_enough: Callable[[int], bool]
) -> list[Operation]:
	random = Random(season_data.SEED)
	done: list[Operation] = []
	while not is_enough(len(done)):
		now = site_time.naive_now()
		learner = season_data.learner(random.randrange(learners))
		begin = time.monotonic()
		work(random, learner, season, now)
		done.append(Operation(begin, time.monotonic()))
		time.sleep(PAUSE_SECONDS)
	return done
