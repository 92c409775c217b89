"""Reads .apkg files, which Anki exports: a zip of a SQLite database and of the media that the notes show.

Only the database is unpacked, to a temporary file. Two layouts are known: the old layout (collection.anki2,
collection.anki21), and the layout of Anki 2.1.50 and later (collection.anki21b: compressed, with protocol buffers where
JSON was). Anki's sources describe both, in rslib/src/import_export and proto/anki.
"""

import json
import sqlite3
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import frappe
import zstandard
from frappe import _

from memora.exceptions import InvalidAnkiPackage

# The best first: in a zip that has several, the others only stand in for it
COLLECTIONS = ("collection.anki21b", "collection.anki21", "collection.anki2")
LATEST_VERSION = 3  # of the layout; the zip's file `meta` says which version it has
MAX_COLLECTION_BYTES = 64 << 20  # some 100,000 notes
MAX_MAP_BYTES = 8 << 20
MAX_CARDS = 50_000
MAX_NAME = 140  # characters in a field that holds a name
READ_SECONDS = 60  # for all statements on one database, which somebody else made
ENCRYPTED = 0x1  # a bit in the flags of each file in a zip
METHODS = (
	zipfile.ZIP_STORED,
	zipfile.ZIP_DEFLATED,
)  # Anki's; others have errors of their own, in each Python more
DECK_SEPARATOR = "::"
# Kinds of revlog rows: learning, review, relearning. The other kinds are cramming and changes of settings.
ANSWERS = (0, 1, 2)

CARDS_SQL = """
	SELECT c.id, c.ord, CASE WHEN c.odid != 0 THEN c.odid ELSE c.did END, n.guid, n.mid, n.flds, n.tags
	FROM cards c JOIN notes n ON n.id = c.nid ORDER BY n.id, c.ord LIMIT ?"""
NOTES_WITHOUT_CARDS_SQL = "SELECT guid, flds FROM notes WHERE id NOT IN (SELECT nid FROM cards) LIMIT ?"
REVIEWS_SQL = "SELECT cid, id, ease, time, type FROM revlog ORDER BY id"
LEGACY_SQL = "SELECT models, decks FROM col"
TYPES_SQL = "SELECT id, name, config FROM notetypes"
FIELDS_SQL = "SELECT name FROM fields WHERE ntid = ? ORDER BY ord"
TEMPLATES_SQL = "SELECT name, config FROM templates WHERE ntid = ? ORDER BY ord"
DECKS_SQL = "SELECT id, name FROM decks"


@dataclass(frozen=True)
class Template:
	name: str
	front: str
	back: str


@dataclass(frozen=True)
class NoteType:
	name: str
	is_cloze: bool
	fields: list[str]
	templates: list[Template]


@dataclass(frozen=True)
class Card:
	"""A card and its note. `ordinal` counts from 0: it is the template's position, or the cloze's number less one."""

	id: int
	ordinal: int
	deck: str
	guid: str
	note_type: NoteType | None
	values: list[str]
	tags: list[str]


@dataclass(frozen=True)
class Review:
	"""An answer given in Anki. `reviewed_ts` is in epoch seconds, `button` is 1 (Again) to 4 (Easy)."""

	card_id: int
	reviewed_ts: float
	button: int
	response_time_ms: int


class _TooBig(Exception):
	pass


@contextmanager
def _named_errors() -> Iterator[None]:
	"""Raises InvalidAnkiPackage in place of any error that a broken file makes the readers raise."""
	try:
		yield
	except zipfile.BadZipFile:
		_refuse(
			_(
				"The file is not a zip file. In Anki, choose File, Export, and the format Anki Deck Package (.apkg)."
			)
		)
	except _TooBig as error:
		_refuse(str(error))
	except (sqlite3.Error, zstandard.ZstdError, zlib.error, EOFError, NotImplementedError) as error:
		_refuse(_("The file can't be read: {0}. Export the deck again.").format(error))
	except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
		_refuse(_("The file's contents are not as Anki writes them: {0}.").format(repr(error)))


