"""Keeps a process from waiting for a server that it has just found dead."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Unavailable(Exception):
	"""The server did not answer, or is not asked because it did not answer a moment ago."""


class NotAsked(Unavailable):
	"""The second of these; its text is that of the failure a moment ago."""


def describe_failure(error: BaseException) -> str:
	return str(error) or type(error).__name__


class CircuitBreaker:
	"""Closed: calls go through. A failure opens it for `open_seconds`, in which every call is refused
	at once. After that one caller may try, the others are refused until that one has come back.

	Shared by the threads of one process; each process has its own. (pybreaker holds a lock during the
	call itself, which would let one hung call stop every thread.)
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
		"""Runs a block that talks to the server, and tells it whether it is the trial that decides for all others.

		Raises Unavailable in place of its failures. A call that was under way when another one failed
		closes nothing, however it ends.
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
			self._open_until = self.clock() + self.open_seconds  # this caller tries, the others wait
			return True
