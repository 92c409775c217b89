"""How long those wait who have nothing to do with a fault: before it, and during it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.faults.classroom import HTTP_ERROR, Classroom, Request

BEFORE_SECONDS = 2.0  # without a fault, to compare with
MOST_TIMES = 4  # before it, all of a busy machine is slow, too
VERBS = {"GET": "reads", "POST": "submissions"}


class Wait(NamedTuple):
	"""The 99th percentile of the others' requests of one kind, in seconds, and how many requests there were."""

	before: float
	during: float
	requests: int

	def is_within(self, seconds: float) -> bool:
		return self.requests > 0 and self.during < max(MOST_TIMES * self.before, seconds)

	def __str__(self) -> str:
		before, during = round(self.before * 1000), round(self.during * 1000)
		ratio = self.during / self.before if self.before else 0.0
		return f"{before} → {during} ms ({ratio:.1f} ×, {self.requests} requests)"


class Stopwatch:
	"""Times of faults, by name. How long others waited may be asked when the load has stopped, and no request is under way."""

	def __init__(self, room: Classroom) -> None:
		self.room, self.began = room, time.monotonic()
		self.faults: dict[str, tuple[float, float]] = {}
		self.of_all: set[str] = set()  # faults that hit everybody, so that there are no others
		time.sleep(BEFORE_SECONDS)

	@contextmanager
	def fault(self, name: str, hits_all: bool = False) -> Iterator[None]:
		"""A block during which there is a fault."""
		begin = time.monotonic()
		if hits_all:
			self.of_all.add(name)
		try:
			yield
		finally:
			self.faults[name] = begin, time.monotonic()

	def waits(self) -> Iterator[tuple[str, str, Wait]]:
		"""Yields (fault, kind of request, wait). A request counts that was under way at any moment of the fault."""
		first = min((begin for begin, _end in self.faults.values()), default=0.0)
		before = [r for r in self._others() if self.began <= r.begin and r.end <= first]
		for name, (begin, end) in self.faults.items():
			during = [r for r in self._others() if r.begin < end and begin < r.end]
			for verb, kind in VERBS.items():
				count = sum(r.verb == verb for r in during)
				yield name, kind, Wait(_p99(before, verb), _p99(during, verb), count)

	def errors(self) -> list[str]:
		"""What the server answered others with in place of a reply."""
		return [r.failure for r in self._others() if r.failure.startswith(HTTP_ERROR)]

	def _others(self) -> list[Request]:
		return [r for r in self.room.ledger.requests if r.device in self.room.others]


def _p99(requests: list[Request], verb: str) -> float:
	seconds = sorted(r.end - r.begin for r in requests if r.verb == verb)
	return seconds[len(seconds) * 99 // 100] if seconds else 0.0
