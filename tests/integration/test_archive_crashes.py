"""Archiving dies after each statement that changes anything: nothing is lost, and the next run completes.

Meanwhile learners of another season read and answer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from memora.services.srs_archiver import SRSArchiver
from memora.services.store import database
from tests.integration import dying_archiver
from tests.integration.archiving import (
	ARCHIVE,
	all_rows,
	drifted_columns,
	make_ended_season,
	put_back,
	rows_by_table,
	stored,
)
from tests.integration.connections import in_other_connection
from tests.integration.dying_archiver import DyingArchiver
from tests.integration.factories import lift_limits, make_learner, make_records
from tests.integration.submitting import answers, read, submit

ROWS, COPY_ROWS = 200, 80
DEATH_SECONDS = 10  # until MariaDB has noticed that a client is gone


@pytest.fixture(scope="module")
def dying(site) -> Iterator[DyingArchiver]:
	with dying_archiver.started() as archiver:
		yield archiver


@contextmanager
def another_season_is_played() -> Iterator[None]:
	"""A learner of the active season reads and answers until the block ends; each time it works."""
	lift_limits()
	player = make_learner().name
	make_records(player, 5)
	is_over, rounds = threading.Event(), []

	def play() -> None:
		while not is_over.is_set():
			assert read(player)["questions"]
			submit(player, answers(1, quality=len(rounds) % 6))
			rounds.append(1)
			is_over.wait(0.05)

	playing = in_other_connection(play)
	try:
		yield
	finally:
		is_over.set()
		playing.result(30)
	assert rounds


@pytest.mark.parametrize(
	("order", "swaps", "chunks", "first"),
	[(nullcontext, 2, 0, "SELECT GET_LOCK"), (drifted_columns, 1, 3, f"INSERT INTO `{ARCHIVE}`")],
	ids=["swapped", "copied"],
)
def test_an_archive_run_that_dies_after_any_statement(dying, order, swaps, chunks, first):
	"""`first` is where the one way of doing it parts from the other."""
	season = make_ended_season(ROWS)
	before = all_rows(season)
	with order(), another_season_is_played():
		statements = dying.archive(season, copy_rows=COPY_ROWS)["statements"]
		assert sum("EXCHANGE PARTITION" in statement for statement in statements) == swaps
		assert sum(statement.startswith(f"INSERT INTO `{ARCHIVE}`") for statement in statements) == chunks
		start = next(number for number, s in enumerate(statements, start=1) if s.startswith(first))
		for number in range(start, len(statements) + 1):
			put_back(season)
			assert dying.archive(season, die_after=number, copy_rows=COPY_ROWS) == {}
			died_after = statements[number - 1]
			assert all_rows(season) == before, died_after
			assert SRSArchiver().get_archive_status(season)["total_records"] == ROWS, died_after
			is_done = bool(stored(season).archived_at)
			assert is_done == (number == len(statements)), died_after
			complete(season, is_done)
			assert rows_by_table(season) == {ARCHIVE: before}, died_after


def complete(season: str, is_done: bool) -> None:
	"""Archives the season again, as the scheduler or an administrator does next."""
	with database.named_lock("archive", DEATH_SECONDS) as is_mine:
		assert is_mine, "a dead run's lock is still held"
	result = SRSArchiver().archive_season(season)
	assert result["success"] or (is_done and "archived already" in result["error"])
	assert (stored(season).archived_records, stored(season).archive_status) == (ROWS, "Archived")
