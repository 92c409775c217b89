"""The pictures and sounds of an Anki deck, as public Files of the questions that show them.

Public, because learners may not read Game Question in the desk, so that its private files would be closed to them.
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
# What learners' pages show and play. SVG is left out: opened on its own, it may run scripts.
ENDINGS = {
	*(".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp"),
	*(".mp3", ".ogg", ".oga", ".opus", ".wav", ".m4a", ".aac", ".flac"),
}


class Media:
	"""The media of one package, and which of them questions show."""

	def __init__(self, package: AnkiPackage) -> None:
		self.package, self.max_bytes = package, get_max_file_size()
		self.used: set[str] = set()
		self.used_bytes = 0
		self.why_not = cache(self._why_not)

	def keep_usable(self, html: str) -> tuple[str, set[str], dict[str, str]]:
		"""(cleaned HTML, names of the media it shows, {name: why not} of those taken out of it)."""
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
				_("Its notes show more than {0} media files or {1} MB. Export a part of the deck.").format(
					MAX_FILES, MAX_TOTAL_BYTES >> 20
				),
				InvalidAnkiPackage,
			)

	def _why_not(self, name: str) -> str | None:
		if name not in self.package.media:
			return _("is not in the file")
		if PurePosixPath(name).suffix.lower() not in ENDINGS:
			return _("is of a kind that is not imported")
		if self.package.read_media(name, self.max_bytes) is None:
			return _("is larger than {0} MB").format(self.max_bytes >> 20)
		return None

	def attach(self, html: str, question: str) -> str:
		"""The HTML with the addresses of its media, which are now Files of the question. Commits nothing."""

		def address(_tag: str, attribute: str, value: str) -> str:
			name = attribute == "src" and _name(value)
			return self._file_url(name, question) if name else value

		return clean(html, address)

	def _file_url(self, name: str, question: str) -> str:
		content = self.package.read_media(name, self.max_bytes)
		assert content is not None  # why_not has left out what is too large
		# by content: other decks may have another picture of this name
		file_name = f"anki-{sha256(content).hexdigest()[:20]}{PurePosixPath(name).suffix.lower()}"
		owner = {"attached_to_doctype": DOCTYPE, "attached_to_name": question, "file_name": file_name}
		if url := frappe.db.get_value("File", owner, "file_url"):
			return url
		file = {"doctype": "File", **owner, "is_private": 0, "content": content}
		return frappe.get_doc(file).insert().file_url


def _name(source: str) -> str | None:
	"""What a package calls the file that `src` names; None for an address somewhere else."""
	source = source.strip()
	if not source or source.startswith("/") or ":" in source.partition("/")[0]:
		return None
	return normalised(unquote(source))
