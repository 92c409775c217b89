"""Freezes processes in the middle of what they do, and proves that they are there."""

import os
import random
import re
import signal
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

TO_FIND_SECONDS = 90  # on a busy machine, where the others come late
TO_STOP_SECONDS = 10
SETTLE_SECONDS = 0.12  # a statement or reply under way ends; INNODB_TRX is kept for a tenth of a second
SLICE_SECONDS = 0.02  # at most, between two looks
LISTENING_OR_NOT = ("/proc/net/tcp", "/proc/net/tcp6")
SOCKET = re.compile(r"socket:\[(\d+)\]")


def freeze(pids: Iterable[int]) -> None:
	"""Stops processes, and returns when they stand still or are gone."""
	pids = list(pids)
	for pid in pids:
		with suppress(ProcessLookupError):
			os.kill(pid, signal.SIGSTOP)
	deadline = time.monotonic() + TO_STOP_SECONDS
	while not all(_state_of(pid) in "TZX" for pid in pids):
		assert time.monotonic() < deadline, f"one of {pids} does not stand still"
		time.sleep(0.001)


def thaw(pids: Iterable[int]) -> None:
	for pid in pids:
		with suppress(ProcessLookupError):
			os.kill(pid, signal.SIGCONT)


@contextmanager
def frozen_amid(
	pids: Callable[[], Iterable[int]],
	facts: Callable[[], Set[Hashable]],
	what: str,
	begin: Callable[[], object] = lambda: None,
	slice_seconds: float = SLICE_SECONDS,
) -> Iterator[list[int]]:
	"""Freezes processes in the middle of something for the block, and then lets them go on. Yields them.

	`facts` says what is going on, such as the connections that hold a lock. What is still going on when the processes have
	stood still for a while is theirs. Without such a fact they go on for a slice of time, and are stopped again. `begin` is
	called before each try.
	"""
	deadline = time.monotonic() + TO_FIND_SECONDS
	while True:
		begin()
		time.sleep(random.uniform(0, slice_seconds))
		caught = list(pids())
		try:
			freeze(caught)
			if caught and _still(facts):
				break
		except BaseException:
			thaw(caught)
			raise
		thaw(caught)
		assert time.monotonic() < deadline, f"nobody could be frozen amid {what}"
	try:
		yield caught
	finally:
		thaw(caught)


def _still(facts: Callable[[], Set[Hashable]]) -> bool:
	if not (before := facts()):
		return False
	time.sleep(SETTLE_SECONDS)
	return bool(before & facts())


def _state_of(pid: int) -> str:
	"""The kernel's letter: T is stopped, Z and X are dead."""
	try:
		stat = Path(f"/proc/{pid}/stat").read_text()
	except (FileNotFoundError, ProcessLookupError):
		return "X"
	return stat[stat.rindex(")") + 2]


def ports_of(pids: Iterable[int]) -> set[int]:
	"""The local ports of the TCP connections that processes have open."""
	own = {inode for pid in pids for inode in _sockets_of(pid)}
	found = set()
	for table in LISTENING_OR_NOT:
		for line in Path(table).read_text().splitlines()[1:]:
			fields = line.split()
			if fields[9] in own:
				found.add(int(fields[1].rpartition(":")[2], 16))
	return found


def _sockets_of(pid: int) -> Iterator[str]:
	with suppress(FileNotFoundError, ProcessLookupError):
		for link in Path(f"/proc/{pid}/fd").iterdir():
			with suppress(FileNotFoundError):
				if match := SOCKET.fullmatch(os.readlink(link)):
					yield match[1]
