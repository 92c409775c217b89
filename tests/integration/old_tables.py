"""Puts tables in the place of the three big ones as they were before they were partitioned."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import frappe

from devtools.paths import current_bench
from memora.patches.v1_0 import setup_partitioning
from memora.services.store import database, row_names, tables
from tests.integration.factories import STANDING_SEASON

DOCTYPES = TRACKER, JOURNAL, ARCHIVE = tuple(tables.INDEXES)
BENCH = (sys.executable, "-m", "frappe.utils.bench_helper", "frappe")
PATCH = "memora.patches.v1_0.setup_partitioning"
REVIEWED = datetime(2025, 10, 1, 9)
ADDED_BY_FRAPPE = ("difficulty", "state", "reps", "lapses")  # columns that the first tracker did not have
START = datetime(2025, 9, 1, 8)

# Spellings of seasons in old rows, how frequent they are, and what becomes of them.
SPELLINGS = {
	STANDING_SEASON: (50, STANDING_SEASON),
	None: (25, "SEASON-DEFAULT"),
	"": (5, "SEASON-DEFAULT"),
	"Spring  2025": (10, "Spring 2025"),
	"spring 2025": (5, "Spring 2025"),
	"season-2026 ": (3, STANDING_SEASON),
	"season-default": (2, "SEASON-DEFAULT"),
}
SEASONS = {name for _share, name in SPELLINGS.values()}

OLD_LEARNER = row_names.digest("old@example.com")

Row = dict
Key = tuple[str, str, str]


@contextmanager
def old_layout(*doctypes: str, without: tuple[str, ...] = ()) -> Iterator[None]:
	"""Empty tables without partitions, random names, seasons that may be NULL; afterwards all is as before."""
	frappe.db.commit()
	for doctype in DOCTYPES:
		_put_back(doctype)  # what a killed run of the tests has left
	try:
		for doctype in doctypes:
			_make_old(doctype, without)
		yield
	finally:
		frappe.db.rollback()
		for doctype in DOCTYPES:
			_put_back(doctype)


def kept(doctype: str) -> str:
	return f"memora_test_kept_{frappe.scrub(doctype)}"


def unpartitioned(doctype: str) -> str:
	return f"memora_unpartitioned_{frappe.scrub(doctype)}"


def _make_old(doctype: str, without: tuple[str, ...]) -> None:
	table = f"tab{doctype}"
	indexes = [f"DROP INDEX `{name}`" for name in tables.INDEXES[doctype]]
	changes = [
		"DROP PRIMARY KEY, ADD PRIMARY KEY (name), MODIFY season varchar(140) NULL",
		"ADD INDEX modified (modified), ADD INDEX player (player), ADD UNIQUE INDEX once (name, question_id)",
		*indexes,
		*(f"DROP COLUMN `{column}`" for column in without),
	]
	run("DROP TABLE IF EXISTS memora_test_old")
	run(f"CREATE TABLE memora_test_old LIKE `{table}`")
	run("ALTER TABLE memora_test_old REMOVE PARTITIONING")
	run(f"ALTER TABLE memora_test_old {', '.join(changes)}")
	run(f"RENAME TABLE `{table}` TO `{kept(doctype)}`, memora_test_old TO `{table}`")


def _put_back(doctype: str) -> None:
	slug = frappe.scrub(doctype)
	for leftover in (f"memora_partitioned_{slug}", unpartitioned(doctype), "memora_partitioning"):
		run(f"DROP TABLE IF EXISTS `{leftover}`")
	if exists(kept(doctype)):
		run(f"DROP TABLE IF EXISTS `tab{doctype}`")
		run(f"RENAME TABLE `{kept(doctype)}` TO `tab{doctype}`")


def run(statement: str, *values) -> None:
	"""On a connection of its own, committed at once."""
	frappe.db.commit()
	with database.connection() as own, own.cursor() as cursor:
		cursor.execute(statement, values or None)


def exists(table: str) -> bool:
	return bool(tables.has_table(table))


def make_old_rows(how_many: int, seed: int = 1) -> list[Row]:
	"""Rows of learners' memory as the first tracker held them; about one in ten is one of several of a key."""
	chance = random.Random(seed)
	spellings = chance.choices(list(SPELLINGS), [share for share, _name in SPELLINGS.values()], k=how_many)
	rows = [_old_row(chance, number, spelling) for number, spelling in enumerate(spellings)]
	for row in chance.sample(rows, how_many // 10):
		other = chance.choice(rows)
		row.update({key: other[key] for key in ("player", "season", "question_id")})
	return rows


def _old_row(chance: random.Random, number: int, spelling: str | None) -> Row:
	reviewed = START + timedelta(minutes=chance.randrange(200_000), microseconds=number)
	return {
		"name": f"{chance.getrandbits(40):010x}{number:x}",
		"player": f"old{chance.randrange(200)}@example.com",
		"season": spelling,
		"question_id": f"{chance.choice('Qq')}-{chance.randrange(60)}",
		"stability": chance.choice((0, 1.5, 12.25)),
		"next_review_date": chance.choice((None, reviewed + timedelta(days=3))),
		"last_review_date": reviewed,
		"creation": reviewed - timedelta(days=chance.randrange(30)),
		"modified": reviewed,
	}


def insert(doctype: str, rows: list[Row]) -> None:
	columns = list(rows[0])
	names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
	with database.connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		cursor.executemany(
			f"INSERT INTO `tab{doctype}` ({names}) VALUES ({marks})",
			[tuple(row.values()) for row in rows],
		)
		own.commit()


def multiply(doctype: str, rows: list[Row], times: int) -> None:
	"""Gives other learners the same rows: a copy's number stands before names and players."""
	columns = [column for column in rows[0] if column not in ("name", "player")]
	others = ", ".join(columns)
	for number in range(1, times):
		run(
			f"INSERT INTO `tab{doctype}` (name, player, {others}) SELECT CONCAT(name, %s), CONCAT(%s, player), "
			f"{others} FROM `tab{doctype}` WHERE player LIKE 'old%%'",
			f"-{number}",
			f"{number}-",
		)


def run_patch() -> None:
	"""Runs the patch and commits, as Frappe's patch handler does."""
	setup_partitioning.execute()
	frappe.db.commit()


def migrate() -> str:
	"""Runs `bench migrate` on the tests' site, and returns what it prints."""
	frappe.db.commit()
	process = subprocess.run(
		[*BENCH, "--site", frappe.local.site, "migrate"],
		cwd=current_bench().sites,
		env=os.environ,
		stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT,
		text=True,
	)
	assert process.returncode == 0, process.stdout[-3000:]
	return process.stdout


def old_row(**overrides) -> dict:
	return {
		"name": "0123456789",
		"player": "old@example.com",
		"season": None,
		"question_id": "q-1",
		"last_review_date": REVIEWED,
		"next_review_date": REVIEWED + timedelta(days=4),
		"stability": 4.5,
		"creation": REVIEWED - timedelta(days=9),
		"modified": REVIEWED,
		**overrides,
	}


def newest(rows: list[dict]) -> dict[Key, tuple[datetime, datetime]]:
	"""(last review, first answer) of each key that shall be in the tracker: learner, season, question."""
	found: dict[Key, tuple[datetime, datetime]] = {}
	for row in rows:
		key = (row_names.digest(row["player"]), SPELLINGS[row["season"]][1], row["question_id"])
		last, first = found.get(key, (datetime.min, datetime.max))
		found[key] = max(last, row["last_review_date"]), min(first, row["creation"])
	return found


def memory() -> dict[Key, tuple[datetime, datetime]]:
	rows = database.query(
		f"SELECT player, season, question_id, last_review_date, creation, name FROM `tab{TRACKER}`"
	)
	assert all(name == row_names.tracker_name(*key) for *key, _last, _first, name in rows)
	assert len({row[:3] for row in rows}) == len(rows)
	return {tuple(key): (last, first) for *key, last, first, _name in rows}


def create_statement(table: str) -> str:
	return database.query(f"SHOW CREATE TABLE `{table}`")[0][1]


def layouts() -> dict[str, str]:
	return {doctype: create_statement(f"tab{doctype}") for doctype in DOCTYPES}


def checksums() -> dict[str, int]:
	return {d: database.query(f"CHECKSUM TABLE `tab{d}`")[0][1] for d in DOCTYPES}


def seasons_of(doctype: str) -> set[str]:
	return {p["season"] for p in tables.list_partitions(doctype)}


def columns_and_indexes(table: str) -> str:
	return create_statement(table).partition("(")[2].partition("PARTITION BY")[0]
