"""A reader and a writer that use a filled season all the time, each in a process of its own."""

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

WARM_UP = 50  # operations of each
PAUSE_SECONDS = 0.002  # between two: the clients, which live elsewhere, leave the server a part of the cores

_processes = multiprocessing.get_context("spawn")  # a fork would share this process's connections


def read_due(player: str, season: str, now: datetime) -> list[MemoryRecord]:
	"""The due query, as Safe Mode asks it; ends the transaction, as a request does."""
	due, _total = tracker.get_due(player, season, now, ANSWERS)
	frappe.db.rollback()
	return due


def next_records(player: str, season: str, question_ids: list[str], now: datetime) -> list[MemoryRecord]:
	"""What a learner's records of some questions are after one more answer to each."""
	records = tracker.get_records(player, season, question_ids)
	frappe.db.rollback()  # the upsert that follows is another request's
	if len(records) != len(question_ids):
		raise Failure(f"{player} has {len(records)} records of {len(question_ids)} questions in {season}")
	due = now + timedelta(days=30)
	return [
		replace(record, reps=record.reps + 1, last_review_date=now, next_review_date=due)
		for record in records.values()
	]


def upsert(player: str, season: str, records: list[MemoryRecord]) -> None:
	"""Stores answers as a fold does, committed."""
	with database.transaction():
		tracker.upsert_records(player, season, records)


def some_questions(random: Random) -> list[str]:
	numbers = random.sample(range(season_data.QUESTIONS_EACH), ANSWERS)
	return [season_data.question_id(number) for number in numbers]


def _read(random: Random, player: str, season: str, now: datetime) -> None:
	read_due(player, season, now)
	tracker.get_records(player, season, some_questions(random))
	frappe.db.rollback()  # a request of its own, of which there is none here


def _write(random: Random, player: str, season: str, now: datetime) -> None:
	upsert(player, season, next_records(player, season, some_questions(random), now))


WORK = {"reader": _read, "writer": _write}


@dataclass(frozen=True)
class Operation:
	"""When it began and ended, by time.monotonic(), which all processes of a machine share."""

	begin: float
	end: float

	@property
	def ms(self) -> float:
		return (self.end - self.begin) * 1000

	def overlaps(self, begin: float, end: float) -> bool:
		return self.begin < end and begin < self.end


class Hammer:
	"""What the processes have done; complete once the block of `hammering` has ended."""

	def __init__(self) -> None:
		self.operations: dict[str, list[Operation]] = {}

	def within(self, begin: float, end: float) -> dict[str, list[Operation]]:
		"""Of each kind, the operations that overlap a span of time."""
		return {kind: [o for o in done if o.overlaps(begin, end)] for kind, done in self.operations.items()}


@contextmanager
def hammering(season: str, learners: int) -> Iterator[Hammer]:
	"""Reads and writes go on during the block; an error in one of them is a Failure."""
	hammer, stop = Hammer(), _processes.Event()
	running = {kind: _start(kind, season, learners, stop) for kind in WORK}
	try:
		for kind, (_process, pipe) in running.items():
			_receive(kind, pipe)  # it has begun
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
		# a parent that was killed could not say so
		return stop.is_set() or parent is None or not parent.is_alive()

	signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this one
	try:
		with site.connected():
			pipe.send(_repeat(WORK[kind], season, learners, lambda done: done >= WARM_UP))
			pipe.send(_repeat(WORK[kind], season, learners, is_over))
	except Exception as error:  # whatever it is, it counts: told by the parent
		pipe.send(repr(error))


def _repeat(
	work: Callable[..., Any], season: str, learners: int, is_enough: Callable[[int], bool]
) -> list[Operation]:
	random = Random(season_data.SEED)
	done: list[Operation] = []
	while not is_enough(len(done)):
		now = site_time.naive_now()
		player = season_data.player(random.randrange(learners))
		begin = time.monotonic()
		work(random, player, season, now)
		done.append(Operation(begin, time.monotonic()))
		time.sleep(PAUSE_SECONDS)
	return done
