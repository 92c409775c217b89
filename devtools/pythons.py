"""Chooses the Python of a bench: one that the bench's Frappe runs on. MEMORA_PYTHON names another."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devtools import shell
from devtools.report import Failure

# Major version of Frappe -> the Pythons that this Frappe runs on. ./dev takes the first that it finds.
SUITABLE = {15: ("3.11", "3.12", "3.10"), 16: ("3.14",)}
# Where pyenv and uv keep Pythons that are not on PATH
ELSEWHERE = (".pyenv/versions/{0}.*/bin/python{0}", ".local/share/uv/python/cpython-{0}.*/bin/python{0}")
VERSION = re.compile(r"\d+\.\d+\.\d+")
ASK_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


@dataclass(frozen=True)
class Python:
	path: Path
	version: str  # such as "3.11.7"

	@property
	def minor(self) -> str:
		"""The version without its last part, such as "3.11"."""
		return self.version.rpartition(".")[0]

	def __str__(self) -> str:
		return f"{self.version} ({self.path})"


def oldest(frappe: int) -> str:
	"""Returns the oldest Python that a major version of Frappe runs on."""
	return min(_suitable(frappe), key=lambda minor: int(minor.partition(".")[2]))


def choose(frappe: int) -> Python:
	"""Returns a Python for a major version of Frappe. Raises Failure if there is none, or if MEMORA_PYTHON does not suit."""
	wanted = _suitable(frappe)
	if named := os.environ.get("MEMORA_PYTHON"):
		return _named(named, frappe)
	if python := _first(wanted):
		return python
	raise Failure(
		f"Frappe {frappe} runs on Python {_listed(wanted)}, which is not installed. Install it, and run the command again.\n"
		"MEMORA_PYTHON may name the program, if it is not on PATH."
	)


def preferred_frappe() -> int:
	"""Returns the first major version of Frappe for which there is a Python; the first of all if there is none."""
	named = os.environ.get("MEMORA_PYTHON")
	for frappe, wanted in SUITABLE.items():
		python = _ask(named) if named else _first(wanted)
		if python and python.minor in wanted:
			return frappe
	return next(iter(SUITABLE))


def _first(wanted: tuple[str, ...]) -> Python | None:
	"""Returns the first Python that is found of these versions, or None."""
	found = map(_ask, _candidates(wanted))
	return next((python for python in found if python and python.minor in wanted), None)


def _suitable(frappe: int) -> tuple[str, ...]:
	if frappe not in SUITABLE:
		raise Failure(f"memora runs on Frappe {_listed(SUITABLE)}, and this is Frappe {frappe}")
	return SUITABLE[frappe]


def _named(named: str, frappe: int) -> Python:
	python = _ask(named)
	if not python:
		raise Failure(f"MEMORA_PYTHON={named} is no program that runs as Python")
	if python.minor not in SUITABLE[frappe]:
		suitable = _listed(SUITABLE[frappe])
		raise Failure(
			f"MEMORA_PYTHON={named} is Python {python.version}, and Frappe {frappe} runs on {suitable}"
		)
	return python


def _listed(values: Iterable[object]) -> str:
	return " or ".join(sorted(map(str, values)))


def _candidates(wanted: tuple[str, ...]) -> Iterator[str | Path]:
	"""Yields programs, the Python that runs ./dev first. Some may not run: pyenv puts a name on PATH for each version."""
	yield sys.executable
	for minor in wanted:
		if found := shell.find(f"python{minor}"):
			yield found
		for pattern in ELSEWHERE:
			yield from sorted(Path.home().glob(pattern.format(minor)), reverse=True)


def _ask(path: str | Path) -> Python | None:
	try:
		done = subprocess.run([path, "-c", ASK_VERSION], capture_output=True, text=True, timeout=30)
	except (OSError, subprocess.TimeoutExpired):
		return None
	version = done.stdout.strip()
	return Python(Path(path), version) if VERSION.fullmatch(version) else None
