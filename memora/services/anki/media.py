"""The pictures and sounds of an Anki deck, kept as public Files of the questions that show them.

The Files are public, because learners may not read Game Question in the desk: learners could not open a question's
private Files.
"""

from functools import cache
from hashlib import sha256
from pathlib import PurePosixPath
from urllib.parse import unquote

import frappe
from frappe import _
from frappe.core.api.file import get_max_file_size

from memora.exceptions import InvalidAnkiPackage
from memora.services.anki.package import AnkiPackage, normalised
from memora.services.learning.question_html import clean

DOCTYPE = "Game Question"
MAX_FILES = 10_000
MAX_TOTAL_BYTES = 1 << 30
# The kinds that learners' pages show and play. SVG is left out: an SVG that is opened on its own may run scripts.
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp")
SOUNDS = (".mp3", ".ogg", ".oga", ".opus", ".wav", ".m4a", ".aac", ".flac")


class Media:
	"""The media of one package. Remembers which of them the questions show."""

	def __init__(self, package: AnkiPackage) -> None:
		self.package, self.max_bytes = package, get_max_file_size()
		self.used: set[str] = set()
		self.used_bytes = 0
		self.why_not = cache(self._why_not)

	def keep_usable(self, html: str) -> tuple[str, set[str], dict[str, str]]:
		"""Cleans HTML, and takes out media that can't be used.

		Returns (the HTML, the names of the media that it shows, {name: why not} of the media taken out). Raises
		InvalidAnkiPackage when the questions of the package show more than MAX_FILES or MAX_TOTAL_BYTES.
		"""
		names, problems = set(), {}

		def look(_tag: str, attribute: str, value: str) -> str | None:
			name = attribute == "src" and _name(value)
			if not name:
				return value
			if reason := self.why_not(name):
				problems[name] = reason
				return None
			names.add(name)
			return value

		cleaned = clean(html, look) or ""
		self._use(names)
		return cleaned, names, problems

	def _use(self, names: set[str]) -> None:
		self.used_bytes += sum(self.package.size_of(name) for name in names - self.used)
		self.used |= names
		if len(self.used) > MAX_FILES or self.used_bytes > MAX_TOTAL_BYTES:
			frappe.throw(
				_("The notes show more than {0} media files or {1} MB. Export a part of the deck.").format(
					MAX_FILES, MAX_TOTAL_BYTES >> 20
				),
				InvalidAnkiPackage,
			)

	def _why_not(self, name: str) -> str | None:
		if name not in self.package.media:
			return _("is not in the file")
		if PurePosixPath(name).suffix.lower() not in PICTURES + SOUNDS:
			return _("has a file type that is not imported")
		if self.package.read_media(name, self.max_bytes) is None:
			return _("is larger than {0} MB").format(self.max_bytes >> 20)
		return None

	def attach(self, html: str, question: str) -> str:
		"""Makes the media in HTML Files of a question. Returns the HTML with the Files' addresses. Commits nothing."""

		def address(_tag: str, attribute: str, value: str) -> str:
			name = attribute == "src" and _name(value)
			return self._file_url(name, question) if name else value

		return clean(html, address)

	def _file_url(self, name: str, question: str) -> str:
		content = self.package.read_media(name, self.max_bytes)
		assert content is not None  # keep_usable has taken out media that are too large
		# named by its content: another deck may have another picture of this name
		file_name = f"anki-{sha256(content).hexdigest()[:20]}{PurePosixPath(name).suffix.lower()}"
		owner = {"attached_to_doctype": DOCTYPE, "attached_to_name": question, "file_name": file_name}
		if url := frappe.db.get_value("File", owner, "file_url"):
			return url
		file = {"doctype": "File", **owner, "is_private": 0, "content": content}
		return frappe.get_doc(file).insert().file_url


def _name(source: str) -> str | None:
	"""Returns the package's name for the file that `src` names, or None for an address somewhere else."""
	source = source.strip()
	if not source or source.startswith("/") or ":" in source.partition("/")[0]:
		return None
	return normalised(unquote(source))
