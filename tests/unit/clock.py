"""A clock that stands still until a test moves it."""


class Clock:
	"""Stands for the module `time`, or for the function `time.monotonic`. `now` is in seconds."""

	def __init__(self, now: float = 1000.0) -> None:
		self.now = now

	def monotonic(self) -> float:
		return self.now

	__call__ = monotonic
