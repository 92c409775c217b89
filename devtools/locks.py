"""File locks, by which several `./dev` share one bench. The kernel frees a lock when its holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devtools.report import say


def try_lock(file: IO[str], kind: int) -> bool:
	try:
		fcntl.flock(file, kind | fcntl.LOCK_NB)
	except BlockingIOError:
		return False
	return True


@contextmanager
def exclusive(path: Path, waiting_for: str = "") -> Iterator[None]:
	"""Holds the lock alone for the block. If somebody else holds it, prints what it is waiting for, and waits."""
	with path.open("a") as file:
		if not try_lock(file, fcntl.LOCK_EX):
			if waiting_for:
				say(f"Waiting for {waiting_for}.")
			fcntl.flock(file, fcntl.LOCK_EX)
		yield