class AnkiPackage:
	"""The contents of a package; see `open_package`."""

	def __init__(self, archive: zipfile.ZipFile, database: sqlite3.Connection, is_new: bool) -> None:
		self.archive, self.database, self.is_new = archive, database, is_new
		self.members = {info.filename: info for info in archive.infolist()}
		self.cards = self._cards()
		self.orphans = _query(database, NOTES_WITHOUT_CARDS_SQL, MAX_CARDS)
		self.media = {normalised(name): member for name, member in self._media() if member in self.members}

	def _cards(self) -> list[Card]:
		types, decks = (
			(_types(self.database), _decks(self.database)) if self.is_new else _legacy(self.database)
		)
		rows = _query(self.database, CARDS_SQL, MAX_CARDS + 1)
		if len(rows) > MAX_CARDS:
			_refuse(_("The file has more than {0} cards. Export a part of the deck.").format(MAX_CARDS))
		return [
			Card(
				card,
				ordinal,
				_storable(decks.get(deck, "")),
				str(guid)[:MAX_NAME],
				types.get(mid),
				str(values).split("\x1f"),
				tags.split(),
			)
			for card, ordinal, deck, guid, mid, values, tags in rows
		]

	def _media(self) -> Iterator[tuple[str, str]]:
		"""Yields (name in the notes, name in the zip) of each media file."""
		info = self.members.get("media")
		if not info:
			return
		if self.is_new:
			entries = _messages(_inflated(self.archive, info, MAX_MAP_BYTES), 1)
			yield from ((_text(entry, 1), str(n)) for n, entry in enumerate(entries))
		else:
			yield from ((name, n) for n, name in json.loads(_read(self.archive, info, MAX_MAP_BYTES)).items())

	def size_of(self, name: str) -> int:
		"""Returns a media file's size in bytes. In the new layout this is the compressed size."""
		return self.members[self.media[name]].file_size

	@_named_errors()
	def read_media(self, name: str, max_bytes: int) -> bytes | None:
		"""Returns a media file's content, or None if it is longer than `max_bytes`. Raises InvalidAnkiPackage."""
		info = self.members[self.media[name]]
		if info.file_size > max_bytes:
			return None
		try:
			return (
				_inflated(self.archive, info, max_bytes)
				if self.is_new
				else _read(self.archive, info, max_bytes)
			)
		except _TooBig:
			return None

	@_named_errors()
	def reviews(self) -> list[Review]:
		"""Returns all answers in the order of time. Raises InvalidAnkiPackage."""
		return [
			Review(card, milliseconds / 1000, button, max(0, took))
			for card, milliseconds, button, took, kind in _query(self.database, REVIEWS_SQL)
			if kind in ANSWERS and 1 <= button <= 4
		]


@contextmanager
def open_package(path: str | Path) -> Iterator[AnkiPackage]:
	"""Opens an .apkg and reads its notes. Raises InvalidAnkiPackage, which says what is wrong with the file."""
	with ExitStack() as stack:
		with _named_errors():
			archive = stack.enter_context(zipfile.ZipFile(path))
			name = _find_collection(archive)
			is_new = name == COLLECTIONS[0]
			file = Path(stack.enter_context(TemporaryDirectory())) / "collection"
			read = _inflated if is_new else _read
			file.write_bytes(read(archive, archive.getinfo(name), MAX_COLLECTION_BYTES))
			database = stack.enter_context(closing(_connect(file)))
			package = AnkiPackage(archive, database, is_new)
		yield package


def _find_collection(archive: zipfile.ZipFile) -> str:
	members = {info.filename: info for info in archive.infolist()}
	if any(info.flag_bits & ENCRYPTED for info in members.values()):
		_refuse(_("The file is encrypted. Export the deck without a password."))
	if strange := {info.compress_type for info in members.values()}.difference(METHODS):
		raise NotImplementedError(f"compression method {strange.pop()}")
	version = _number(_read(archive, members["meta"], MAX_MAP_BYTES), 1) if "meta" in members else 0
	if version > LATEST_VERSION:
		_refuse(
			_(
				"The file's format {0} is newer than Memora can read. Export the deck with 'Support older Anki versions' ticked."
			).format(version)
		)
	for name in COLLECTIONS:
		if name in members:
			return name
	_refuse(_("The file holds no collection (none of {0}).").format(", ".join(COLLECTIONS)))


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
	"""Reads one file of a zip. The declared size can be trusted: zipfile never gives more bytes."""
	if info.file_size > max_bytes:
		_too_big(info.filename, max_bytes)
	return archive.read(info)


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
	with archive.open(info) as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
		data = stream.read(max_bytes + 1)
	if len(data) > max_bytes:
		_too_big(info.filename, max_bytes)
	return data


