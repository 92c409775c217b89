"""Decks that are made to hurt who reads them: each function writes one to a path. test_anki_bombs.py reads them."""

import json
import random
import sqlite3
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import zstandard

TABLES = """
	CREATE TABLE col (models text, decks text);
	CREATE TABLE notes (id integer, guid text, mid integer, flds text, tags text);
	CREATE TABLE cards (id integer, nid integer, did integer, odid integer, ord integer);
	CREATE TABLE revlog (id integer, cid integer, ease integer, time integer, type integer);"""
MB = 1 << 20


def note_type(front: str = "{{F}}", back: str = "{{B}}", fields: int = 2, **more: Any) -> dict[str, Any]:
	names = ["F", "B", *(f"f{number}" for number in range(2, fields))]
	return {
		"name": "Basic",
		"type": 0,
		"flds": [{"name": name, "ord": number} for number, name in enumerate(names)],
		"tmpls": [{"name": "Card", "ord": 0, "qfmt": front, "afmt": back}],
		**more,
	}


def database(path: Path, *notes: str, script: str = "", **more: Any) -> bytes:
	"""Notes are given as their fields, with \\x1f between. `models` is JSON or what becomes JSON."""
	file = path.with_suffix(".db")
	models = more.get("models", {"1": note_type()})
	with sqlite3.connect(file) as connection:
		connection.executescript(TABLES)
		decks = json.dumps(more.get("decks", {"1": {"name": "Deck"}}))
		values = (models if isinstance(models, str) else json.dumps(models), decks)
		connection.execute("INSERT INTO col VALUES (?, ?)", values)
		for number, fields in enumerate(notes, start=1):
			connection.execute(
				"INSERT INTO notes VALUES (?, ?, 1, ?, '')", (number, f"guid {number}", fields)
			)
			connection.execute("INSERT INTO cards VALUES (?, ?, 1, 0, 0)", (number, number))
		connection.executescript(script)
	connection.close()
	return file.read_bytes()


def zipped(path: Path, **members: bytes) -> None:
	with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
		for name, content in members.items():
			archive.writestr(name.removeprefix("n").replace("__", "."), content)


def deck(path: Path, *notes: str, **more: Any) -> None:
	"""`media` {zip name: file name}, `files` {zip name: content}."""
	files = {f"n{name}": content for name, content in more.pop("files", {}).items()}
	media = json.dumps(more.pop("media", {})).encode()
	zipped(path, collection__anki2=database(path, *notes, **more), media=media, **files)


def png(width: int, height: int) -> bytes:
	def chunk(kind: bytes, data: bytes) -> bytes:
		return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

	header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
	return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")


def template(front: str, *notes: str, **more: Any):
	return lambda path: deck(path, *notes or ("a\x1fb",), models={"1": note_type(front, **more)})


def script(statements: str, *notes: str):
	return lambda path: deck(path, *notes, script=statements)


def fields(*values: str):
	return lambda path: deck(path, "\x1f".join(values))


def picture(name: str, content: bytes):
	return lambda path: deck(path, f'text <img src="{name}">\x1fb', media={"0": name}, files={"0": content})


# The zip


def two_of_one_name(path: Path) -> None:
	collection = database(path, "a\x1fb")
	with zipfile.ZipFile(path, "w") as archive:
		for content in (collection, b"another"):
			archive.writestr("collection.anki2", content)


def overlapping(path: Path) -> None:
	"""All names stand for the same bytes."""
	deck(path, "a\x1fb", files={"0": bytes(MB)})
	with zipfile.ZipFile(path, "a") as archive:
		(one,) = (info for info in archive.infolist() if info.filename == "0")
		for number in range(1, 100):
			other = zipfile.ZipInfo(str(number))
			for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
				setattr(other, name, getattr(one, name))
			archive.filelist.append(other)
			archive.NameToInfo[other.filename] = other
		archive.writestr("last", b"")


def lying(path: Path) -> None:
	"""The list of files says that the collection has 1,000 bytes. It has 100 MB."""
	zipped(path, collection__anki2=bytes(100 * MB))
	data = bytearray(path.read_bytes())
	at = data.index(b"PK\x01\x02")
	data[at + 24 : at + 28] = struct.pack("<I", 1000)
	path.write_bytes(data)


def many_files(path: Path) -> None:
	zipped(path, **{f"n{number}": b"" for number in range(60_000)})


