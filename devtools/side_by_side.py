"""Steps that do not need each other run side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from devtools import shell


def side_by_side(*actions: Callable[[], object]) -> None:
	"""Returns when all actions have ended, and raises the first one's failure.

	An interruption ends the programs that the actions run.
	"""
	with ThreadPoolExecutor(len(actions)) as threads:
		futures = [threads.submit(action) for action in actions]
		try:
			wait(futures)
		except BaseException:
			shell.end_all()
			raise
	for future in futures:
		future.result()