def _too_big(name: str, max_bytes: int) -> NoReturn:
	raise _TooBig(_("{0} in the file is larger than {1} MB.").format(name, max_bytes >> 20))


def _connect(file: Path) -> sqlite3.Connection:
	database = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)
	database.execute("PRAGMA trusted_schema = OFF")
	database.create_collation(
		"unicase", lambda a, b: (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())
	)
	deadline = time.monotonic() + READ_SECONDS  # a view in the database could compute for ever
	database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
	return database


def _query(database: sqlite3.Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
	return database.execute(statement, values).fetchall()


def _legacy(database: sqlite3.Connection) -> tuple[dict[int, NoteType], dict[int, str]]:
	((models, decks),) = _query(database, LEGACY_SQL)
	types = {int(key): _legacy_type(model) for key, model in json.loads(models).items()}
	return types, {int(key): deck["name"] for key, deck in json.loads(decks).items()}


def _legacy_type(model: dict[str, Any]) -> NoteType:
	fields = [field["name"] for field in sorted(model["flds"], key=lambda f: f["ord"])]
	templates = sorted(model["tmpls"], key=lambda t: t["ord"])
	return NoteType(
		model["name"],
		bool(model.get("type")),
		fields,
		[Template(t["name"], t["qfmt"], t["afmt"]) for t in templates],
	)


def _types(database: sqlite3.Connection) -> dict[int, NoteType]:
	return {
		key: NoteType(
			name,
			_number(config, 1) == 1,
			[field for (field,) in _query(database, FIELDS_SQL, key)],
			[Template(n, _text(c, 1), _text(c, 2)) for n, c in _query(database, TEMPLATES_SQL, key)],
		)
		for key, name, config in _query(database, TYPES_SQL)
	}


def _decks(database: sqlite3.Connection) -> dict[int, str]:
	return {key: name.replace("\x1f", DECK_SEPARATOR) for key, name in _query(database, DECKS_SQL)}


# Protocol buffers: only the part of the wire format that Anki's messages use


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
	"""Yields (field number, value) for each field of a message."""
	at = 0
	value: int | bytes
	while at < len(data):
		key, at = _varint(data, at)
		kind = key & 7
		if kind == 0:
			value, at = _varint(data, at)
		else:
			length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
			value, at = data[at : at + length], at + length
		yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
	value = shift = 0
	while True:
		byte = data[at]
		value |= (byte & 0x7F) << shift
		at, shift = at + 1, shift + 7
		if byte < 0x80:
			return value, at


def _messages(data: bytes, number: int) -> list[bytes]:
	return [value for field, value in _fields(data) if field == number and isinstance(value, bytes)]


def _text(data: bytes, number: int) -> str:
	return "".join(value.decode() for value in _messages(data, number)[-1:])


def _number(data: bytes, number: int) -> int:
	return next((value for field, value in _fields(data) if field == number and isinstance(value, int)), 0)


def normalised(name: str) -> str:
	"""Returns one spelling of a file's name. Different systems write accents in different ways in notes and packages."""
	return unicodedata.normalize("NFC", name)


def _storable(name: str) -> str:
	"""Returns a deck's name in a form that a field keeps unchanged. Frappe would escape what looks like HTML."""
	return name.translate({ord("<"): "(", ord(">"): ")"})[:MAX_NAME]


def _refuse(reason: str) -> NoReturn:
	frappe.throw(_("This Anki file can't be imported. {0}").format(reason), InvalidAnkiPackage)
