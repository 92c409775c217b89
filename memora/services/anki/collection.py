"""The SQLite database of a package. Somebody else made it: only ordinary tables are read, by statements of ours."""

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memora.services.anki import wire
from memora.services.anki.limits import MB
from memora.services.anki.messages import _, refuse

MAX_OBJECTS = 200  # tables and indexes; Anki has some 25
MAX_VALUE_BYTES = 8 * MB  # in one column of one row
SQLITE_LIMIT_LENGTH = 0  # in SQLite's header
MAX_KINDS = 1_000  # note types, decks
MAX_PARTS = 256  # fields, and templates, of one note type
MAX_TEMPLATE = 1 << 16  # characters
MAX_PART_NAME = 1_000  # characters
TABLES = {"col", "notes", "cards", "revlog", "notetypes", "fields", "templates", "decks"}
# As SQLite writes the definitions of ordinary tables and indexes
ORDINARY = re.compile("CREATE (?:TABLE|INDEX|UNIQUE INDEX) ")

OBJECTS_SQL = "SELECT type, name, sql FROM sqlite_master LIMIT ?"
CARDS_SQL = """
	SELECT c.id, c.ord, CASE WHEN c.odid != 0 THEN c.odid ELSE c.did END, n.rowid
	FROM cards c JOIN notes n ON n.id = c.nid ORDER BY n.id, c.ord LIMIT ?"""
NOTE_SQL = "SELECT guid, mid, flds, tags FROM notes WHERE rowid = ?"
ORPHANS_SQL = "SELECT guid, flds FROM notes WHERE id NOT IN (SELECT nid FROM cards) LIMIT ?"
REVIEWS_SQL = "SELECT cid, id, ease, time, type FROM revlog ORDER BY id"
MORE_REVIEWS_SQL = "SELECT id FROM revlog LIMIT 1 OFFSET ?"
LEGACY_SQL = "SELECT models, decks FROM col LIMIT 2"
TYPES_SQL = "SELECT id, name, config FROM notetypes LIMIT ?"
FIELDS_SQL = "SELECT ntid, name FROM fields ORDER BY ntid, ord LIMIT ?"
TEMPLATES_SQL = "SELECT ntid, name, config FROM templates ORDER BY ntid, ord LIMIT ?"
DECKS_SQL = "SELECT id, name FROM decks LIMIT ?"


@dataclass(frozen=True)
class Template:
	name: str
	front: str
	back: str


@dataclass(frozen=True)
class NoteType:
	name: str
	is_cloze: bool
	fields: list[str] = field(default_factory=list)
	templates: list[Template] = field(default_factory=list)


class Collection:
	"""The rows of a package's database."""

	def __init__(self, path: Path, is_new: bool) -> None:
		self.database, self.is_new = _connect(path), is_new

	def card_ids(self, limit: int) -> list[tuple[int, int, int, int]]:
		"""Returns (card, ordinal, deck, row of the note), in the order of the notes."""
		return [tuple(map(_whole, row)) for row in self._query(CARDS_SQL, limit)]  # type: ignore[misc]

	def note(self, row: int) -> tuple[str, int, str, str]:
		"""Returns guid, note type, fields and tags."""
		((guid, kind, values, tags),) = self._query(NOTE_SQL, row)
		return _text(guid), _whole(kind), _text(values), _text(tags)

	def orphans(self, limit: int) -> Iterator[tuple[str, str]]:
		yield from ((_text(guid), _text(values)) for guid, values in self._query(ORPHANS_SQL, limit))

	def has_more_reviews_than(self, count: int) -> bool:
		return bool(self._query(MORE_REVIEWS_SQL, count).fetchone())

	def reviews(self) -> Iterator[tuple[int, ...]]:
		yield from (tuple(map(_whole, row)) for row in self._query(REVIEWS_SQL))

	def note_types(self) -> dict[int, NoteType]:
		types = self._new_types() if self.is_new else self._legacy_types()
		for kind in types.values():
			_check_type(kind)
		return types

	def decks(self) -> dict[int, str]:
		if not self.is_new:
			decks = json.loads(self._legacy()[1]).items()
			return {int(key): _text(deck["name"]) for key, deck in _few(decks)}
		rows = _few(self._query(DECKS_SQL, MAX_KINDS + 1))
		return {key: _text(name).replace("\x1f", "::") for key, name in rows}

	def _legacy(self) -> tuple[str, str]:
		((models, decks),) = self._query(LEGACY_SQL)
		return models, decks

	def _legacy_types(self) -> dict[int, NoteType]:
		return {int(key): _legacy_type(model) for key, model in _few(json.loads(self._legacy()[0]).items())}

	def _new_types(self) -> dict[int, NoteType]:
		types = {
			key: NoteType(_text(name), wire.number(config, 1) == 1)
			for key, name, config in _few(self._query(TYPES_SQL, MAX_KINDS + 1))
		}
		most = MAX_KINDS * MAX_PARTS
		for key, name in self._query(FIELDS_SQL, most):
			if key in types:
				types[key].fields.append(_text(name))
		for key, name, config in self._query(TEMPLATES_SQL, most):
			if key in types:
				template = Template(_text(name), wire.text(config, 1), wire.text(config, 2))
				types[key].templates.append(template)
		return types

	def _query(self, statement: str, *values: object) -> sqlite3.Cursor:
		return self.database.execute(statement, values)


