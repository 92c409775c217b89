"""A circuit breaker: it keeps a process from waiting for a server that has just been found dead."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Unavailable(Exception):
	"""The server did not answer, or was not asked because it did not answer a moment ago."""


class NotAsked(Unavailable):
	"""The server was not asked, because it failed a moment ago. The text is that of the earlier failure."""


def describe_failure(error: BaseException) -> str:
	return str(error) or type(error).__name__


class CircuitBreaker:
	"""Lets calls through while it is closed. A failure opens it for `open_seconds`.

	An open breaker refuses every call at once. After `open_seconds` one caller may try; the breaker refuses
	all other callers until that trial has ended. The threads of a process share a breaker; each process has
	its own. (pybreaker holds a lock during the call itself, so that one hung call would stop every thread.)
	"""

	def __init__(
		self,
		failures: tuple[type[BaseException], ...],
		open_seconds: float = 5.0,
		clock: Callable[[], float] = time.monotonic,
		describe: Callable[[BaseException], str] = describe_failure,
	) -> None:
		self.failures = failures
		self.open_seconds = open_seconds
		self.clock = clock
		self.describe = describe
		self._lock = threading.Lock()
		self._open_until: float | None = None
		self._failure = ""

	@property
	def is_closed(self) -> bool:
		return self._open_until is None

	@contextmanager
	def guard(self) -> Iterator[bool]:
		"""Runs a block that talks to the server. Yields whether the block is the trial after a failure.

		Raises Unavailable in place of `failures`. A call that was under way when another call failed does not
		close the breaker, however it ends.
		"""
		is_trial = self._admit()
		try:
			yield is_trial
		except self.failures as error:
			self._failure = self.describe(error)
			self._open_until = self.clock() + self.open_seconds
			raise Unavailable(self._failure) from error
		if is_trial:
			self._open_until = None

	def _admit(self) -> bool:
		with self._lock:
			if self._open_until is None:
				return False
			if self.clock() < self._open_until:
				raise NotAsked(self._failure)
			self._open_until = self.clock() + self.open_seconds  # this caller tries, all others are refused
			return True
