"""The archive's rows of one season are counted, estimated, flagged and deleted, and those of another stay as they are."""

from datetime import datetime, timedelta

import frappe
import pytest

from memora.services.store import archive, database, failures, row_names, seasons, swap, tables
from memora.services.store.archive import RecordCounts
from tests.integration import state
from tests.integration.archiving import ARCHIVE, make_ended_season
from tests.integration.connections import raw_connection
from tests.integration.factories import make_season, site_now

CUTOFF = datetime(2020, 5, 4, 3, 2, 1)
ROWS = 20
OLD = range(11)  # the twelfth was archived at the very cutoff, and the others later
FLAGGED = range(8, 15)
INSERT_SQL = (
	f"INSERT INTO `{ARCHIVE}` (name, season, archived_at, eligible_for_deletion) VALUES (%s, %s, %s, %s)"
)


def name(number: int) -> str:
	return f"{number:016x}".ljust(32, "0")


def fill(season: str) -> None:
	for number in range(ROWS):
		archived_at = CUTOFF + timedelta(microseconds=number - len(OLD))
		frappe.db.sql(INSERT_SQL, (name(number), season, archived_at, number in FLAGGED))


@pytest.fixture
def one() -> str:
	return make_season().name


@pytest.fixture
def other(one) -> str:
	"""A season whose rows have the same names."""
	other = make_season().name
	for season in (one, other):
		fill(season)
	frappe.db.commit()
	return other


def archived(season: str, **values: int) -> list[int]:
	rows = state.rows("Archived Memory Tracker", season=season, **values)
	frappe.db.rollback()  # or DDL has to wait
	return [int(row.name[:16], 16) for row in rows]


def flagged(season: str) -> list[int]:
	return archived(season, eligible_for_deletion=1)


@pytest.mark.parametrize("chunk", [1, 3, 7, ROWS, ROWS + 1])
def test_flags_of_one_season(one, other, monkeypatch, chunk):
	monkeypatch.setattr(archive, "CHUNK_ROWS", chunk)
	assert archive.flag_older(one, CUTOFF) == 8
	assert (flagged(one), flagged(other)) == ([*OLD], [*FLAGGED])
	assert archive.flag_older(one, CUTOFF) == 0
	assert archive.flag_all(one) == ROWS - len(OLD)
	assert (flagged(one), flagged(other)) == ([*range(ROWS)], [*FLAGGED])
	assert (archive.unflag_all(one), archive.unflag_all(one)) == (ROWS, 0)
	assert (flagged(one), flagged(other)) == ([], [*FLAGGED])


@pytest.mark.parametrize("chunk", [1, 6, ROWS])
def test_flagged_rows_of_one_season_go(one, other, monkeypatch, chunk):
	monkeypatch.setattr(archive, "CHUNK_ROWS", chunk)
	stay = [number for number in range(ROWS) if number not in FLAGGED]
	assert archive.count_records(one) == (0, ROWS, len(FLAGGED), False)
	assert archive.delete_flagged(one) == len(FLAGGED)
	assert (archived(one), archived(other)) == (stay, [*range(ROWS)])
	assert archive.delete_flagged(one) == 0
	assert archived(one) == stay
	archive.flag_all(one)
	assert archive.delete_flagged(one) == len(stay)
	assert archive.count_records(one) == (0, 0, 0, False)
	assert archive.count_records(other) == (0, ROWS, len(FLAGGED), False)
	assert (archive.has_rows(one), archive.has_rows(other)) == (False, True)
	assert {one, other} <= set(archive.get_partitioned_seasons())
	assert archive.get_archived_seasons() == [other]
	assert archive.delete_flagged(one) == 0


# Counting


@pytest.fixture
def moving() -> str:
	"""A season of eight records that can be archived. Others have records, too."""
	season = make_ended_season(8)
	make_ended_season(5)
	return season


def put_in(season: str) -> None:
	swap.put_in(season, site_now(), lambda rows: None)


