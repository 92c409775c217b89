"""Starts the reader of packages, a process with limits, and says what came of it."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from memora.services.anki import reader
from memora.services.anki.limits import Limits
from memora.services.anki.messages import Message, Refused, _, say

START = "import sys; sys.path.insert(0, sys.argv[1]); from memora.services.anki import reader; reader.main(*sys.argv[2:])"
APP = Path(__file__).parents[3]
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH")
MAX_WAIT_SECONDS = 100  # a web server gives up a request after 120
STAGE_BYTES = 4096
ERROR_BYTES = 4000


class Cost(NamedTuple):
	"""What one reading took."""

	cpu_seconds: float
	peak_mb: int


class ReaderFailed(Exception):
	"""The reader does not start on this host. The package has no part in that."""


def run_reader(path: Path, folder: Path, limits: Limits) -> tuple[dict[str, Any], Cost]:
	"""Reads a package into a folder; see reader.read_package. Raises Refused, ReaderFailed.

	The process inherits no more than it needs: no environment, no open files, and nothing of this interpreter.
	"""
	(folder / reader.MEDIA).mkdir()
	arguments = [str(APP), str(path), str(folder), json.dumps(asdict(limits))]
	environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
	with (folder / "errors").open("wb") as errors:
		process = subprocess.Popen(
			[sys.executable, "-I", "-B", "-c", START, *arguments],
			stdin=subprocess.DEVNULL,
			stdout=subprocess.DEVNULL,
			stderr=errors,
			cwd=folder,
			env={**environment, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
		)
	is_late, cost = _wait(process, MAX_WAIT_SECONDS)
	if process.returncode or is_late:
		# the kernel ends a process by its ticks, which a busy machine counts otherwise than its own use
		seconds = max(limits.base_seconds, round(cost.cpu_seconds))
		_fail(process.returncode, is_late, folder, seconds, limits.memory_mb)
	result = json.loads((folder / reader.RESULT).read_bytes())
	if refused := result.get("refused"):
		raise Refused(refused)
	return result, cost


def _wait(process: subprocess.Popen[bytes], seconds: float) -> tuple[bool, Cost]:
	"""Waits until the process ends. Ends it after `seconds`, and when this wait is broken off."""
	late = threading.Event()

	def end() -> None:
		late.set()
		process.kill()

	timer = threading.Timer(seconds, end)
	timer.start()
	try:
		_pid, status, usage = os.wait4(process.pid, 0)
	except BaseException:  # a job's time limit, too: the reader does not outlive whoever waits for it
		process.kill()
		process.wait()
		raise
	finally:
		timer.cancel()
	process.returncode = os.waitstatus_to_exitcode(status)
	return late.is_set(), Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


def _fail(exit_code: int, is_late: bool, folder: Path, seconds: int, memory_mb: int) -> NoReturn:
	if not (folder / reader.STAGE).exists():
		raise ReaderFailed(f"exit code {exit_code}: {_end_of(folder / 'errors')}")
	stage = _stage(folder)
	if is_late or exit_code == -signal.SIGXCPU:
		seconds = MAX_WAIT_SECONDS if is_late else seconds
		text = _("Reading {0} takes more than {1} seconds. Export a smaller part of the deck.")
		raise Refused(say(text, stage, seconds))
	# what is written in C or Rust gives up in its own way when it gets no memory
	if exit_code in (reader.OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGBUS):
		text = _("Reading {0} takes more than {1} MB of memory. Export a smaller part of the deck.")
		raise Refused(say(text, stage, memory_mb))
	raise Refused(say(_("Reading {0} fails. Export the deck again."), stage), _end_of(folder / "errors"))


def _stage(folder: Path) -> Message:
	"""Returns what the reader was at."""
	with (folder / reader.STAGE).open("rb") as file:
		stage: Message = json.loads(file.read(STAGE_BYTES).partition(b"\n")[0])
	return stage


def _end_of(path: Path) -> str:
	return path.read_bytes()[-ERROR_BYTES:].decode(errors="replace")
