"""The copy of the project that is changed, and the bench on which the changed copy is tested.

The work tree itself is never changed. The bench is one inside ./dev's bench, like those of `./dev test -n 2`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import ready, sites, test_benches
from devtools.paths import PROJECT, Bench
from devtools.report import step

NUMBER = "mutants"
OF_LINT = {"biome.json"}


class Copy:
	"""A copy of the project, with one file at a time changed."""

	def __init__(self, bench: Bench) -> None:
		self.bench = bench
		self.folder = bench.root / "mutants"  # what is kept between runs
		self.root = self.folder / "copy"
		self._clock = 0

	def renew(self) -> None:
		"""Brings the copy up to date with the work tree."""
		names = set(_files())
		for path in list(self.root.rglob("*")):
			if path.is_file() and str(path.relative_to(self.root)) not in names:
				path.unlink()
		for name in names:
			source, target = PROJECT / name, self.root / name
			if not target.is_file() or target.read_bytes() != source.read_bytes():
				target.parent.mkdir(parents=True, exist_ok=True)
				shutil.copy2(source, target)
		(self.root / ".hypothesis").mkdir(parents=True, exist_ok=True)

	@contextmanager
	def changed(self, path: str, text: str) -> Iterator[None]:
		"""Gives a file another text for the block."""
		before = (self.root / path).read_text()
		self._write(path, text)
		try:
			yield
		finally:
			self._write(path, before)

	def _write(self, path: str, text: str) -> None:
		"""Python compiles a file again when its time in seconds or its size differs: so each text gets a time of its own."""
		file = self.root / path
		file.write_text(text)
		self._clock += 2
		moment = file.stat().st_mtime + self._clock
		os.utime(file, (moment, moment))

	def environment(self) -> dict[str, str]:
		"""Returns the variables for tests of the copy, and for all that they start."""
		of_bench = test_benches.environment(self.bench, NUMBER)
		return {**os.environ, **of_bench, "PYTHONPATH": str(self.root), "MEMORA_MUTANTS": str(self.folder)}

	def restore_sites(self) -> None:
		"""Makes the sites anew: a change may have left tables or settings that the tests don't mend."""
		with step("Making the sites of the changed copy anew"):
			sites.copy_all(self.bench, test_benches.of(self.bench, NUMBER))


def _files() -> list[str]:
	"""Returns the files of the work tree that git knows, or would know, but for one that lint would find in the copy, too."""
	command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
	listed = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, text=True).stdout
	names = {name for name in listed.split("\0") if name and (PROJECT / name).is_file()}
	return sorted(names - OF_LINT)


@contextmanager
def made(bench: Bench) -> Iterator[Copy]:
	"""Makes the copy and its bench, and runs the bench's servers during the block. Another run waits."""
	copy = Copy(bench)
	with ready.running(bench, for_tests=True), test_benches.one(bench, NUMBER):
		copy.renew()
		yield copy


def program(bench: Bench, *args: str | Path) -> list[str | Path]:
	return [bench.python, "-m", *args]
