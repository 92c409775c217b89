"""Decks of Anki: which notes, media and files are refused, and how the report names them."""

import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import frappe
import pytest

from memora.exceptions import InvalidAnkiImport, InvalidAnkiPackage
from memora.services.anki import deck as decks
from memora.services.anki import importer
from tests.integration.anki_decks import (
	DOCTYPE,
	SUBJECT,
	files,
	fresh,
	imported,
	make_import,
	note,
	run,
	write_deck,
	write_old,
)


def test_what_makes_no_question_is_reported_and_the_rest_imported(tmp_path):
	path = write_deck(
		tmp_path / "bad.apkg",
		note("good", "yes", guid="good"),
		note("good", "yes", guid="twin"),
		note(" <br> ", "nothing asked", guid="empty-front"),
		note("nothing told", "&nbsp;", guid="empty-back"),
		note("<script>alert(1)</script>", "only a script", guid="script"),
		note('<img src="drawing.svg">', "only a drawing", guid="svg"),
		note(
			'half <b>bold <img src="../../etc/passwd" onerror="alert(1)">', "x<script>alert(1)", guid="harm"
		),
		note("gone", '<img src="gone.png"> text', guid="gone"),
		note("film", "[sound:film.mp4] text", guid="film"),
		media={"drawing.svg": b"<svg onload='alert(1)'/>", "film.mp4": b"film"},
	)
	doc = run(path)
	problems = {row.guid: row.reason for row in doc.problems}
	assert (doc.status, doc.created, doc.skipped) == ("Completed", 4, 5)
	for guid, reason in {
		"twin": "The note good has the same question and answer",
		"empty-front": "The front of card 1 is empty",
		"empty-back": "The back of card 1 is empty",
		"script": "front of card 1 is empty",
		"film": "film.mp4 has a file type that is not imported",
		"svg": "drawing.svg has a file type that is not imported",
		"harm": "../../etc/passwd is not in the file",
		"gone": "gone.png is not in the file",
	}.items():
		assert reason in problems[guid]
	texts = " ".join(q.question + q.answer for q in imported())
	assert "half <b>bold" in texts
	assert not [danger for danger in ("script", "onerror", "passwd", "gone.png") if danger in texts]
	assert files() == []


def test_notes_that_do_not_fit_their_type(tmp_path):
	path = write_old(
		tmp_path / "old.apkg", [("short", "one field"), ("fits", "front\x1fback"), ("lone", "a\x1fb")]
	)
	with _collection(path) as connection:
		connection.execute("DELETE FROM cards WHERE nid = 3")
		connection.execute("INSERT INTO notes VALUES (4, 'typeless', 77, 'a' || char(31) || 'b', '')")
		connection.execute("INSERT INTO cards VALUES (4, 4, 1, 0, 0), (5, 2, 1, 0, 9)")
	doc = run(path)
	assert {row.guid: row.reason for row in doc.problems} == {
		"short": "The numbers of fields differ: 1 in the note, 2 in its type Basic.",
		"lone": "The note has no cards.",
		"typeless": "The type of the note is not in the file.",
		"fits": "The note type Basic has no card 10.",
	}
	assert [q.question for q in imported()] == ["front"]


class _collection:
	"""A connection to the collection of an old .apkg; what it changes is put back."""

	def __init__(self, path: Path) -> None:
		self.path, self.file = path, path.with_suffix(".changed")

	def __enter__(self) -> sqlite3.Connection:
		with zipfile.ZipFile(self.path) as archive:
			self.file.write_bytes(archive.read("collection.anki2"))
		self.connection = sqlite3.connect(self.file)
		return self.connection

	def __exit__(self, *_error) -> None:
		self.connection.commit()
		self.connection.close()
		with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED) as archive:
			archive.write(self.file, "collection.anki2")


# What is no deck


