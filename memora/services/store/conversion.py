"""Brings a big table that has no partitions into the layout, without losing a row.

The patch setup_partitioning uses this module. The steps:

	1. Make an empty twin in the layout, with a partition for each season found.
	2. Copy the rows to the twin in chunks, in the order of their old names. The caller's rules change each
	   row.
	3. Check the twin: it must have as many rows as the old table has different keys, and the old table must
	   still have the checksum from the start.
	4. RENAME puts the twin in the old table's place. The old table stays, under the name that is printed.
	5. Copy rows that were written between steps 3 and 4, if any, into the table in use. The newest row wins.

Each chunk's transaction also notes how far the copying has got. So the next run finishes what a dead run
began, and starts over if it finds other rows than the dead run found. A table that has partitions already
stays as it is.

A million rows took 105 MB of memory; two runs took 304 and 341 seconds, on two cores under a load of ten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import frappe
from frappe import _
from frappe.utils import update_progress_bar

from memora.exceptions import PartitionError, quoting
from memora.services import site_time
from memora.services.store import database, ddl, layout, old_learners, old_seasons, tables
from memora.services.store.database import Cursor, connection, query
from memora.services.store.tables import INDEXES, list_partitions

CHUNK_ROWS = 2000  # of one transaction; a statement of about 1 MB

# How far the copying of each table has got. `started_at` stands in for dates that rows lack: a run that goes
# on uses the moment of the run that began.
POSITIONS = "memora_partitioning"
POSITIONS_COLUMNS = """
	name varchar(64) PRIMARY KEY, checksum bigint, last_name varchar(140) NOT NULL DEFAULT '',
	copied bigint NOT NULL DEFAULT 0, started_at datetime(6) NOT NULL"""
START_SQL = """
	INSERT INTO memora_partitioning (name, checksum, started_at) VALUES (%(name)s, %(checksum)s, %(now)s)"""
AGAIN_SQL = """
	UPDATE memora_partitioning SET checksum = %(checksum)s, last_name = '', copied = 0 WHERE name = %(name)s"""
POSITION_SQL = "SELECT checksum, last_name, copied, started_at FROM memora_partitioning WHERE name = %s"
ADVANCE_SQL = """
	UPDATE memora_partitioning SET last_name = %(last)s, copied = copied + %(rows)s WHERE name = %(name)s"""
FORGET_SQL = "DELETE FROM memora_partitioning WHERE name = %(name)s"
# Only rows with both are copied: no read could find a row without a learner or without a question.
HAS_KEY = "player > '' AND question_id > ''"

Row = dict[str, Any]


@dataclass(frozen=True)
class Rules:
	"""The rules by which the rows of one table are converted.

	`convert` takes a row whose season is settled and whose player is a learner's id, and a moment that stands in for
	dates the row lacks. Rows
	with equal season and equal `key` (SQL expressions) become one row: the newest by `age`, its most
	significant column first.
	"""

	convert: Callable[[Row, datetime], Row]
	key: tuple[str, ...]
	age: tuple[str, ...]


@dataclass(frozen=True)
class Position:
	"""The progress of the copying of one table."""

	checksum: int
	last_name: str
	copied: int
	started_at: datetime


@dataclass(frozen=True)
class Conversion:
	"""The conversion of one table.

	Before RENAME, `live` is the old table and `twin` the new one. After RENAME, `kept` is the old table and
	`live` the new one. Rows go from `source` to `target`.
	"""

	doctype: str
	rules: Rules

	@property
	def live(self) -> str:
		return f"tab{self.doctype}"

	@property
	def twin(self) -> str:
		return f"memora_partitioned_{frappe.scrub(self.doctype)}"

	@property
	def kept(self) -> str:
		return f"memora_unpartitioned_{frappe.scrub(self.doctype)}"

	@property
	def is_swapped(self) -> bool:
		return tables.has_table(self.kept) and bool(list_partitions(self.doctype))

	@property
	def source(self) -> str:
		return self.kept if self.is_swapped else self.live

	@property
	def target(self) -> str:
		return self.live if self.is_swapped else self.twin

	@property
	def position(self) -> Position:
		"""The progress of the copying. Raises ValueError before the copying has begun."""
		(row,) = query(POSITION_SQL, (self.doctype,))
		return Position(*row)

	@property
	def is_begun(self) -> bool:
		return bool(query(POSITION_SQL, (self.doctype,)))

	@property
	def is_needed(self) -> bool:
		return layout.is_unpartitioned(self.doctype) or (self.is_swapped and self.is_begun)


def convert_all(rules: dict[str, Rules], on_converted: Callable[[set[str]], None]) -> None:
	"""Converts each table that needs conversion; `rules` are keyed by DocType.

	`on_converted` is called after each table, with the names of all seasons found.
	"""
	ddl.create(POSITIONS, POSITIONS_COLUMNS)
	conversions = [c for doctype in INDEXES if (c := Conversion(doctype, rules[doctype])).is_needed]
	names = old_seasons.settle([c.source for c in conversions])
	for conversion in conversions:
		_convert(conversion, names)
		on_converted(set(names.values()))  # schedules loaded until now lack rows that their old names hid
		_write(FORGET_SQL, name=conversion.doctype)
		_report(conversion)
	ddl.drop(POSITIONS)


def _convert(conversion: Conversion, names: dict[str | None, str]) -> None:
	if not conversion.is_swapped:
		_begin(conversion, names)
		_copy(conversion, names)
		_verify(conversion, names)
		ddl.put_in_place(conversion.twin, conversion.live, conversion.kept)
	_copy_what_came_late(conversion, names)


def _begin(conversion: Conversion, names: dict[str | None, str]) -> None:
	"""Makes the twin, unless a dead run has left a twin that still fits."""
	if tables.has_table(conversion.kept):
		frappe.throw(
			quoting(
				_("There is a table {0} from an earlier run. Rename or drop it, then migrate again."),
				conversion.kept,
			),
			PartitionError,
		)
	checksum = _checksum(conversion.live)
	wanted = set(names.values())
	if conversion.is_begun and conversion.position.checksum == checksum and _fits(conversion, wanted):
		print(f"{conversion.doctype}: going on after {conversion.position.copied} rows")
		return
	_write(FORGET_SQL, name=conversion.doctype)  # first: the old progress would be believed of the empty twin
	layout.create_twin(conversion.doctype, conversion.twin, wanted)
	now = site_time.naive_now()
	_write(START_SQL, name=conversion.doctype, checksum=checksum, now=now)


def _fits(conversion: Conversion, wanted: set[str]) -> bool:
	twin = conversion.twin
	has_seasons = {p["season"] for p in tables.partitions_of(twin)} == {"", *wanted}
	return has_seasons and list(tables.columns_of(twin)) == list(tables.columns_of(conversion.live))


def _copy(conversion: Conversion, names: dict[str | None, str]) -> None:
	source, position = conversion.source, conversion.position
	total = _count(source)
	copied, after = position.copied, position.last_name
	with connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		while page := _copy_chunk(cursor, conversion, names, position.started_at, after):
			own.commit()
			size, after = page
			copied += size
			update_progress_bar(f"Copying {source}", copied - 1, max(total, copied))
		if copied > position.copied:
			print()


def _copy_chunk(
	cursor: Cursor, conversion: Conversion, names: dict[str | None, str], now: datetime, after: str
) -> tuple[int, str] | None:
	"""Copies the next rows after a name, and notes the progress.

	Returns (how many, last name); None without rows.
	"""
	cursor.execute(
		f"""SELECT COUNT(*), MAX(name) FROM (
		SELECT name FROM `{conversion.source}` WHERE name > %s ORDER BY name LIMIT {CHUNK_ROWS}) page""",
		(after,),
	)
	((size, last),) = cursor.fetchall()
	if not size:
		return None
	cursor.execute(
		f"SELECT * FROM `{conversion.source}` WHERE name > %s AND name <= %s AND {HAS_KEY} ORDER BY name",
		(after, last),
	)
	columns, convert = [column[0] for column in cursor.description], conversion.rules.convert
	found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
	ids = _identify({row["player"] for row in found}, now)
	rows = [
		convert({**row, "season": names[row["season"]], "player": ids[row["player"]]}, now) for row in found
	]
	_upsert(cursor, conversion, rows)
	cursor.execute(ADVANCE_SQL, {"last": last, "rows": size, "name": conversion.doctype})
	return size, last


def _identify(players: set[str], now: datetime) -> dict[str, str]:
	"""Returns {player: id}. The ids are committed before any row carries them."""
	with database.transaction():
		return old_learners.identify(players, now)


def _upsert(cursor: Cursor, conversion: Conversion, rows: list[dict[str, Any]]) -> None:
	"""Writes each row, unless a newer row of its key exists. The date of the first answer always stays."""
	if not rows:
		return
	rows.sort(key=lambda row: row["name"])  # neighbours on disk
	columns, age = list(rows[0]), conversion.rules.age
	# MariaDB assigns from left to right, so the columns that decide come last, the most significant at the
	# very end
	others = [c for c in columns if c not in ("name", "season", "creation", *age)]
	updates = [f"`{c}` = IF({_is_newer(age)}, VALUES(`{c}`), `{c}`)" for c in (*others, *reversed(age))]
	cursor.executemany(
		f"INSERT INTO `{conversion.target}` ({', '.join(f'`{c}`' for c in columns)}) "
		f"VALUES ({', '.join(['%s'] * len(columns))}) "
		f"ON DUPLICATE KEY UPDATE creation = LEAST(creation, VALUES(creation)), {', '.join(updates)}",
		[tuple(row.values()) for row in rows],
	)


def _is_newer(age: tuple[str, ...]) -> str:
	first, *rest = age
	if not rest:
		return f"VALUES({first}) >= {first}"
	return f"VALUES({first}) > {first} OR (VALUES({first}) = {first} AND ({_is_newer(tuple(rest))}))"


def _verify(conversion: Conversion, names: dict[str | None, str]) -> None:
	if _checksum(conversion.live) != conversion.position.checksum:
		frappe.throw(
			quoting(
				_(
					"{0} was written to while it was copied, so it stays as it is. Set maintenance mode and migrate again."
				),
				conversion.live,
			),
			PartitionError,
		)
	expected, found = _count_keys(conversion, names), _count(conversion.twin)
	if expected != found:
		frappe.throw(
			quoting(
				_("Different keys in {0}: {1}. Rows in its copy: {2}. {0} stays as it is."),
				conversion.live,
				expected,
				found,
			),
			PartitionError,
		)


def _count_keys(conversion: Conversion, names: dict[str | None, str]) -> int:
	"""Returns how many different keys the table has. Keys with different bytes differ, as in the app."""
	spelt = [spelling for spelling in names if spelling is not None]
	marks = ", ".join(["%s"] * len(spelt))
	key = ", ".join(f"BINARY {column}" for column in conversion.rules.key)
	((count,),) = query(
		f"SELECT COUNT(DISTINCT COALESCE(ELT(FIELD(HEX(season), {marks}), {marks}), %s), {key}) "
		f"FROM `{conversion.live}` WHERE {HAS_KEY}",
		(*(s.encode().hex().upper() for s in spelt), *(names[s] for s in spelt), names.get(None, "")),
	)
	return count


def _copy_what_came_late(conversion: Conversion, names: dict[str | None, str]) -> None:
	"""Copies the rows that came to the old table just before RENAME. After RENAME nobody writes there."""
	_copy(conversion, names)  # the rest, if a run died here
	checksum = _checksum(conversion.kept)
	if checksum != conversion.position.checksum:
		_write(AGAIN_SQL, name=conversion.doctype, checksum=checksum)
		_copy(conversion, names)


def _report(conversion: Conversion) -> None:
	before, with_key = _count(conversion.kept), _count(conversion.kept, HAS_KEY)
	after = _count(conversion.live)
	print(
		f"{conversion.doctype}: {before} rows became {after}: {with_key - after} older ones of a question were "
		f"merged, {before - with_key} without player or question left out.\n"
		f"The old table is kept as {conversion.kept}. Drop it when you need it no more."
	)


def _write(statement: str, **values: Any) -> None:
	with connection() as own, own.cursor() as cursor:
		cursor.execute(statement, values)


def _checksum(table: str) -> int:
	((_table, checksum),) = query(f"CHECKSUM TABLE `{table}`")
	return checksum


def _count(table: str, condition: str = "1") -> int:
	((count,),) = query(f"SELECT COUNT(*) FROM `{table}` WHERE {condition}")
	return count
