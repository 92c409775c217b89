"""The process that reads a package: sandbox.py starts it. It writes what it found to files in a folder.

Anybody may have made the package. So all reading of it happens here, within limits, and in a fresh interpreter: the
process that asks may have threads, connections and locks. Nothing here needs Frappe, which takes a second to start.
"""

import json
import os
import sqlite3
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from memora.services.anki.archive import Archive
from memora.services.anki.cards import render_card
from memora.services.anki.html_text import excerpt, is_empty
from memora.services.anki.limits import (
	MB,
	SECONDS_PER_ANSWER,
	SECONDS_PER_CARD,
	Allowance,
	Limits,
)
from memora.services.anki.media import Media
from memora.services.anki.messages import Message, Refused, Unusable, _, refuse, say
from memora.services.anki.package import Card, Package
from memora.services.store import row_names

MAX_PROBLEMS = 500  # that are written; `skipped` counts every card and note
MAX_DECKS = 1_000
MAX_TEXT = 64 * MB  # characters of all questions and answers
OUT_OF_MEMORY = 12  # an exit code
# The files in the folder
ITEMS, PROBLEMS, REVIEWS, RESULT, STAGE, MEDIA = (
	*("items.jsonl", "problems.jsonl", "reviews.jsonl", "result.json", "stage.json", "media"),
)


class Output:
	"""The files that are written."""

	def __init__(self, folder: Path, stack: ExitStack) -> None:
		self.folder = folder
		names = (ITEMS, PROBLEMS, REVIEWS)
		self.files = {name: stack.enter_context((folder / name).open("w")) for name in names}
		self.stage_file = stack.enter_context((folder / STAGE).open("wb", buffering=0))

	def line(self, name: str, value: object) -> None:
		print(json.dumps(value), file=self.files[name])

	def stage(self, text: str, *values: Any) -> None:
		"""Notes what is read now, for the case that this process is ended."""
		os.pwrite(self.stage_file.fileno(), json.dumps(say(text, *values)).encode() + b"\n", 0)


@dataclass
class Reading:
	"""What is found in one package. `skipped` counts cards and notes; `problems` also counts unusable media."""

	output: Output
	media: Media
	allowance: Allowance
	notes: set[str] = field(default_factory=set)
	known: dict[str, str] = field(default_factory=dict)  # note IDs, by a digest of question and answer
	names: set[str] = field(default_factory=set)
	decks: Counter[str] = field(default_factory=Counter)
	skipped: int = 0
	problems: int = 0
	text: int = 0  # characters

	def read_cards(self, cards: Iterable[Card]) -> None:
		for card in cards:
			self.output.stage(_("card {0} of the note {1}"), card.ordinal + 1, card.guid)
			self.allowance.earn(SECONDS_PER_CARD)
			self.notes.add(card.guid)
			try:
				self._read_card(card)
			except Unusable as error:
				self.skipped += 1
				self._problem(card.values[0], card.deck, card.guid, error.message)

	def read_orphans(self, notes: Iterable[tuple[str, str]]) -> int:
		count = 0
		for guid, values in notes:
			count += 1
			self.skipped += 1
			self._problem(values, "", guid, say(_("The note has no cards.")))
		return count

	def _read_card(self, card: Card) -> None:
		"""Makes a question of a card. Raises Unusable."""
		faces = render_card(card)
		question, shown, problems = self.media.keep_usable(faces.question)
		answer, also_shown, more_problems = self.media.keep_usable(faces.answer)
		problems |= more_problems
		if is_empty(question) or is_empty(answer):
			text = _("Nothing is left of the card after its forbidden parts are removed. {0}")
			raise Unusable(say(text, _joined(problems.values())))
		name = f"anki-{row_names.digest(card.guid, str(card.ordinal))}"
		self._refuse_double(card, name, question, answer)
		self._count(card, question, answer)
		item = [name, card.id, card.deck, card.guid, card.tags, question, answer, sorted(shown | also_shown)]
		self.output.line(ITEMS, item)
		for reason in problems.values():
			self._problem(card.values[0], card.deck, card.guid, reason)

	def _refuse_double(self, card: Card, name: str, question: str, answer: str) -> None:
		key = row_names.digest(question, answer)
		if key in self.known:
			raise Unusable(say(_("The note {0} has the same question and answer."), self.known[key]))
		if name in self.names:
			raise Unusable(say(_("Another note has the same ID, {0}."), card.guid))
		self.known[key] = card.guid
		self.names.add(name)

	def _count(self, card: Card, question: str, answer: str) -> None:
		"""Counts a question. Refuses a package that makes too many."""
		self.text += len(question) + len(answer)
		if self.text > MAX_TEXT:
			refuse(
				_("The cards of the file come to more than {0} MB of text. Export a part of the deck."),
				MAX_TEXT // MB,
			)
		self.decks[card.deck] += 1
		if len(self.decks) > MAX_DECKS:
			raise Refused(
				say(
					_("The file has more than {0} decks or note types. Export a part of the deck."), MAX_DECKS
				)
			)

	def _problem(self, note: str, deck: str, guid: str, reason: Message) -> None:
		self.problems += 1
		if self.problems <= MAX_PROBLEMS:
			self.output.line(PROBLEMS, [excerpt(note), deck, guid, reason])


