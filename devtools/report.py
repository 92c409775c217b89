"""Prints what a person sees: each step with its seconds, a sign of life in long steps, and the end of the log on failure."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

SECONDS_BETWEEN_LINES = 15  # where the output is no terminal
TAIL_LINES = 25

_stream: TextIO = sys.stdout
_running: list[tuple[str, float]] = []  # steps and when they began; several may run side by side


class Failure(Exception):
	"""An error that a person must know of. The message says what happened, and `log` has the details."""

	def __init__(self, message: str, log: Path | None = None):
		super().__init__(message)
		self.log = log


def keep_stdout_clean() -> None:
	"""Sends the steps to stderr. Commands call this if a program may read their own output."""
	global _stream
	_stream = sys.stderr


def say(line: str) -> None:
	clear = "\r\033[K" if _stream.isatty() else ""
	print(f"{clear}{line}", file=_stream, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
	"""Prints the title and the seconds of the block when the block ends, also when it fails."""
	entry = (title, time.monotonic())
	done = threading.Event()
	ticker = threading.Thread(target=_tick, args=(entry, done), daemon=True)
	_running.append(entry)
	ticker.start()
	outcome = ": did not finish"
	try:
		yield
		outcome = ""
	finally:
		done.set()
		ticker.join()
		_running.remove(entry)
		say(f"{time.monotonic() - entry[1]:7.1f} s  {title}{outcome}")


def _tick(entry: tuple[str, float], done: threading.Event) -> None:
	"""Shows the elapsed time: twice a second on a terminal, or else as a line every SECONDS_BETWEEN_LINES."""
	title, begin = entry
	on_terminal = _stream.isatty()
	while not done.wait(0.5 if on_terminal else SECONDS_BETWEEN_LINES):
		line = f"{time.monotonic() - begin:7.0f} s  {title} ..."
		if not on_terminal:
			say(line)
		elif _running[0] is entry:  # a terminal has one last line, which shows the oldest step
			more = f" (and {len(_running) - 1} more)" if len(_running) > 1 else ""
			print(f"\r{line}{more}\033[K", end="", file=_stream, flush=True)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
	if not log.is_file():
		return ""
	with log.open("rb") as file:
		file.seek(max(0, log.stat().st_size - 20_000))
		return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def say_failure(failure: Failure) -> None:
	if failure.log:
		print(f"{tail(failure.log)}\n\nThe whole log: {failure.log}", file=sys.stderr)
	print(f"\nFailed: {failure}", file=sys.stderr, flush=True)
