"""Which seasons the statements find and change: on a site with a season in every state, and against what the rows say."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import frappe
import pytest

from memora.exceptions import UnknownSeason
from memora.services.store import failures, seasons
from memora.services.store.seasons import Kept
from tests.integration import state
from tests.integration.connections import raw_connection

DOCTYPE = "Game Subscription Season"
BEGAN, LATER = datetime(2020, 2, 3, 4, 5, 6), datetime(2021, 2, 3, 4, 5, 6)
INSERT_SQL = """
	INSERT INTO `tabGame Subscription Season` (name, season_name, is_active, auto_archive, archive_started_at, archived_at,
	eligible_for_deletion, closed_at, end_date, enable_redis) VALUES (%(name)s, %(name)s, %(is_active)s, %(auto_archive)s,
	%(archive_started_at)s, %(archived_at)s, %(eligible_for_deletion)s, %(closed_at)s, %(end_date)s, %(enable_redis)s)"""


def insert(name: str, **values: Any) -> str:
	"""A season's row, without partitions. The caller commits."""
	nothing = {
		"archive_started_at": None,
		"archived_at": None,
		"closed_at": None,
		"end_date": date(2026, 1, 1),
	}
	flags = {"is_active": 0, "auto_archive": 0, "eligible_for_deletion": 0, "enable_redis": 1}
	frappe.db.sql(INSERT_SQL, {**nothing, **flags, "name": name, **values})
	return name


@pytest.fixture
def rows(season) -> list[frappe._dict]:
	"""A season in every state, no two of which end on one day, neither in the order of names."""
	states = product((0, 1), (0, 1), (None, BEGAN), (None, LATER), (0, 1), (None, BEGAN))
	columns = (
		*("is_active", "auto_archive", "archive_started_at", "archived_at"),
		*("eligible_for_deletion", "closed_at"),
	)
	for number, values in enumerate(states):
		end_date = date(2020, 1, 1) + timedelta(days=number * 37 % 64)
		insert(f"{number:02}", end_date=end_date, **dict(zip(columns, values, strict=True)))
	frappe.db.commit()
	return state.rows(DOCTYPE)


def by_end(rows: list[frappe._dict], is_meant: Callable[[Any], Any]) -> list[str]:
	return [row.name for row in sorted(rows, key=lambda row: row.end_date) if is_meant(row)]


def test_which_are_archived_flagged_or_still_to_be_archived(rows):
	for today in [row.end_date for row in rows][::7]:
		assert seasons.get_seasons_to_archive(today) == by_end(
			rows,
			lambda row: (
				not row.is_active
				and not row.archived_at
				and (row.archive_started_at or (row.auto_archive and row.end_date < today))  # noqa: B023
			),
		)
		ended = by_end(rows, lambda row: not row.archived_at and row.end_date < today)  # noqa: B023
		assert [name for name, _end in seasons.get_seasons_not_archived(today)] == ended
	flagged = by_end(rows, lambda row: row.eligible_for_deletion and row.archived_at and not row.is_active)
	assert seasons.get_flagged_seasons() == flagged
	unarchived = [row.name for row in rows if not row.archived_at and not row.archive_started_at]
	assert seasons.get_unarchived() == unarchived


def test_what_retention_knows_of_each(rows):
	assert seasons.get_kept() == [
		Kept(
			row.name,
			bool(row.is_active),
			row.archive_started_at,
			row.archived_at,
			bool(row.eligible_for_deletion),
			row.archive_flags,
		)
		for row in sorted(rows, key=lambda row: row.end_date)
	]


def test_a_season_that_no_row_names_is_neither_active_nor_flagged():
	assert Kept("left over") == ("left over", False, None, None, False, None)


@pytest.mark.parametrize(
	("seconds", "is_active", "is_past"), [(-1, False, True), (0, False, False), (-1, True, False)]
)
def test_since_when_a_season_is_past(seconds, is_active, is_past):
	archived_at = LATER + timedelta(seconds=seconds)
	assert Kept("x", is_active, BEGAN, archived_at).is_past(LATER) == is_past
	assert not Kept("x", is_active, BEGAN, None).is_past(LATER)


def test_since_when_a_season_is_newer():
	moments = [LATER + timedelta(seconds=seconds) for seconds in (-1, 0, 1)]
	assert [Kept("x", False, moment, None).is_newer(LATER) for moment in moments] == [False, True, True]
	assert not Kept("x", False, None, LATER).is_newer(LATER)


def test_each_is_found_by_its_name(rows):
	for row in rows:
		assert seasons.get_season(row.name).name == row.name
		found = seasons.get_openness(row.name)
		assert (found.season.name, found.season.end_date) == (row.name, row.end_date)
		assert found[1:] == (bool(row.is_active), row.closed_at, row.archive_started_at)


@pytest.mark.parametrize("find", [seasons.get_season, seasons.get_openness, seasons.get_document])
def test_a_name_of_no_season_is_refused_by_each_way_to_find_one(season, find):
	with pytest.raises(UnknownSeason, match="nowhere"):
		find("nowhere")


def test_the_active_season_is_found_among_others(season):
	for name in ("A", "Z"):
		insert(name, end_date=date(2999, 1, 1), closed_at=BEGAN)
	assert seasons.get_active_season().name == season
	assert seasons.get_latest_season() == season


