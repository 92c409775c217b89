"""Running other programs: to their end in a log, or in the foreground for the person at the terminal."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from devtools.report import Failure

SECONDS_TO_END = 10
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# MariaDB's server lives in sbin, which is not in everybody's PATH
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))

Arguments = Sequence[str | Path]

_LIBC = ctypes.CDLL(None)
_running: "set[subprocess.Popen[bytes]]" = set()
_nothing_more = threading.Event()
_starting = threading.Lock()


def find(program: str) -> str | None:
	return shutil.which(program, path=SEARCH_PATH)


def run(
	args: Arguments,
	log: Path,
	cwd: Path | None = None,
	env: Mapping[str, str] | None = None,
	stdin: IO[bytes] | None = None,
	stdout: IO[bytes] | None = None,
) -> None:
	"""Run to the end with the output appended to `log`; a Failure if it exits with anything but 0.

	The program gets a session of its own, so that an interruption ends it with all its children.
	"""
	log.parent.mkdir(parents=True, exist_ok=True)
	with log.open("ab") as file:
		process = _start(
			args,
			cwd=cwd,
			env={**os.environ, **(env or {})},
			stdin=stdin or subprocess.DEVNULL,
			stdout=stdout or file,
			stderr=file,
			start_new_session=True,
			preexec_fn=_die_with_parent,
		)
		try:
			code = process.wait()
		except BaseException:
			end_group(process)
			raise
		finally:
			_running.discard(process)
	if code:
		raise Failure(f"{_name(args)} exited with {code}", log)


def _start(args: Arguments, **options: Any) -> "subprocess.Popen[bytes]":
	with _starting:
		if _nothing_more.is_set():
			raise Failure("./dev was interrupted")
		process = subprocess.Popen(args, **options)
		_running.add(process)
	return process


def _name(args: Arguments) -> str:
	"""The command for a message, without its options: one may be a password."""
	words = [str(arg) for arg in args[1:] if not str(arg).startswith("-")]
	return " ".join([Path(args[0]).name, *words[:6]])


def end_all() -> None:
	"""End what other threads run, and let them run nothing more: this program is about to end."""
	with _starting:
		_nothing_more.set()
	for process in tuple(_running):
		end_group(process)


def _die_with_parent() -> None:
	"""Ask the kernel for a SIGINT when ./dev is killed: a new run must not meet a half-done one still at work."""
	die_with_parent(signal.SIGINT)


def _end_with_parent() -> None:
	die_with_parent(signal.SIGTERM)


def die_with_parent(number: int) -> None:
	"""Called in a new process: the kernel sends it this signal when the thread that started it has ended."""
	_LIBC.prctl(PR_SET_PDEATHSIG, number)


def end_group(process: subprocess.Popen[bytes]) -> None:
	"""End a process started in a session of its own, and what it started: politely, then by force.

	By SIGINT, because pip removes its temporary directories then and not on SIGTERM.
	"""
	_signal_group(process.pid, signal.SIGINT)
	try:
		process.wait(SECONDS_TO_END)
	except subprocess.TimeoutExpired:
		pass
	_signal_group(process.pid, signal.SIGKILL)
	process.wait()


def _signal_group(group: int, number: int) -> None:
	try:
		os.killpg(group, number)
	except (ProcessLookupError, PermissionError):
		pass  # nobody is left in it


def foreground(args: Arguments, cwd: Path, env: Mapping[str, str] | None = None) -> int:
	"""Run on this terminal and return the exit code; an interruption reaches the program and waits for its end.

	The program does not outlive ./dev, even when ./dev is killed.
	"""
	env = {**os.environ, **(env or {})}
	process = subprocess.Popen(args, cwd=cwd, env=env, preexec_fn=_end_with_parent)
	try:
		return _exit_code(process.wait())
	except KeyboardInterrupt:
		# Ctrl-C reaches the terminal's whole foreground group: don't interrupt the program twice
		if not sys.stdin.isatty():
			process.send_signal(signal.SIGINT)
		_end(process)
		raise
	except BaseException:
		process.terminate()
		_end(process)
		raise


def _exit_code(returned: int) -> int:
	return 128 - returned if returned < 0 else returned


def _end(process: subprocess.Popen[bytes]) -> None:
	for ask_again in (process.terminate, process.kill):
		try:
			process.wait(SECONDS_TO_END)
			return
		except subprocess.TimeoutExpired:
			ask_again()
	process.wait()
