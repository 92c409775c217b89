"""Section `seasons`: fills the tracker with many rows, answers questions, archives a season, and deletes old rows.

The tracker holds a large season of --rows rows and a small season of 100,000. The same calls go to both seasons in
turn: the ratio tells what growth costs. Then the large season is archived, while a reader and a writer use the small
season without pause. The time to archive by swapping partitions is compared with copying and deleting such rows.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import frappe

from benchmarks import hammer, season_data
from benchmarks.hammer import Hammer
from benchmarks.report import Section, number, percentile, table
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import archive, database, ddl, swap, tables

LARGE, SMALL, OTHER = "Perf Large", "Perf Small", "Perf Other"
SMALL_ROWS, COPIED_ROWS = 100_000, 1_000_000
SAMPLES = 400  # calls of each kind to each season
QUIET_SECONDS = 10  # in which reader and writer work before the season is archived
CHUNK_ROWS = 10_000  # that one transaction copies and deletes

LIMITS = {
	"fill_rows_per_s": "at least 100,000",
	"archive_seconds": "at most 10",
	"archive_block_ms": "at most 50",
	"due_growth_ratio": "at most 1.2",
	"upsert_growth_ratio": "at most 1.2",
	"tracker_bytes_per_row": "at most 300",
}

BYTES_SQL = """
	SELECT DATA_LENGTH, INDEX_LENGTH FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND PARTITION_NAME = %s"""
NEXT_NAME_SQL = f"""
	SELECT name FROM `{swap.TRACKER}` WHERE season = %s AND name > %s
	ORDER BY name LIMIT 1 OFFSET {CHUNK_ROWS - 1}"""
COPY_SQL = f"""
	INSERT INTO `{swap.ARCHIVE}` (%s, archived_at, eligible_for_deletion)
	SELECT %s, NOW(), 0 FROM `{swap.TRACKER}`
	WHERE season = %%s AND name > %%s AND name <= %%s"""
DELETE_SQL = f"DELETE FROM `{swap.TRACKER}` WHERE season = %s AND name > %s AND name <= %s"
# Keeps one learner's rows. While they stay, the other rows can't be deleted by dropping the partition.
KEEP_SQL = f"""
	UPDATE `{swap.ARCHIVE}` SET eligible_for_deletion = 0
	WHERE season = %s AND name BETWEEN %s AND %s"""


def measure(arguments: argparse.Namespace) -> Section:
	learners = max(1, arguments.rows // season_data.QUESTIONS_EACH)
	few = SMALL_ROWS // season_data.QUESTIONS_EACH
	copied = min(learners, COPIED_ROWS // season_data.QUESTIONS_EACH)
	rows = learners * season_data.QUESTIONS_EACH
	figures: dict[str, float] = {"rows": rows}
	with season_data.season(SMALL):
		_fill(SMALL, few)
		with season_data.season(LARGE):
			figures["fill_rows_per_s"] = _fill(LARGE, learners)
			figures |= _bytes_per_row(rows)
			figures |= _growth({SMALL: few, LARGE: learners})
			figures |= _archive_under_load(few)
	figures |= _archive_and_copy(copied)
	figures = {name: round(value, 3) for name, value in figures.items()}
	return Section(figures, _text(figures))


def _fill(season: str, learners: int) -> float:
	"""Fills an empty season, and returns rows per second."""
	with step(f"Filling {season} with {learners * season_data.QUESTIONS_EACH:,} rows"):
		begin = time.perf_counter()
		rows = season_data.fill(season, learners)
		return rows / (time.perf_counter() - begin)


def _bytes_per_row(rows: int) -> dict[str, float]:
	partition = tables.partition_name(LARGE)
	ddl.execute_ddl(f"ALTER TABLE `{swap.TRACKER}` ANALYZE PARTITION {partition}")
	((data, index),) = database.query(BYTES_SQL, (swap.TRACKER, partition))
	return {
		"tracker_bytes_per_row": (data + index) / rows,
		"tracker_data_bytes_per_row": data / rows,
		"tracker_index_bytes_per_row": index / rows,
	}


# Growth


def _growth(learners: dict[str, int]) -> dict[str, float]:
	"""Returns medians of calls that go to both seasons in turn, and their ratios.

	Each learner's rows are read once before they are timed, so that both seasons answer from memory.
	"""
	random = Random(season_data.SEED)
	ms: dict[tuple[str, str], list[float]] = {(kind, s): [] for kind in ("due", "upsert") for s in learners}
	with step(f"Asking and answering {SAMPLES} times in each season"):
		for _sample in range(SAMPLES):
			for season, how_many in learners.items():
				learner = season_data.learner(random.randrange(how_many))
				due, upsert = _time_calls(random, learner, season)
				ms["due", season].append(due)
				ms["upsert", season].append(upsert)
	figures: dict[str, float] = {}
	for kind in ("due", "upsert"):
		small, large = (percentile(ms[kind, season], 0.5) for season in (SMALL, LARGE))
		figures |= {
			f"{kind}_small_ms": small,
			f"{kind}_large_ms": large,
			f"{kind}_growth_ratio": large / small,
		}
	return figures


def _time_calls(random: Random, learner: str, season: str) -> tuple[float, float]:
	"""Returns the milliseconds of the due query, and those of an upsert of 20 records with its commit."""
	now = site_time.naive_now()
	records = hammer.next_records(learner, season, hammer.some_questions(random), now)
	hammer.read_due(learner, season, now)
	due = _ms(lambda: hammer.read_due(learner, season, now))
	return due, _ms(lambda: hammer.upsert(learner, season, records))


def _ms(work: Callable[[], object]) -> float:
	begin = time.perf_counter()
	work()
	return (time.perf_counter() - begin) * 1000


# Archiving


@dataclass
class Statement:
	"""A DDL statement of the archive run: its text, and when it began and ended, by time.monotonic()."""

	text: str
	begin: float
	end: float = 0.0

	@property
	def ms(self) -> float:
		return (self.end - self.begin) * 1000


def _archive_under_load(few: int) -> dict[str, float]:
	with step("Archiving, beside a reader and a writer"):
		with hammer.hammering(SMALL, few) as hammered, _noting_ddl() as statements:
			quiet = time.monotonic()
			time.sleep(QUIET_SECONDS)
			begin = time.monotonic()
			_archive(LARGE)
			end = time.monotonic()
	on_tracker = [s for s in statements if swap.TRACKER in s.text]
	return {
		"archive_seconds": end - begin,
		"archive_block_ms": _blocked_ms(hammered, on_tracker),
		"archive_swap_ms": max(statement.ms for statement in on_tracker),
		**_operation_ms(hammered, "quiet", quiet, begin),
		**_operation_ms(hammered, "archiving", begin, end),
	}


def _archive(season: str) -> None:
	frappe.db.commit()
	result = SRSArchiver().archive_season(season, before_its_end=True)
	if not result["success"]:
		raise Failure(f"{season} was not archived: {result['error']}")


@contextmanager
def _noting_ddl() -> Iterator[list[Statement]]:
	"""Yields a list, to which each DDL statement of the block is added."""
	statements, execute = [], ddl.execute_ddl

	def note(statement: str) -> None:
		noted = Statement(statement, time.monotonic())
		execute(statement)
		noted.end = time.monotonic()
		statements.append(noted)

	ddl.execute_ddl = note
	try:
		yield statements
	finally:
		ddl.execute_ddl = execute


def _blocked_ms(hammered: Hammer, statements: list[Statement]) -> float:
	"""Returns the milliseconds of the longest operation that overlapped a statement. Raises Failure if none did."""
	met = [
		operation.ms
		for statement in statements
		for done in hammered.within(statement.begin, statement.end).values()
		for operation in done
	]
	if not met:
		raise Failure("No operation ran during the swap, so nothing tells how long the swap blocks one")
	return max(met)


def _operation_ms(hammered: Hammer, when: str, begin: float, end: float) -> dict[str, float]:
	figures: dict[str, float] = {}
	for kind, done in hammered.within(begin, end).items():
		ms = [operation.ms for operation in done]
		prefix = f"{kind}_{when}"
		figures[f"{prefix}_operations"] = len(ms)
		figures |= {f"{prefix}_p{share}_ms": percentile(ms, share / 100) for share in (50, 99)}
		figures[f"{prefix}_max_ms"] = max(ms)
	return figures


# Copying


def _archive_and_copy(learners: int) -> dict[str, float]:
	"""Archives equal rows by swapping partitions, and by copying and deleting. Also times how archived rows are deleted."""
	rows = learners * season_data.QUESTIONS_EACH
	with season_data.season(OTHER):
		_fill(OTHER, learners)
		with step(f"Archiving {rows:,} rows"):
			swap_seconds = _ms(lambda: _archive(OTHER)) / 1000
		figures = _end_rows(OTHER, rows)
	with season_data.season(OTHER):
		_fill(OTHER, learners)
		with step(f"Copying and deleting {rows:,} rows"):
			copy_seconds = _ms(lambda: _copy_and_delete(OTHER, rows)) / 1000
	return {
		"archive_small_seconds": swap_seconds,
		"copy_seconds": copy_seconds,
		"archive_vs_copy_ratio": copy_seconds / swap_seconds,
		**figures,
	}


def _copy_and_delete(season: str, rows: int) -> None:
	"""Archives a season without partitions: copies and deletes its rows in chunks, with a transaction for each chunk."""
	columns = ", ".join(f"`{column}`" for column in tables.columns_of(swap.TRACKER))
	copied, after = 0, ""
	with database.connection() as own, own.cursor() as cursor:
		own.autocommit(False)
		while after < "g":
			cursor.execute(NEXT_NAME_SQL, (season, after))
			(last,) = cursor.fetchone() or ("g",)
			copied += cursor.execute(COPY_SQL % (columns, columns), (season, after, last))
			cursor.execute(DELETE_SQL, (season, after, last))
			own.commit()
			after = last
	if copied != rows:
		raise Failure(f"{copied:,} rows were copied, of {rows:,}")


def _end_rows(season: str, rows: int) -> dict[str, float]:
	"""Returns how many archived rows a second are flagged, and how many are deleted while one learner's rows stay."""
	cutoff = site_time.naive_now() + timedelta(days=1)
	with step(f"Flagging {rows:,} rows, and deleting them"):
		flag_ms = _ms(lambda: archive.flag_older(season, cutoff))
		kept = _keep_one_learner(season)
		delete_ms = _ms(lambda: archive.delete_flagged(season))
	return {"flag_rows_per_s": rows / flag_ms * 1000, "delete_rows_per_s": (rows - kept) / delete_ms * 1000}


def _keep_one_learner(season: str) -> int:
	prefix = season_data.learner(0)
	with database.connection() as own, own.cursor() as cursor:
		return cursor.execute(KEEP_SQL, (season, prefix, prefix + "g"))


def _text(figures: dict[str, float]) -> str:
	operations = [f"{kind}_{when}" for kind in ("reader", "writer") for when in ("quiet", "archiving")]
	rows = [["seasons", "", "limit"]]
	for name, value in figures.items():
		if not name.startswith(tuple(operations)):
			rows.append([name, _readable(value), LIMITS.get(name, "")])
	columns = ("operations", "p50_ms", "p99_ms", "max_ms")
	beside = [["beside the archive run", *columns]]
	beside += [[name, *(_readable(figures[f"{name}_{column}"]) for column in columns)] for name in operations]
	return f"{table(rows)}\n\n{table(beside)}"


def _readable(value: float) -> str:
	return number(value, 2 if value < 100 and value % 1 else 0)