def test_without_an_active_season_the_one_that_ends_last_stands_for_all(season):
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	insert("A", end_date=date(2999, 1, 1), archived_at=LATER)
	insert("B", end_date=date(2999, 1, 1))
	assert seasons.get_latest_season() == "A"
	assert seasons.why_none_is_active() == "Season A is over, and its records are archived."
	insert("Z", end_date=date(2999, 1, 2))
	assert seasons.get_latest_season() == "Z"
	assert seasons.why_none_is_active() == "Season Z is not open for learning."


@pytest.mark.parametrize(
	("found", "uses_redis"),
	[
		([], True),
		([(0, 0, None), (0, 1, None)], True),
		([(0, 0, None), (0, 0, None)], False),
		([(1, 0, None), (0, 1, None)], False),
		([(1, 1, None), (0, 0, None)], True),
		([(0, 0, None), (0, 1, LATER)], False),
	],
)
def test_whether_schedules_are_in_redis(season, found, uses_redis):
	frappe.db.delete(DOCTYPE, season)
	for number, (is_active, enable_redis, archived_at) in enumerate(found):
		insert(f"{number}", is_active=is_active, enable_redis=enable_redis, archived_at=archived_at)
	assert seasons.uses_redis() == uses_redis
	frappe.db.rollback()


def test_closing_is_noted_of_the_season_alone_and_only_where_it_is_news(rows):
	for row in rows:
		seasons.note_closed(row.name, LATER)
		is_news = not (row.is_active or row.closed_at or row.archive_started_at)
		assert frappe.db.get_value(DOCTYPE, row.name, "closed_at") == (LATER if is_news else row.closed_at)
	frappe.db.rollback()
	seasons.note_closed("00", LATER)
	frappe.db.commit()
	assert_only("00", rows, closed_at=LATER)


def test_flags_and_jobs_are_noted_of_one_season_and_stay(rows):
	seasons.note_flags("00", seasons.SOME, True)
	seasons.note_job("01", "rebuild", "job-1")
	seasons.note_job("01", "archive", "job-2")
	seasons.note_job("01", "rebuild", "job-3")
	found = {row.name: row for row in state.rows(DOCTYPE)}  # of what is committed
	assert seasons.get_jobs(found["01"]) == {"archive": "job-2", "rebuild": "job-3"}
	assert seasons.get_jobs(found["00"]) == {}
	assert seasons.get_flags("00") == seasons.SOME
	found["01"].jobs = None
	assert_only("00", rows, list(found.values()), archive_flags=seasons.SOME, eligible_for_deletion=1)


def assert_only(
	name: str, before: list[frappe._dict], after: list[frappe._dict] | None = None, **changed: Any
) -> None:
	"""One season has these values now, and all else is as it was."""
	expected = [{**row, **(changed if row.name == name else {})} for row in before]
	assert [dict(row) for row in after or state.rows(DOCTYPE)] == expected


def test_those_that_carry_on_learn_of_a_change_and_others_do_not(season):
	chain = [insert(f"{number:02}") for number in range(12)]
	frappe.db.set_value(DOCTYPE, chain[0], "earlier_seasons", json.dumps(["before"]))
	for before, after in pairwise(chain):
		frappe.db.set_value(DOCTYPE, after, "carries_on_from", before)
	frappe.db.set_value(DOCTYPE, season, "earlier_seasons", json.dumps(["its own"]))
	seasons.pass_on_earlier(chain[0])
	assert seasons.get_season(chain[1]).earlier == ("00", "before")
	assert seasons.get_season(chain[3]).earlier == ("02", "01", "00", "before")
	assert seasons.get_season(chain[11]).earlier == tuple(reversed(chain[3:11]))
	assert seasons.get_season(season).earlier == ("its own",)
	frappe.db.rollback()


def is_locked(name: str, how: str = "FOR UPDATE") -> bool:
	"""Says whether another connection would have to wait for a season's row."""
	with raw_connection() as connection, connection.cursor() as cursor:
		try:
			cursor.execute(f"SELECT 1 FROM `tab{DOCTYPE}` WHERE name = %s {how} NOWAIT", (name,))
		except failures.ERRORS:
			return True
		return False


def test_who_holds_a_season_keeps_it_as_it_is_and_others_may_hold_it_too(season):
	other = insert("A")
	frappe.db.commit()
	seasons.hold(season)
	assert is_locked(season)
	assert not is_locked(season, "LOCK IN SHARE MODE")
	assert not is_locked(other)
	frappe.db.rollback()
	seasons.get_document(season)
	assert not is_locked(season)
	seasons.get_document(season, for_update=True)
	assert is_locked(season)
	frappe.db.rollback()


def test_who_locks_all_seasons_must_not_rest_for_long(season):
	names = [season, insert("A"), insert("Z")]
	frappe.db.commit()

	def rests() -> int:
		return frappe.db.sql("SELECT @@SESSION.idle_transaction_timeout")[0][0]

	before = rests()
	seasons.lock_all()
	assert all(is_locked(name, "LOCK IN SHARE MODE") for name in names)
	assert 0 < rests() <= 60
	frappe.db.rollback()
	assert rests() == before
