"""What processes have cost, by the kernel's accounts in /proc."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # in a second


def cpu_seconds(pid: int) -> float:
	"""Returns the CPU time that a process, all that it has started, and all that these have waited for have taken."""
	children = _children()
	waiting, ticks = [pid], 0
	while waiting:
		one = waiting.pop()
		ticks += sum(int(field) for field in _stat(one)[11:15])  # utime, stime, cutime, cstime
		waiting += children.get(one, [])
	return ticks / TICKS


def children_of(pid: int) -> list[int]:
	"""Returns the processes that a process has started, and that have not ended."""
	return _children().get(pid, [])


def memory_mb(pid: int) -> float:
	"""Returns how much memory of a process is not in files: its stacks and heaps."""
	lines = Path(f"/proc/{pid}/status").read_text().splitlines()
	(kib,) = (int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
	return kib / 1024


def _children() -> dict[int, list[int]]:
	found: dict[int, list[int]] = {}
	for path in Path("/proc").iterdir():
		if path.name.isdecimal() and (stat := _stat(int(path.name))):
			found.setdefault(int(stat[1]), []).append(int(path.name))
	return found


def _stat(pid: int) -> list[str]:
	"""Returns the fields of /proc/<pid>/stat from the state on; none of a process that has ended."""
	try:
		return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
	except OSError:
		return []