def new_layout(path: Path, collection: bytes, **more: bytes) -> None:
	zipped(path, meta=b"\x08\x03", collection__anki21b=collection, **more)


def giant_window(path: Path) -> None:
	settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
	stream = zstandard.ZstdCompressor(compression_params=settings).compressobj()
	new_layout(path, stream.compress(bytes(130 * MB)) + stream.flush())


def swollen(path: Path) -> None:
	new_layout(path, zstandard.ZstdCompressor().compress(bytes(70 * MB)))


def swollen_media(path: Path) -> None:
	names = [f"{number}.png" for number in range(20)]
	shown = "".join(f'<img src="{name}">' for name in names)
	picture = png(1, 1) + bytes(10 * MB)
	files = {str(n): picture + n.to_bytes(4, "big") for n in range(20)}
	deck(path, f"{shown}\x1fb", media=dict(zip(map(str, range(20)), names, strict=True)), files=files)


def long_list_of_media(entries: int):
	def write(path: Path) -> None:
		media = json.dumps({str(number): f"{number}.png" for number in range(entries)})
		zipped(path, collection__anki2=database(path, "a\x1fb"), media=media.encode())

	return write


# The database


def broken_pages(path: Path) -> None:
	data = bytearray(database(path, *(f"front {n} {'x' * 500}\x1fback" for n in range(200))))
	random.seed(14)
	data[8192:] = random.randbytes(len(data) - 8192)
	zipped(path, collection__anki2=bytes(data))


def same_ids(path: Path) -> None:
	"""Each of 20,000 cards belongs to each of 20,000 notes."""
	rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
	deck(
		path,
		script=f"""
		INSERT INTO notes {rows} SELECT 1, 'g', 1, 'a' || char(31) || 'b', '' FROM n;
		INSERT INTO cards {rows} SELECT i, 1, 1, 0, -i FROM n;""",
	)


def rows(table: str, columns: str, count: int):
	numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {count})"
	return script(f"INSERT INTO {table} {numbers} SELECT {columns} FROM n", "a\x1fb")


COMPUTED = "CREATE TABLE cards (id, nid, did, odid, ord AS (hex(zeroblob(400000000))))"
VIEW = """
	CREATE VIEW notes AS SELECT 1 id, 'g' guid, 1 mid, hex(zeroblob(400000000)) flds, '' tags;
	DROP TABLE cards;
	CREATE VIEW cards AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 50000)
	SELECT i id, 0 ord, 1 did, 0 odid, 1 nid FROM r"""
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT 1; END"
MARK = "<img src=x onerror=alert(1)>"
FANCY = f"""{{"{MARK}": {{}}}}"""
DEEP_CLOZE = "{{c1::a" * 3000 + "}}" * 3000
WIDE_CLOZE = {"1": note_type("{{cloze:F}}", type=1)}

# By the refusal that each ends in
REFUSED = {
	"meta in the file is larger than 1 MB": lambda path: zipped(path, meta=b"\xff" * (8 * MB)),
	"a number of more than 10 bytes": lambda path: zipped(path, meta=b"\xff" * 900_000),
	"The zip holds two files of the same name": two_of_one_name,
	"in the zip overlap": overlapping,
	"The file can't be read": lying,
	"The zip holds more than 50000 files": many_files,
	"Frame requires too much memory": giant_window,
	"collection.anki21b in the file is larger than 64 MB": swollen,
	"The media of the file take more than 19 MB when they are unpacked": swollen_media,
	"media in the file is larger than 8 MB": long_list_of_media(1_000_000),
	"The file lists more than 50000 media files": long_list_of_media(200_000),
	"notes in the collection is no ordinary table": script(f"DROP TABLE notes; {VIEW}"),
	"t in the collection is no ordinary table": script(TRIGGER, "a\x1fb"),
	"f in the collection is no ordinary table": script("CREATE VIRTUAL TABLE f USING fts5(x)", "a\x1fb"),
	"r in the collection is no ordinary table": script(
		"CREATE VIRTUAL TABLE r USING rtree(a, b, c)", "a\x1fb"
	),
	"cards in the collection is no ordinary table": script(f"DROP TABLE cards; {COMPUTED}"),
	"more than 200 tables and indexes": script("".join(f"CREATE TABLE t{n} (x);" for n in range(300))),
	"database disk image is malformed": broken_pages,
	"Reading its database takes more than 4 seconds": same_ids,
	"more than 50000 cards": rows("cards", "i, 1, 1, 0, i", 60_000),
	"more than 500000 answers": rows("revlog", "i, 1, 3, 1000, 1", 600_000),
	"bytes where a text belongs": script("UPDATE notes SET flds = x'00ff'", "a\x1fb"),
	"string or blob too big": script("UPDATE notes SET flds = hex(zeroblob(10000000))", "a\x1fb"),
	"invalid literal for int": lambda path: deck(path, models=FANCY),
	"RecursionError": lambda path: deck(path, "a\x1fb", models="[" * 200_000),
	"MB of memory": lambda path: deck(path, "a\x1fb", models="[" + "[]," * 2_600_000 + "[]]"),
	"The note type Basic has more than 256 fields": template("{{F}}", fields=10_000),
	"A template of the note type Basic has more than 65536 characters": template("x{{" + " " * 100_000),
	"more than 1000 decks or note types": lambda path: deck(
		path, "a\x1fb", decks={str(number): {"name": "d"} for number in range(2000)}
	),
}