def _connect(path: Path) -> sqlite3.Connection:
	database = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
	if hasattr(database, "setlimit"):  # Python 3.11
		database.setlimit(SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
	for setting in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
		database.execute(f"PRAGMA {setting}")
	database.create_collation(
		"unicase", lambda a, b: (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())
	)
	_check_objects(database)
	database.set_authorizer(_authorize)
	return database


def _check_objects(database: sqlite3.Connection) -> None:
	"""Refuses a database that holds anything else than tables and indexes: it would compute while it is read."""
	objects = database.execute(OBJECTS_SQL, (MAX_OBJECTS + 1,)).fetchall()
	if len(objects) > MAX_OBJECTS:
		refuse(_("The collection has more than {0} tables and indexes. Anki writes some 25."), MAX_OBJECTS)
	for kind, name, definition in objects:
		# SQLite's own indexes have no definition
		is_ordinary = definition is None or ORDINARY.match(str(definition))
		if kind not in ("table", "index") or not is_ordinary or _is_computed(database, name):
			refuse(
				_(
					"{0} in the collection is no ordinary table. Anki writes only such. Export the deck again."
				),
				str(name),
			)


def _is_computed(database: sqlite3.Connection, table: str) -> bool:
	"""Says whether a table that is read has a column that SQLite computes."""
	if str(table).lower() not in TABLES:
		return False
	columns = database.execute(f"PRAGMA table_xinfo({table})")
	return any(hidden for *_column, hidden in columns)


def _authorize(action: int, table: str | None, *_more: object) -> int:
	"""Lets statements read the tables, and do nothing else."""
	if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and table in TABLES):
		return sqlite3.SQLITE_OK
	return sqlite3.SQLITE_DENY


def _few(rows: Any) -> list[Any]:
	found = list(rows)
	if len(found) > MAX_KINDS:
		refuse(_("The file has more than {0} decks or note types. Export a part of the deck."), MAX_KINDS)
	return found


def _legacy_type(model: dict[str, Any]) -> NoteType:
	fields = [_text(field["name"]) for field in sorted(model["flds"], key=lambda f: f["ord"])]
	templates = sorted(model["tmpls"], key=lambda t: t["ord"])
	return NoteType(
		_text(model["name"]),
		bool(model.get("type")),
		fields,
		[Template(*(_text(t[key]) for key in ("name", "qfmt", "afmt"))) for t in templates],
	)


def _check_type(kind: NoteType) -> None:
	if max(len(kind.fields), len(kind.templates)) > MAX_PARTS:
		refuse(_("The note type {0} has more than {1} fields or templates."), kind.name, MAX_PARTS)
	if any(len(name) > MAX_PART_NAME for name in kind.fields):
		refuse(
			_("A field of the note type {0} has a name of more than {1} characters."),
			kind.name,
			MAX_PART_NAME,
		)
	for template in kind.templates:
		if max(len(template.front), len(template.back)) > MAX_TEMPLATE:
			refuse(
				_("A template of the note type {0} has more than {1} characters."), kind.name, MAX_TEMPLATE
			)


def _text(value: object) -> str:
	if isinstance(value, str | int | float):
		return str(value)
	raise TypeError(f"{type(value).__name__} where a text belongs")


def _whole(value: object) -> int:
	if isinstance(value, int):
		return value
	raise TypeError(f"{type(value).__name__} where a whole number belongs")
