"""Reads .apkg files, which Anki exports: a zip of a SQLite database and of the media that the notes show.

Two layouts are known: the old layout (collection.anki2, collection.anki21), and the layout of Anki 2.1.50 and later
(collection.anki21b: compressed, with protocol buffers where JSON was). Anki's sources describe both, in
rslib/src/import_export and proto/anki.

No frappe: the reader's process starts without it; see reader.py.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from memora.services.anki import collection, wire
from memora.services.anki.archive import COLLECTIONS, Archive, limited, unpack
from memora.services.anki.collection import Collection
from memora.services.anki.limits import MAX_COLLECTION_BYTES, MB
from memora.services.anki.messages import MAX_NAME, _, plain, refuse

LATEST_VERSION = 3  # of the layout; the zip's file `meta` says which version it has
MAX_META_BYTES = MB
MAX_MAP_BYTES = 8 * MB
MAX_MEDIA_NAMES = 50_000
MAX_FILE_NAME = 255
MAX_CARDS = 50_000
MAX_REVIEWS = 500_000
MAX_NOTE = MB  # characters in all fields of a note
MAX_FIELDS = 256
MAX_TAGS = 100
DECK_SEPARATOR = "::"
# Kinds of revlog rows: learning, review, relearning. The other kinds are cramming and changes of settings.
ANSWERS = (0, 1, 2)


@dataclass(frozen=True)
class Card:
	"""A card and its note. `ordinal` counts from 0: it is the template's position, or the cloze's number less one."""

	id: int
	ordinal: int
	deck: str
	guid: str
	note_type: collection.NoteType | None
	values: list[str]
	tags: list[str]
	is_too_long: bool


class Review(NamedTuple):
	"""An answer given in Anki. `reviewed_ts` is in epoch seconds, `button` is 1 (Again) to 4 (Easy)."""

	card_id: int
	reviewed_ts: float
	button: int
	response_time_ms: int


class Package:
	"""The contents of a package. Unpacks the database to `folder`."""

	def __init__(self, archive: Archive, folder: Path) -> None:
		self.archive = archive
		name = _find_collection(archive)
		self.is_new = name == COLLECTIONS[0]
		path = folder / "collection"
		unpack(archive, name, path, MAX_COLLECTION_BYTES, self.is_new)
		self.collection = Collection(path, self.is_new)
		names = {normalised(name): member for name, member in self._media() if member in archive.members}
		self.media = {name: member for name, member in names.items() if len(name) <= MAX_FILE_NAME}

	def cards(self) -> Iterator[Card]:
		"""Yields the cards in the order of their notes."""
		types, decks = self.collection.note_types(), self.collection.decks()
		ids = self.collection.card_ids(MAX_CARDS + 1)
		if len(ids) > MAX_CARDS:
			refuse(_("The file has more than {0} cards. Export a part of the deck."), MAX_CARDS)
		for card, ordinal, deck, note in ids:
			guid, kind, values, tags = self.collection.note(note)
			yield Card(
				card,
				ordinal,
				plain(decks.get(deck, "")),
				plain(guid),
				types.get(kind),
				values[:MAX_NOTE].split("\x1f", MAX_FIELDS),
				tags[: MAX_TAGS * MAX_NAME].split()[:MAX_TAGS],
				len(values) > MAX_NOTE,
			)

	def notes_without_cards(self) -> Iterator[tuple[str, str]]:
		"""Yields (guid, fields) of notes that no card belongs to."""
		for guid, values in self.collection.orphans(MAX_CARDS):
			yield plain(guid), values[:MAX_NOTE]

	def media_chunks(self, name: str, max_bytes: int) -> Iterator[bytes]:
		"""Yields a media file, in parts. Raises TooBig."""
		return self.archive.chunks(self.media[name], max_bytes, self.is_new)

	def reviews(self) -> Iterator[Review]:
		"""Yields all answers in the order of time."""
		if self.collection.has_more_reviews_than(MAX_REVIEWS):
			refuse(_("The file has more than {0} answers. Export a part of the deck."), MAX_REVIEWS)
		for card, milliseconds, button, took, kind in self.collection.reviews():
			if kind in ANSWERS and 1 <= button <= 4:
				yield Review(card, milliseconds / 1000, button, max(0, took))

	def _media(self) -> Iterator[tuple[str, str]]:
		"""Yields (name in the notes, name in the zip) of each media file."""
		if "media" not in self.archive.members:
			return
		with limited("media", MAX_MAP_BYTES):
			data = self.archive.read("media", MAX_MAP_BYTES, self.is_new)
		if self.is_new:
			for number, entry in enumerate(wire.messages(data, 1)):
				_check_media_count(number)
				yield wire.text(entry, 1), str(number)
		else:
			_check_media_count(data.count(b":") // 2)  # some names have colons, most have none
			yield from ((name, member) for member, name in json.loads(data).items())


def _check_media_count(count: int) -> None:
	if count > MAX_MEDIA_NAMES:
		refuse(_("The file lists more than {0} media files. Export a part of the deck."), MAX_MEDIA_NAMES)


def _find_collection(archive: Archive) -> str:
	version = 0
	if "meta" in archive.members:
		with limited("meta", MAX_META_BYTES):
			version = wire.number(archive.read("meta", MAX_META_BYTES), 1)
	if version > LATEST_VERSION:
		refuse(
			_(
				"The file's format {0} is newer than Memora can read. Export the deck with 'Support older Anki versions' ticked."
			),
			str(version),
		)
	for name in COLLECTIONS:
		if name in archive.members:
			return name
	refuse(_("The file holds no collection (none of {0})."), ", ".join(COLLECTIONS))


def normalised(name: str) -> str:
	"""Returns one spelling of a file's name. Different systems write accents in different ways in notes and packages."""
	return unicodedata.normalize("NFC", name)