# What makes no question, or loses a picture, by the problem that is listed
SKIPPED = {
	"deletions of the cloze text stand inside each other": lambda path: deck(
		path, f"{DEEP_CLOZE}\x1fb", models=WIDE_CLOZE
	),
	"A side of the card has more than 65536 characters": template("{{F}}" * 5000, "x" * 10_000 + "\x1fb"),
	"more than 65536 characters or 5000 tags": fields("x" + "<" * 60_000, "b"),
	"or 5000 tags": fields("<div>" * 10_000 + "<p>" * 10_000 + "x", "b"),
	"The numbers of fields differ": fields(*"x" * 100_000),
	"The fields of the note are too long": fields("x" * 2 * MB, "b"),
	"has more than 8 filters": template("{{" + "text:" * 5000 + "F}}"),
	"Another note has the same ID, guid 1": script("UPDATE notes SET guid = 'guid 1'", "a\x1fb", "c\x1fd"),
	"web.png is not what its name says": picture("web.png", b"<script>alert(1)</script>"),
	"drawing.png is not what its name says": picture("drawing.png", b"<svg onload='alert(1)'/>"),
	"link.png is not what its name says": picture("link.png", b"/etc/passwd"),
	"drawing.svg has a file type that is not imported": picture("drawing.svg", b"<svg onload='alert(1)'/>"),
	"large.png has 60000 × 60000 pixels": picture("large.png", png(60_000, 60_000)),
	"song.mp3 is not what its name says": picture("song.mp3", b"<script>alert(1)</script>"),
}

# What a careless expression or parser would take minutes for
READ = {
	"blanks": template("x{{" + " " * 60_000),
	"open tags": fields("x" + "<" * 4_900, "b"),
	"open sounds": fields("[sound:" * 9_000, "b"),
	"open lines": template("{{F}}", back="{{B}}" + "<hr " * 4_900),
	"open styles": fields("x" + "<style " * 4_900, "b"),
	"conditions": template("{{#F}}{{/F}}" * 5_000 + "{{F}}", "x" * 60_000 + "\x1fb"),
	"formulas": fields(r"\(x^2\) [latex]\input{/etc/passwd}[/latex]", "b"),
}


# What is no bomb


def ordinary(path: Path) -> None:
	"""20,000 notes of two cards each, with 200,000 answers."""
	texts = "'<b>Question ' || i || '</b> of an ordinary deck' || char(31) || '<ul><li>Answer ' || i || '</li></ul>'"
	numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {})"
	two_cards = note_type(
		tmpls=[
			{"name": "Card", "ord": 0, "qfmt": "{{F}}", "afmt": "{{FrontSide}}<hr id=answer>{{B}}"},
			{"name": "Reverse", "ord": 1, "qfmt": "{{B}}", "afmt": "{{FrontSide}}<hr id=answer>{{F}}"},
		]
	)
	insert = f"""
		INSERT INTO notes {numbers.format(20_000)} SELECT i, 'guid ' || i, 1, {texts}, 'tag' FROM n;
		INSERT INTO cards SELECT 2 * id, id, 1, 0, 0 FROM notes;
		INSERT INTO cards SELECT 2 * id + 1, id, 1, 0, 1 FROM notes;
		INSERT INTO revlog {numbers.format(200_000)} SELECT 1700000000000 + i * 1000, 2 + i % 40000, 3, 4000, 1 FROM n"""
	deck(path, script=insert, models={"1": two_cards})
