"""Runs steps side by side that do not need each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from devtools import shell


def side_by_side(*actions: Callable[[], object]) -> None:
	"""Runs the actions in threads, and returns when all have ended. Raises the error of the first action that failed.

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
