"""Runs other programs: with their output in a log, or in the foreground for the person at the terminal."""

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
# MariaDB's server is in sbin, which is not in everybody's PATH
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
	"""Runs a program to its end, and appends its output to `log`. Raises Failure unless the program exits with 0.

	The program gets a session of its own, so that an interruption ends the program and all its children.
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
	"""Returns the command for a message. Options are left out, because one may be a password."""
	words = [str(arg) for arg in args[1:] if not str(arg).startswith("-")]
	return " ".join([Path(args[0]).name, *words[:6]])


def end_all() -> None:
	"""Ends the programs that other threads run. Any further `run` raises Failure, because ./dev is about to end."""
	with _starting:
		_nothing_more.set()
	for process in tuple(_running):
		end_group(process)


def _die_with_parent() -> None:
	"""Asks the kernel for a SIGINT when ./dev is killed. A new run of ./dev must not meet programs of the killed one."""
	die_with_parent(signal.SIGINT)


def _end_with_parent() -> None:
	die_with_parent(signal.SIGTERM)


def die_with_parent(number: int) -> None:
	"""Asks the kernel to send this process a signal when the thread that started it ends. Call it in the new process."""
	_LIBC.prctl(PR_SET_PDEATHSIG, number)


def end_group(process: subprocess.Popen[bytes]) -> None:
	"""Ends a process that has a session of its own, and its children: by SIGINT, and after SECONDS_TO_END by SIGKILL.

	SIGINT comes first because pip removes its temporary directories on SIGINT, and not on SIGTERM.
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
		pass  # no process is left in the group


def foreground(args: Arguments, cwd: Path, env: Mapping[str, str] | None = None) -> int:
	"""Runs a program on this terminal, and returns its exit code. An interruption is passed on, and waits for the program.

	The program does not outlive ./dev, even when ./dev is killed.
	"""
	env = {**os.environ, **(env or {})}
	process = subprocess.Popen(args, cwd=cwd, env=env, preexec_fn=_end_with_parent)
	try:
		return _exit_code(process.wait())
	except KeyboardInterrupt:
		# On a terminal, Ctrl-C reaches the program, too: don't interrupt it twice
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
