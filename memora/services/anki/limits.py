"""What reading a package may cost. A process of its own reads, and holds itself to this before it opens the file."""

import resource
from dataclasses import dataclass

MB = 1 << 20
MAX_COLLECTION_BYTES = 64 * MB  # some 100,000 notes
MAX_FILE_BYTES = 256 * MB  # of a file that the reader writes, unless the site takes larger media
MAX_OPEN_FILES = 32
# What an ordinary part of a package may cost: several times of what it does
SECONDS_PER_CARD, SECONDS_PER_ANSWER, SECONDS_PER_MEDIA_BYTE = 1.5e-3, 2e-5, 2e-8


@dataclass(frozen=True)
class Limits:
	"""Seconds are of computing. Each part that has been read earns some, so that only a part that is stuck ends it."""

	base_seconds: int = 4
	max_seconds: int = 60
	memory_mb: int = 144
	max_media_bytes: int = 25 * MB  # of one file
	max_media: int = 10_000
	hosts: tuple[str, ...] = ()  # from which a site's questions may show media
	keep_media: bool = False  # in the folder, for an import; a preview only looks at them

	def hold(self) -> None:
		"""Holds this process to the limits, for good."""
		memory = self.memory_mb * MB
		self.allow(0)
		_set(resource.RLIMIT_DATA, memory)
		# address space also counts code and what is only reserved
		_set(resource.RLIMIT_AS, 2 * memory)
		_set(resource.RLIMIT_FSIZE, max(MAX_FILE_BYTES, self.max_media_bytes))
		_set(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
		_set(resource.RLIMIT_CORE, 0)

	def allow(self, more_seconds: int) -> None:
		seconds = min(self.base_seconds + more_seconds, self.max_seconds)
		_set(resource.RLIMIT_CPU, seconds, self.max_seconds + 1)


def _set(kind: int, limit: int, hard: int | None = None) -> None:
	"""Sets a limit, or a lower one where the host allows no more."""
	_soft, most = resource.getrlimit(kind)
	hard = limit if hard is None else hard
	if most != resource.RLIM_INFINITY:
		limit, hard = min(limit, most), min(hard, most)
	resource.setrlimit(kind, (limit, hard))


class Allowance:
	"""The seconds of computing that this process has earned."""

	def __init__(self, limits: Limits) -> None:
		self.limits, self.earned = limits, 0.0

	def earn(self, seconds: float) -> None:
		before, self.earned = int(self.earned), self.earned + seconds
		if int(self.earned) > before:
			self.limits.allow(int(self.earned))
