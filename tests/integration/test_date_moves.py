"""The notes and the rows of a run that moves dates: of one season, page by page, to the very bounds of each page."""

from datetime import date, datetime, timedelta

import frappe
import pytest

from memora.services.store import database, date_moves, failures, limits, row_names
from memora.services.store.date_moves import DateMoves
from tests.integration import state
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import learner_id, make_season, site_now
from tests.integration.test_erasing import _waiting
from tests.integration.waiting import wait_until

DOCTYPE, TRACKER = "Game Subscription Season", "tabPlayer Memory Tracker"
DUE = datetime(2026, 5, 4, 4)
DAY = timedelta(days=1)
ROWS = 10
INSERT_SQL = f"INSERT INTO `{TRACKER}` (name, season, next_review_date) VALUES (%s, %s, %s)"


def name(number: float) -> str:
	return f"{int(number * 2):04x}".ljust(32, "0")


@pytest.fixture
def season() -> str:
	"""A season whose rows fall due one day after the other."""
	season = make_season(season_name="Ours").name
	for number in range(ROWS):
		frappe.db.sql(INSERT_SQL, (name(number), season, DUE + number * DAY))
	frappe.db.commit()
	return season


@pytest.fixture
def other(season) -> str:
	"""Another, with rows of the same names, and others between them."""
	other = make_season(season_name="Theirs").name
	for number in range(2 * ROWS):
		frappe.db.sql(INSERT_SQL, (name(number / 2), other, DUE + ROWS * DAY))
	frappe.db.commit()
	return other


def dues(season: str) -> list[datetime]:
	return [row.next_review_date for row in state.rows("Player Memory Tracker", season=season)]


# Rows


@pytest.mark.parametrize(
	("after", "rows", "expected"),
	[("", 0, 0), ("", 3, 3), (2, 0, 3), (2, 3, 6), (8, 0, 9), (8, 1, None), (9, 0, None)],
)
def test_where_a_page_ends(season, other, after, rows, expected):
	found = date_moves.end_of_page(season, after if after == "" else name(after), rows)
	assert found == (expected if expected is None else name(expected))


@pytest.mark.parametrize(
	("after", "last", "first_moved", "expected"),
	[(2, 6, 0, [3, 4, 5, 6]), (2, 6, 4, [4, 5, 6]), (0, 9, 9, [9]), (6, 6, 0, []), (0, 3, 4, [])],
)
def test_a_page_begins_after_a_row_and_ends_with_one(season, other, after, last, first_moved, expected):
	found = date_moves.get_page(season, name(after), name(last), DUE + first_moved * DAY)
	assert [row.name for row in found] == [name(number) for number in expected]
	assert [row.next_review_date for row in found] == [DUE + number * DAY for number in expected]
	assert {row.player for row in found} == {row.name[:16] for row in found}


@pytest.mark.parametrize("together", [1, 2, 3, 5, 1000])
def test_rows_are_locked_and_moved_and_no_others(season, other, monkeypatch, together):
	monkeypatch.setattr(date_moves, "LOCK_NAMES", together)
	names = [name(number) for number in (1, 2, 4, 5, 7)]
	with database.read_committed():  # else the rows that a statement looks at, too, stay locked
		found = date_moves.lock(season, [*names, name(50)])
		assert [row.name for row in found] == names
		assert [is_locked(season, name(number)) for number in (0, 1, 7, 8)] == [False, True, True, False]
		assert not is_locked(other, name(1))
		date_moves.move(season, {DUE: names[:3], DUE - DAY: names[3:]})
		frappe.db.commit()
	to = dict(zip((1, 2, 4, 5, 7), [DUE] * 3 + [DUE - DAY] * 2, strict=True))
	assert dues(season) == [to.get(number, DUE + number * DAY) for number in range(ROWS)]
	assert set(dues(other)) == {DUE + ROWS * DAY}


def is_locked(season: str, row: str) -> bool:
	sql = f"SELECT 1 FROM `{TRACKER}` WHERE season = %s AND name = %s FOR UPDATE NOWAIT"
	with raw_connection() as connection, connection.cursor() as cursor:
		try:
			cursor.execute(sql, (season, row))
		except failures.ERRORS as error:
			return failures.number_of(error) == failures.LOCK_WAIT_TIMEOUT
	return False


def test_what_waits_of_a_season(season, other):
	for number, where in enumerate((season, other, season)):
		frappe.db.sql(
			"INSERT INTO `tabReview Outbox` (name, season, player, payload) VALUES (%s, %s, %s, '[]')",
			(name(number), where, learner_id("her")),
		)
	assert sorted(date_moves.get_waiting(season)) == [name(0), name(2)]
	assert date_moves.get_waiting("No Season") == []


# How many


