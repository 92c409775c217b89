"""Runs what others do while something is measured."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(action: Callable[[], object], seconds: float) -> Iterator[None]:
	"""Runs an action in a thread again and again during the block, with a pause of so many seconds before each time."""
	is_over = threading.Event()

	def repeat() -> None:
		while not is_over.wait(seconds):
			action()

	thread = threading.Thread(target=repeat)
	thread.start()
	try:
		yield
	finally:
		is_over.set()
		thread.join()