def estimate(season: str, flags: str | None = None) -> RecordCounts:
	"""Returns the estimate for a season that is too large to be counted."""
	frappe.db.commit()
	for table in ("tabPlayer Memory Tracker", ARCHIVE, swap.find_staging(season)):
		frappe.db.sql_ddl(f"ANALYZE TABLE `{table}`")
	found = archive.estimate_records(season, flags, exact_up_to=-1)
	assert found.is_estimate
	return found


def test_each_row_is_counted_where_it_is(moving):
	in_tracker, in_archive = RecordCounts(8, 0, 0), RecordCounts(0, 8, 0)
	assert (archive.count_records(moving), archive.count_moved(moving)) == (in_tracker, (8, 0))
	assert estimate(moving)[:3] == in_tracker[:3]
	swap.take_out(moving)
	assert (archive.count_records(moving), archive.count_moved(moving)) == (in_tracker, (0, 0))
	assert estimate(moving)[:3] == in_tracker[:3]
	assert [archive.estimate_records(moving, None, limit).is_estimate for limit in (7, 8)] == [True, False]
	put_in(moving)
	assert (archive.count_records(moving), archive.count_moved(moving)) == (in_archive, (0, 8))
	assert estimate(moving)[:3] == in_archive[:3]
	assert [archive.estimate_records(moving, None, limit).is_estimate for limit in (7, 8)] == [True, False]
	assert archive.count_moved("No Season") == (0, 0)
	assert archive.estimate_records("No Season", None, 0) == (0, 0, 0, False)
	assert estimate("No Season")[:3] == (0, 0, 0)


@pytest.mark.parametrize("step", [swap.take_out, put_in], ids=["to the staging table", "from there"])
def test_rows_that_move_while_they_are_counted_are_counted_once(moving, step, monkeypatch):
	if step is put_in:
		swap.take_out(moving)
	expected = RecordCounts(0, 8, 0) if step is put_in else RecordCounts(8, 0, 0)
	steps = [step]

	def meanwhile(*statement):
		if steps:
			steps.pop()(moving)
		return database.query(*statement)

	monkeypatch.setattr(archive, "query", meanwhile)
	assert archive.count_records(moving) == expected
	assert not steps


def test_a_count_that_is_kept_waiting_fails(moving, monkeypatch):
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as holder, holder.cursor() as cursor:
		cursor.execute(f"LOCK TABLES `{ARCHIVE}` WRITE")
		with pytest.raises(failures.ERRORS) as raised:
			archive.count_records(moving)
	assert failures.number_of(raised.value) == failures.LOCK_WAIT_TIMEOUT


def test_how_many_are_flagged_is_estimated_by_rows_that_stand_for_all(one):
	"""By the first row of each share of the learners, or the first after it. Another season's rows are flagged the other way."""
	starts = [share["first"] for share in row_names.shares(archive.LOOKS)]
	is_flagged = {start: index % 3 == 0 for index, start in enumerate(starts[:40])}  # beyond are no rows
	is_flagged |= {f"{start}{'0' * 16}": index % 3 != 0 for index, start in enumerate(starts[:40])}
	other = make_season().name
	for row, flag in is_flagged.items():
		frappe.db.sql(INSERT_SQL, (row, one, CUTOFF, flag))
		frappe.db.sql(INSERT_SQL, (row, other, CUTOFF, not flag))
	assert estimate(one)[:3] == (0, 80, round(80 * 14 / 40))
	assert estimate(other)[:3] == (0, 80, tables.rounded(round(80 * 26 / 40)))
	assert estimate(one, seasons.NONE)[:3] == (0, 80, 0)
	assert estimate(one, seasons.ALL)[:3] == (0, 80, 80)


def test_one_row_stands_for_itself(one):
	frappe.db.sql(INSERT_SQL, (name(1), one, CUTOFF, 1))
	assert estimate(one)[:3] == (0, 1, 1)