def analyse() -> None:
	frappe.db.commit()
	frappe.db.sql_ddl(f"ANALYZE TABLE `{TRACKER}`")


def test_a_season_of_few_rows_is_counted(season, other):
	analyse()
	assert date_moves.count_from(season, DUE + 4 * DAY, ROWS, 1) == (6, False)
	assert date_moves.count_from(season, DUE + ROWS * DAY, ROWS, 1) == (0, False)
	assert date_moves.count_from(season, DUE, ROWS - 1, 100) == (ROWS, True)


def test_of_many_rows_a_share_stands_for_all(other):
	"""Nine rows, two of which may be looked at: the third of five shares, from its first name to before the next one's."""
	season = make_season().name
	shares = row_names.shares(5)
	names = [f"{share['first']}{digit}" for share in shares[:4] for digit in ("", "0")] + [
		shares[3]["first"] + "1"
	]
	for row in names:
		frappe.db.sql(INSERT_SQL, (row, season, DUE))
	analyse()
	assert date_moves.count_from(season, DUE, 0, 2) == (2 * 5, True)
	assert date_moves.count_from(season, DUE + DAY, 0, 2) == (0, True)
	frappe.db.sql(f"UPDATE `{TRACKER}` SET next_review_date = %s WHERE name = %s", (DUE + DAY, names[4]))
	frappe.db.commit()
	assert date_moves.count_from(season, DUE + DAY, 0, 2) == (1 * 5, True)


# Notes


def note(season: str) -> DateMoves:
	frappe.db.rollback()
	return date_moves.get(season)


def change(season: str, old_end: date | None = None, old_hour: int | None = None) -> None:
	date_moves.note_change(season, old_end, old_hour)
	frappe.db.commit()


def test_a_note_grows_with_each_change_until_a_run_has_followed(season, other):
	assert (note(season), note(season).percent) == (DateMoves(), 100)
	change(season, old_end=date(2026, 6, 1))
	expected = DateMoves(version=1, ends=["2026-06-01"], former_ends=["2026-06-01"])
	assert (note(season), note(season).percent) == (expected, 0)
	run = DateMoves(**{**vars(expected), "position": f"8000{'0' * 28}", "moved": 7, "error": "no disk"})
	assert date_moves.note_run(season, run)
	assert (note(season), note(season).percent) == (run, 50)

	change(season, old_hour=0)
	again = {"version": 2, "hours": [0], "former_hours": [0], "position": "", "error": None}
	expected = DateMoves(**{**vars(run), **again})
	assert note(season) == expected
	assert not date_moves.note_run(season, run)  # which has followed the first change only
	assert note(season) == expected
	assert expected.in_all == expected

	done = DateMoves(**{**vars(expected), "ends": [], "hours": [], "position": "f" * 32})
	assert date_moves.note_run(season, done)
	assert (note(season), done.is_open, done.percent) == (done, False, 100)
	assert done.in_all == DateMoves(**{**vars(expected), "position": ""})
	change(season, old_end=date(2026, 7, 1))
	ends = {"ends": ["2026-07-01"], "former_ends": ["2026-06-01", "2026-07-01"]}
	assert note(season) == DateMoves(version=3, **ends, former_hours=[0])
	assert DateMoves(hours=[4], position="f" * 32).percent == 100
	assert note(other) == DateMoves()


def test_the_seasons_with_dates_to_be_moved(season, other):
	standing, archived, done = "SEASON-2026", make_season().name, make_season().name
	for each in (other, season, standing, archived, done):
		change(each, old_hour=4)
	date_moves.note_run(done, DateMoves(version=1))
	frappe.db.set_value(DOCTYPE, archived, "archive_started_at", site_now())
	make_season()
	assert [*date_moves.get_open()] == [season, standing, other]
	assert set(map(repr, date_moves.get_open().values())) == {repr(note(season))}


def test_of_two_changes_at_once_none_is_lost(season):
	date_moves.note_change(season, old_hour=3)  # not committed yet
	second = in_other_connection(lambda: change(season, old_hour=5))
	with raw_connection(autocommit=True) as connection, connection.cursor() as cursor:
		wait_until(lambda: _waiting(cursor, "%date_moves%tabGame Subscription Season%"), "the second waits")
	frappe.db.commit()
	second.result(20)
	assert (note(season).version, note(season).hours) == (2, [3, 5])


def test_who_hangs_before_the_commit_of_a_change_loses_the_season(season):
	sql = "SELECT @@idle_transaction_timeout"
	before = frappe.db.sql(sql)
	date_moves.note_change(season, old_hour=3)
	assert frappe.db.sql(sql) == ((limits.RESTS_SECONDS,),)
	frappe.db.rollback()
	assert frappe.db.sql(sql) == before
