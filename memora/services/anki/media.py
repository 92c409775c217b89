"""The media of a package: which of them the cards show, and whether they can be used."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from memora.services.anki import kinds
from memora.services.anki.archive import TooBig
from memora.services.anki.limits import MB, SECONDS_PER_MEDIA_BYTE, Allowance, Limits
from memora.services.anki.messages import Message, _, plain, refuse, say
from memora.services.anki.package import Package, normalised
from memora.services.learning.media_addresses import is_media_allowed
from memora.services.learning.safe_html import clean_html

MAX_TOTAL_BYTES = 1024 * MB
FREE_BYTES, MAX_RATIO = 16 * MB, 20  # of what media may grow to when they are unpacked
ADDRESS = "/files/"  # where an import puts media


class Media:
	"""The media of one package. Keeps those that cards show in `folder`, if the limits say so."""

	def __init__(self, package: Package, path: Path, folder: Path, allowance: Allowance) -> None:
		self.package, self.folder, self.allowance = package, folder, allowance
		self.limits: Limits = allowance.limits
		self.hosts = frozenset(self.limits.hosts)
		self.most_bytes = min(MAX_TOTAL_BYTES, FREE_BYTES + MAX_RATIO * path.stat().st_size)
		self.used: set[str] = set()
		self.read_bytes = 0
		self.look = cache(self._look)

	def keep_usable(self, html: str) -> tuple[str, set[str], dict[str, Message]]:
		"""Cleans HTML, and takes out media that can't be used.

		Returns (the HTML, the names of the files that it shows, {name in the package: why not} of the media taken
		out). Refuses the package when its cards show too many media, or when these grow too large.
		"""
		cleaned, names = _sources(html, self.hosts)
		found = {name: self.look(name) for name in names}
		problems = {plain(name): why_not for name, (_file, why_not) in found.items() if why_not}
		files = {file for file, _why_not in found.values() if file}
		self._use(files)
		if not found:
			return cleaned, files, problems
		addresses = {name: ADDRESS + file if file else None for name, (file, _why_not) in found.items()}
		return _clean(html, self.hosts, lambda name: addresses.get(name)), files, problems

	def _use(self, files: set[str]) -> None:
		self.used |= files
		if len(self.used) > self.limits.max_media:
			text = _("The notes show more than {0} media files. Export a part of the deck.")
			refuse(text, self.limits.max_media)

	def _look(self, name: str) -> tuple[str, Message | None]:
		"""Returns the name that a file gets here, or why it can't be used."""
		if name not in self.package.media:
			return "", say(_("{0} is not in the file"), name)
		if not kinds.has_known_name(name):
			return "", say(_("{0} has a file type that is not imported"), name)
		try:
			head, digest = self._read(name)
		except TooBig:
			return "", say(_("{0} is larger than {1} MB"), name, self.limits.max_media_bytes // MB)
		suffix = kinds.kind_of(name, head)
		if not suffix:
			return "", say(_("{0} is not what its name says: no picture or sound of a known kind"), name)
		size = kinds.size_of(suffix, head)
		if size and kinds.is_too_large(size):
			text = _("{0} has {1} × {2} pixels, and only {3} are taken")
			return "", say(text, name, *size, kinds.MAX_PIXELS)
		# named by its content: another deck may have another picture of this name
		file = f"anki-{digest[:20]}{suffix}"
		if self.limits.keep_media:
			self._temporary.replace(self.folder / file)
		return file, None

	def _read(self, name: str) -> tuple[bytes, str]:
		"""Returns a file's beginning, and its digest. Raises TooBig."""
		head, digest, kept = b"", sha256(), self.limits.keep_media
		with open(self._temporary if kept else "/dev/null", "wb") as file:
			for chunk in self.package.media_chunks(name, self.limits.max_media_bytes):
				self._count(len(chunk))
				head = head if len(head) >= kinds.HEAD_BYTES else head + chunk
				digest.update(chunk)
				file.write(chunk)
		return head, digest.hexdigest()

	def _count(self, how_many: int) -> None:
		self.read_bytes += how_many
		self.allowance.earn(how_many * SECONDS_PER_MEDIA_BYTE)
		if self.read_bytes > self.most_bytes:
			text = _(
				"The media of the file take more than {0} MB when they are unpacked. Export a part of the deck."
			)
			refuse(text, self.most_bytes // MB)

	@property
	def _temporary(self) -> Path:
		return self.folder.with_name("part")


def _sources(html: str, hosts: frozenset[str]) -> tuple[str, set[str]]:
	"""Returns the cleaned HTML, and the names of the media in the package that it would show."""
	names: set[str] = set()

	def note(name: str) -> None:
		names.add(name)

	return _clean(html, hosts, note), names


def _clean(html: str, hosts: frozenset[str], address: Callable[[str], str | None]) -> str:
	"""Cleans HTML. `address` returns the new address for a name, and raises nothing: nh3 would drop it."""

	def rewrite(_tag: str, attribute: str, value: str) -> str | None:
		if attribute != "src" or is_media_allowed(value.strip(), hosts):
			return value
		return address(normalised(unquote(value.strip())))

	return clean_html(html, hosts, rewrite)
