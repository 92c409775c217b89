"""Pid files that name one process for sure. A pid may be used again, but not together with the start time."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class PidFile:
	path: Path

	@property
	def name(self) -> str:
		return self.path.stem

	def write(self, pid: int) -> None:
		part = self.path.with_suffix(".part")
		part.write_text(json.dumps({"pid": pid, "started": _start_time(pid)}))
		part.replace(self.path)

	def remove(self) -> None:
		self.path.unlink(missing_ok=True)

	def pid(self) -> int | None:
		"""Returns the pid while the process that was written lives, else None."""
		try:
			record = json.loads(self.path.read_text())
		except (FileNotFoundError, ValueError):
			return None
		started = _start_time(record["pid"])
		return record["pid"] if started and started == record["started"] else None

	def stop(self, seconds: float) -> None:
		"""Ends the process: sends SIGTERM, waits up to `seconds`, and then sends SIGKILL if the process is still there."""
		self._send(signal.SIGTERM)
		deadline = time.monotonic() + seconds
		while self.pid() and time.monotonic() < deadline:
			time.sleep(SECONDS_BETWEEN_LOOKS)
		self._kill()
		self.remove()

	def _send(self, number: int) -> None:
		if pid := self.pid():
			try:
				os.kill(pid, number)
			except ProcessLookupError:
				pass

	def _kill(self) -> None:
		self._send(signal.SIGKILL)
		while self.pid():
			time.sleep(SECONDS_BETWEEN_LOOKS)


def _start_time(pid: int) -> str | None:
	"""Returns a process's start time in clock ticks since boot: field 22 of /proc/<pid>/stat. None if it is gone or a zombie."""
	try:
		stat = Path(f"/proc/{pid}/stat").read_text()
	except (FileNotFoundError, ProcessLookupError):
		return None
	# field 2, the name, may hold spaces and parentheses
	fields = stat[stat.rindex(")") + 2 :].split()
	return None if fields[0] == "Z" else fields[19]