def _zip(path: Path, method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> None:
	with zipfile.ZipFile(path, "w", method) as archive:
		for name, content in members.items():
			archive.writestr(name.replace("__", "."), content)


def _encrypted(path: Path) -> None:
	_zip(path, collection__anki2=b"x")
	data = bytearray(path.read_bytes())
	data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag, in the central directory
	path.write_bytes(data)


def _endless(path: Path) -> None:
	write_old(path, [("1", "a\x1fb")])
	with _collection(path) as connection:
		connection.executescript(
			"""DROP TABLE cards; CREATE VIEW cards AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
			SELECT id, -1 AS nid, 1 AS did, 0 AS odid, 0 AS ord FROM n"""
		)


BROKEN = {
	"not a zip file": lambda path: path.write_bytes(b"not a zip"),
	"The file is encrypted": _encrypted,
	"holds no collection": lambda path: _zip(path, readme__txt=b"hello"),
	"format 9 is newer": lambda path: _zip(path, meta=b"\x08\x09", collection__anki21b=b""),
	"collection.anki2 in the file is larger than 64 MB": lambda path: _zip(
		path, collection__anki2=bytes(100 << 20)
	),
	"file is not a database": lambda path: _zip(path, collection__anki2=b"hello" * 1000),
	"no such table: col": lambda path: _zip(path, collection__anki2=b""),
	"can't be read": lambda path: _zip(path, meta=b"\x08\x03", collection__anki21b=b"no zstandard frame"),
	"compression method 14": lambda path: _zip(path, zipfile.ZIP_LZMA, collection__anki2=b"x"),
	"not as Anki writes": lambda path: write_old(path, [], media=["no", "object"]),
	"cards in the collection is no ordinary table": _endless,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_file_that_is_no_deck_is_refused_by_name(reason, tmp_path):
	path = tmp_path / "broken.apkg"
	BROKEN[reason](path)
	doc = make_import(path)
	with pytest.raises(InvalidAnkiPackage, match=reason) as caught:
		doc.run_method("preview")
	assert caught.value.http_status_code == 400
	frappe.db.rollback()
	result = importer.run_import(doc.name)
	assert (result["status"], fresh(doc).status) == ("Failed", "Failed")
	assert reason in fresh(doc).error
	assert (imported(), files()) == ([], [])
	assert not frappe.db.exists("Game Topic", {"subject": SUBJECT, "topic_name": ("!=", "Standing")})


def test_a_bomb_among_the_media_is_left_out(tmp_path):
	path = write_old(
		tmp_path / "bomb.apkg",
		[("1", 'picture <img src="bomb.png">\x1fback')],
		media={"0": "bomb.png"},
		files={"0": bytes(60 << 20)},
	)
	doc = run(path)
	assert "bomb.png is larger than" in doc.problems[0].reason
	assert "src" not in imported()[0].question


def test_more_media_than_are_taken(deck, monkeypatch):
	monkeypatch.setattr(decks, "LIMITS", replace(decks.LIMITS, max_media=1))
	doc = make_import(deck)
	with pytest.raises(InvalidAnkiPackage, match="more than 1 media files"):
		doc.run_method("preview")


def test_a_file_that_is_gone(deck):
	make_import(deck)
	own = frappe.get_last_doc(DOCTYPE)
	frappe.db.set_value(DOCTYPE, own.name, "file", "/private/files/no-such.apkg")
	with pytest.raises(InvalidAnkiImport, match=r"no-such\.apkg"):
		own.run_method("preview")


MARK = "<img src=x onerror=alert(1)>"


def _marked_type(path: Path) -> None:
	write_old(path, [("1", "a\x1fb")])
	with _collection(path) as connection:
		connection.execute("UPDATE col SET models = ?", (json.dumps({MARK: {}}),))


def _marked_view(path: Path) -> None:
	write_old(path, [("1", "a\x1fb")])
	with _collection(path) as connection:
		connection.execute(f'CREATE VIEW "{MARK}" AS SELECT 1')


@pytest.mark.parametrize("make", [_marked_type, _marked_view])
def test_what_a_refusal_quotes_is_no_markup(make, tmp_path):
	make(tmp_path / "marked.apkg")
	doc = make_import(tmp_path / "marked.apkg")
	with pytest.raises(InvalidAnkiPackage) as caught:
		doc.run_method("preview")
	frappe.db.rollback()
	importer.run_import(doc.name)
	for told in (str(caught.value), fresh(doc).error, *map(str, frappe.get_message_log())):
		assert "onerror=alert(1)" in told
		assert "<" not in told


def test_what_problems_quote_is_no_markup(tmp_path):
	path = write_old(tmp_path / "old.apkg", [(MARK, f"{MARK} &lt;b&gt; {MARK}\x1f")])
	with _collection(path) as connection:
		connection.execute("UPDATE col SET decks = ?", (json.dumps({"1": {"name": MARK}}),))
	(problem,) = run(path).problems
	assert (problem.deck, problem.guid) == ("(img src=x onerror=alert(1))",) * 2
	assert (problem.note, problem.reason) == ("(b)", "The back of card 1 is empty.")