def read_package(path: Path, folder: Path, limits: Limits) -> dict[str, Any]:
	"""Reads a package. Returns the counts; cards, problems and answers are in the files. Raises Refused."""
	with ExitStack() as stack:
		output = Output(folder, stack)
		output.stage(_("the list of its files"))
		archive = Archive(stack.enter_context(path.open("rb")))
		output.stage(_("its database"))
		package = Package(archive, folder)
		allowance = Allowance(limits)
		reading = Reading(output, Media(package, path, folder / MEDIA, allowance), allowance)
		reading.read_cards(package.cards())
		output.stage(_("notes without cards"))
		orphans = reading.read_orphans(package.notes_without_cards())
		output.stage(_("its answers"))
		answers = 0
		for review in package.reviews():
			answers += 1
			allowance.earn(SECONDS_PER_ANSWER)
			output.line(REVIEWS, review)
	return {
		"notes": len(reading.notes) + orphans,
		"questions": reading.decks.total(),
		"skipped": reading.skipped,
		"media": len(reading.media.used),
		"answers": answers,
		"decks": dict(reading.decks),
	}


def _read_or_refuse(path: Path, folder: Path, limits: Limits) -> dict[str, Any]:
	try:
		return read_package(path, folder, limits)
	except Refused as error:
		return {"refused": error.message}
	except zipfile.BadZipFile as error:
		return {"refused": _not_a_zip(str(error))}
	except (sqlite3.Error, zstandard.ZstdError, zlib.error, EOFError, NotImplementedError, OSError) as error:
		return {"refused": say(_("The file can't be read: {0}. Export the deck again."), str(error))}
	except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
		text = _("The file's contents are not as Anki writes them: {0}.")
		return {"refused": say(text, f"{type(error).__name__}: {error}")}


def _not_a_zip(error: str) -> Message:
	if error.startswith(("Bad CRC", "Overlapped")):
		return say(_("The file can't be read: {0}. Export the deck again."), error)
	text = _(
		"The file is not a zip file. In Anki, choose File, Export, and the format Anki Deck Package (.apkg)."
	)
	return say(text)


def main(path: str, folder: str, limits: str) -> None:
	held = Limits(**json.loads(limits))
	held.hold()
	try:
		result = _read_or_refuse(Path(path), Path(folder), held)
	except MemoryError:
		os._exit(OUT_OF_MEMORY)
	(Path(folder) / RESULT).write_text(json.dumps(result))


def _joined(messages: Iterable[Message]) -> Message:
	found = list(messages)[:5]
	return ["; ".join(f"{{{number}}}" for number in range(len(found))), *found]
