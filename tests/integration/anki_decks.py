"""Decks for the tests: written by genanki, or by hand where genanki would not write such a thing.

tests/data/anki-26.09.apkg was exported by Anki 26.09.3 in its present layout, and zipped again to be smaller.
"""

import json
import sqlite3
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import frappe
import genanki

from memora.services.anki import importer
from tests.integration.factories import make_topic

DOCTYPE = "Anki Import"
REVERSED = genanki.BASIC_AND_REVERSED_CARD_MODEL
CLOZE = genanki.CLOZE_MODEL
EXPORTED_BY_ANKI = Path(__file__).parents[1] / "data" / "anki-26.09.apkg"
SUBJECT = "Anki Subject"
TABLES = """
	CREATE TABLE col (models text, decks text);
	CREATE TABLE notes (id integer, guid text, mid integer, flds text, tags text);
	CREATE TABLE cards (id integer, nid integer, did integer, odid integer, ord integer);
	CREATE TABLE revlog (id integer, cid integer, ease integer, time integer, type integer);"""
BASIC_TYPE = {
	"name": "Basic",
	"type": 0,
	"flds": [{"name": "Front", "ord": 0}, {"name": "Back", "ord": 1}],
	"tmpls": [
		{"name": "Card 1", "ord": 0, "qfmt": "{{Front}}", "afmt": "{{FrontSide}}<hr id=answer>{{Back}}"}
	],
}


def png(red: int) -> bytes:
	"""A picture of one pixel."""

	def chunk(kind: bytes, data: bytes) -> bytes:
		return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

	header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
	pixel = chunk(b"IDAT", zlib.compress(bytes([0, red, 0, 0])))
	return b"\x89PNG\r\n\x1a\n" + header + pixel + chunk(b"IEND", b"")


def note(
	*fields: str, guid: str, model: genanki.Model = genanki.BASIC_MODEL, tags: tuple[str, ...] = ()
) -> genanki.Note:
	return genanki.Note(model=model, fields=list(fields), guid=guid, tags=list(tags))


def write_deck(
	path: Path, *notes: genanki.Note, media: dict[str, bytes] | None = None, deck: str = "Geo::Europe"
) -> Path:
	"""An .apkg by genanki."""
	package_deck = genanki.Deck(1_700_000_001, deck)
	for one in notes:
		package_deck.add_note(one)
	package = genanki.Package(package_deck)
	for name, content in (media or {}).items():
		file = path.parent / name
		file.write_bytes(content)
		package.media_files.append(str(file))
	package.write_to_file(str(path))
	return path


def write_old(path: Path, notes: list[tuple[str, str]], **more: Any) -> Path:
	"""An .apkg of the oldest layout: Basic notes given as (guid, fields), `revlog` rows, `media` {zip name: file name},
	`files` {zip name: content}. The card of the n-th note has the id n."""
	database = path.with_suffix(".db")
	with sqlite3.connect(database) as connection:
		connection.executescript(TABLES)
		connection.execute(
			"INSERT INTO col VALUES (?, ?)",
			(json.dumps({"1": BASIC_TYPE}), json.dumps({"1": {"name": "Old"}})),
		)
		for number, (guid, fields) in enumerate(notes, start=1):
			connection.execute("INSERT INTO notes VALUES (?, ?, 1, ?, '')", (number, guid, fields))
			connection.execute("INSERT INTO cards VALUES (?, ?, 1, 0, 0)", (number, number))
		connection.executemany("INSERT INTO revlog VALUES (?, ?, ?, ?, ?)", more.get("revlog", []))
	connection.close()
	with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
		archive.write(database, "collection.anki2")
		archive.writestr("media", json.dumps(more.get("media", {})))
		for name, content in more.get("files", {}).items():
			archive.writestr(name, content)
	return path


def make_import(path: Path, **values: Any):
	"""An Anki Import of a file of this host, uploaded as a private File. Commits."""
	make_topic(SUBJECT, "Standing")
	file = {"doctype": "File", "file_name": path.name, "is_private": 1, "content": path.read_bytes()}
	url = frappe.get_doc(file).insert().file_url
	doc = frappe.get_doc({"doctype": "Anki Import", "subject": SUBJECT, "file": url, **values}).insert()
	frappe.db.commit()
	return doc


def imported() -> list:
	return frappe.get_all(
		"Game Question",
		filters={"name": ("like", "anki-%")},
		fields=["name", "question", "answer", "topic", "subject", "position", "_user_tags"],
		order_by="position, name",
	)


def files() -> list:
	return frappe.get_all(
		"File",
		filters={"attached_to_doctype": "Game Question"},
		fields=["file_url", "attached_to_name", "is_private"],
	)


def fresh(doc):
	return frappe.get_doc(DOCTYPE, doc.name)


def run(path: Path, **values):
	"""The Anki Import after its job, done here."""
	doc = make_import(path, **values)
	importer.run_import(doc.name)
	return fresh(doc)
