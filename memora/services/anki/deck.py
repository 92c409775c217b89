"""A package that has been read: what it makes, and what it leaves out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import frappe
from frappe import _
from frappe.core.api.file import get_max_file_size

from memora.exceptions import InvalidAnkiPackage
from memora.services.anki import reader, sandbox
from memora.services.anki.limits import Limits
from memora.services.anki.messages import Message, Refused, told
from memora.services.anki.package import Review
from memora.services.settings import get_settings

LIMITS = Limits()


@dataclass(frozen=True)
class Item:
	"""A question to make. `media` are names of files in the deck's folder; its HTML has them at media.ADDRESS."""

	question_id: str
	card_id: int
	deck: str
	guid: str
	tags: list[str]
	question: str
	answer: str
	media: list[str]


@dataclass(frozen=True)
class Problem:
	note: str
	deck: str
	guid: str
	reason: str


@dataclass(frozen=True)
class Deck:
	"""The counts, and the files that hold the rest. `skipped` counts cards and notes; `decks` the questions of each deck.

	The files are read again and again, line by line: a deck is larger than what a web server should hold in memory.
	"""

	folder: Path
	notes: int
	questions: int
	skipped: int
	media: int
	answers: int
	decks: dict[str, int]

	def items(self) -> Iterator[Item]:
		"""Yields the questions to make, in the order of the notes."""
		for values in self._lines(reader.ITEMS):
			yield Item(*values)

	def problems(self) -> list[Problem]:
		"""Returns why cards, notes and media are left out; the first reader.MAX_PROBLEMS."""
		lines = self._lines(reader.PROBLEMS)
		return [Problem(note, deck, guid, _told(reason)) for note, deck, guid, reason in lines]

	def reviews(self) -> Iterator[Review]:
		"""Yields all answers in the order of time."""
		for values in self._lines(reader.REVIEWS):
			yield Review(*values)

	def _lines(self, name: str) -> Iterator[list[Any]]:
		with (self.folder / name).open() as file:
			yield from map(json.loads, file)


@contextmanager
def open_package(path: str | Path, keep_media: bool = False) -> Iterator[Deck]:
	"""Reads an .apkg in a process of its own. Raises InvalidAnkiPackage, which says what is wrong with the file.

	`keep_media`: the deck's folder gets the media that cards show.
	"""
	hosts = tuple(get_settings().allowed_media_hosts)
	limits = replace(LIMITS, hosts=hosts, keep_media=keep_media, max_media_bytes=get_max_file_size())
	with TemporaryDirectory(prefix="memora-anki-") as folder:
		try:
			result, _cost = sandbox.run_reader(Path(path).resolve(), Path(folder), limits)
		except Refused as error:
			if error.trace:
				frappe.logger("memora").error(error.trace)
			reason = _told(error.message)
			frappe.throw(_("This Anki file can't be imported. {0}").format(reason), InvalidAnkiPackage)
		yield Deck(Path(folder), **result)


def _told(message: Message) -> str:
	return told(message, _)
