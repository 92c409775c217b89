"""What store/outbox reads and writes: the rows that it names, and no others."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import frappe
import pytest

from memora.exceptions import LearnerIsErased, SeasonStateError
from memora.services.store import failures, outbox
from memora.services.store.outbox import Calendar, CalendarChanged, Place
from memora.services.store.records import (
	ActivityCount,
	Backlog,
	Effort,
	MemoryRecord,
	OutboxEntry,
	pack_records,
)
from tests.integration import state
from tests.integration.connections import raw_connection
from tests.integration.factories import (
	STANDING_SEASON,
	ensure_learner,
	learner_id,
	make_record,
	make_season,
	site_now,
)

OTHER_SEASON = "Another"
AT = datetime(2026, 3, 2, 9)
RECORD = MemoryRecord("q1", None, None, 2.5, 5.0, "Review", 3, 1, AT, AT, AT)
INSERT_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, creation, parked_at, error, payload, modified)
	VALUES (%s, %s, %s, %s, %s, %s, '[]', NOW())"""
SEASON_SQL = "UPDATE `tabGame Subscription Season` SET {} WHERE name = %s"
SINGLE_SQL = "INSERT INTO tabSingles (doctype, field, value) VALUES (%s, %s, %s)"


@pytest.fixture
def stored(season) -> list[OutboxEntry]:
	"""Rows of four learners and two seasons: some are as old as others, and some are parked, the newest of them first."""
	start = site_now().replace(microsecond=0) - timedelta(hours=1)
	entries = []
	for number, (minute, parked) in enumerate(
		[
			(0, 9),
			(1, None),
			(1, None),
			(2, 8),
			(2, 8),
			(2, None),
			(3, 7),
			(4, None),
			(4, 8),
			(5, None),
			(6, 7),
		]
	):
		learner = learner_id(f"waits {number % 4}")
		entries.append(
			OutboxEntry(
				f"{learner}{number:016x}",
				learner,
				(season, OTHER_SEASON)[number % 3 == 0],
				start + timedelta(minutes=minute),
				parked and start + timedelta(minutes=parked),
				parked and f"why {number}",
			)
		)
	for entry in entries:
		frappe.db.sql(INSERT_SQL, entry)
	frappe.db.commit()
	return entries


def waiting(entries: list[OutboxEntry]) -> list[OutboxEntry]:
	"""Those that are not parked, the oldest first."""
	found = [entry for entry in entries if not entry.parked_at]
	return sorted(found, key=lambda entry: (entry.accepted_at, entry.name))


def parked(entries: list[OutboxEntry]) -> list[OutboxEntry]:
	"""Those that are parked, the first parked first."""
	found = [entry for entry in entries if entry.parked_at]
	return sorted(found, key=lambda entry: (entry.parked_at, entry.accepted_at, entry.name))


def names(entries: list[Any]) -> list[str]:
	return [entry.name for entry in entries]


def all_pages(read: Callable[[int, Place | None], list[Place]], limit: int) -> list[str]:
	"""Returns the names on pages of at most `limit` rows, up to one page more than there can be."""
	found: list[Place] = []
	for _ in range(20):
		page = read(limit, found[-1] if found else None)
		assert len(page) <= limit
		found += page
		if not page:
			break
	return names(found)


# Reading


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_row_is_on_one_page_in_order(stored, limit):
	assert all_pages(lambda *page: outbox.get_page(False, *page), limit) == names(waiting(stored))
	assert all_pages(lambda *page: outbox.get_page(True, *page), limit) == names(parked(stored))
	for season in {entry.season for entry in stored}:
		of_season = [entry for entry in waiting(stored) if entry.season == season]
		found = all_pages(lambda *page, season=season: outbox.get_of_season(season, *page), limit)
		assert found == names(of_season)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_oldest_are_those_up_to_a_moment(stored, limit):
	for moment in {entry.accepted_at for entry in stored}:
		found = all_pages(lambda *page, moment=moment: outbox.get_oldest(moment, *page), limit)
		assert found == names([entry for entry in waiting(stored) if entry.accepted_at <= moment])


def test_a_place_says_where_a_row_stands(stored):
	first = parked(stored)[0]
	assert outbox.get_page(True, 1) == [Place(first.accepted_at, first.name, first.parked_at)]
	first = waiting(stored)[0]
	assert outbox.get_page(False, 1) == [Place(first.accepted_at, first.name)]


def test_who_is_asked_for_by_name_is_found_and_nobody_else(stored):
	some = [*waiting(stored)[1:3], *parked(stored)[1:3]]
	assert outbox.get_entries([*names(some), "gone"]) == {entry.name: entry for entry in some}
	assert outbox.get_entries([]) == {}
	assert set(outbox.get_waiting([*names(some), "gone"])) == {*names(waiting(some))}
	taken = outbox.take(names(some))
	assert {(row.name, row.player, row.season) for row in taken} == {entry[:3] for entry in some}
	assert outbox.take([]) == []
	frappe.db.rollback()
	found = [outbox.get_waiting_status(entry.name) for entry in stored]
	assert found == ["parked" if entry.parked_at else "queued" for entry in stored]
	assert outbox.get_waiting_status("gone") is None


def test_what_waits_and_what_is_parked_is_counted(stored):
	assert outbox.get_backlog() == Backlog(5, 6, waiting(stored)[0].accepted_at)
	assert (outbox.count_all(), outbox.count_parked()) == ((5, 6), 6)
	for season in {entry.season for entry in stored}:
		of_season = [entry for entry in stored if entry.season == season]
		assert outbox.count_of_season(season) == (len(waiting(of_season)), len(parked(of_season)))
	assert len(outbox.get_parked(2)) == 2
	assert set(outbox.get_parked(100)) == {*names(parked(stored))}


def test_an_empty_outbox_has_no_oldest_row(site):
	assert outbox.get_backlog() == Backlog(0, 0, None)


def test_a_count_is_told_as_far_as_it_goes():
	most = outbox.MOST_COUNTED
	found = [outbox.as_text(count) for count in (0, most, most + 1)]
	assert found == ["0", f"{most}", f"{most}+"]


# Writing


def everything() -> dict[str, OutboxEntry]:
	"""Returns {name: entry} of all rows, as this transaction sees them."""
	return outbox.get_entries([name for (name,) in frappe.db.sql("SELECT name FROM `tabReview Outbox`")])


def test_who_is_parked_or_put_back_leaves_the_others_as_they_are(stored):
	now = site_now().replace(microsecond=0)
	first, second = waiting(stored)[:2]
	before = everything()
	outbox.park(first.name, "no good", now)
	assert everything() == before | {first.name: first._replace(parked_at=now, error="no good")}
	assert outbox.unpark([first.name, second.name, "gone"]) == 1
	assert everything() == before
	assert outbox.unpark([second.name]) == 0
	assert everything() == before


def test_a_row_is_rewritten_and_deleted_alone(stored):
	first, second = outbox.take(names(waiting(stored)[:2]))
	effort = Effort("2026-03-02", 2, "abcdabcd", 1)
	records = [make_record("q1"), make_record("q2", reps=4)]
	outbox.rewrite(first.__class__(**vars(first) | {"effort": effort}), records)
	(found,) = outbox.take([first.name])
	assert (found.records, found.effort) == (records, effort)
	assert outbox.take([second.name]) == [second]
	outbox.delete([first])
	outbox.delete([])
	assert everything().keys() == {*names(stored)} - {first.name}


def test_rows_that_another_has_locked_are_left_to_it(stored):
	held, free = waiting(stored)[:2]
	held_parked, free_parked = parked(stored)[:2]
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute(
			"SELECT 1 FROM `tabReview Outbox` WHERE name IN %s FOR UPDATE", ((held.name, held_parked.name),)
		)
		frappe.db.sql("SET SESSION innodb_lock_wait_timeout = 1")
		try:
			assert names(outbox.take([held.name, free.name])) == [free.name]
			assert outbox.unpark([held_parked.name, free_parked.name]) == 1
		finally:
			frappe.db.sql("SET SESSION innodb_lock_wait_timeout = DEFAULT")
	assert everything()[held_parked.name] == held_parked
	frappe.db.rollback()


# Accepting


@pytest.fixture
def closing() -> str:
	"""A season that was closed yesterday, beside the standing one."""
	season = make_season().name
	frappe.db.sql(SEASON_SQL.format("closed_at = %s"), (site_now() - timedelta(days=1), season))
	frappe.db.commit()
	return season


@pytest.fixture
def her(site) -> str:
	"""A learner beside another."""
	for name in ("other", "her"):
		ensure_learner(learner_id(name))
	return learner_id("her")


def insert(learner: str, season: str, calendar: Calendar | None = None) -> None:
	grace_from = site_now() - timedelta(days=2)
	payload = pack_records([RECORD])
	counts = [ActivityCount("2026-03-02", "Biology", 2, 1, 1)]
	outbox.insert(f"{learner}{1:016x}", learner, season, payload, counts, site_now(), grace_from, calendar)


def calendar_of(season: str, day_start_hour: int = 4) -> Calendar:
	return Calendar(frappe.db.get_value("Game Subscription Season", season, "end_date"), day_start_hour)


def test_a_submission_is_stored_once_with_all_that_it_brings(her, season, closing):
	for taking in (season, closing):
		insert(her, taking)
		(row,) = frappe.db.sql("SELECT * FROM `tabReview Outbox`", as_dict=True)
		assert (row.name, row.player, row.season, row.parked_at) == (f"{her}{1:016x}", her, taking, None)
		assert json.loads(row.activity) == [["2026-03-02", "Biology", 2, 1, 1, 0, 0]]
		assert outbox.take([row.name])[0].records == [RECORD]
		assert row.creation == row.modified
		frappe.db.rollback()


@pytest.mark.parametrize("with_calendar", [False, True])
@pytest.mark.parametrize(
	"change",
	["closed_at = NOW() - INTERVAL 5 DAY", "closed_at = NULL", "archive_started_at = NOW()", "name = 'Gone'"],
)
def test_a_season_that_takes_no_answers_takes_none(her, closing, change, with_calendar):
	calendar = calendar_of(closing) if with_calendar else None
	frappe.db.sql(SEASON_SQL.format(change), (closing,))
	with pytest.raises(SeasonStateError, match=closing):
		insert(her, closing, calendar)
	assert everything() == {}


def test_an_active_season_whose_archiving_has_begun_takes_none(her, season):
	frappe.db.sql(SEASON_SQL.format("archive_started_at = NOW()"), (season,))
	with pytest.raises(SeasonStateError):
		insert(her, season)
	frappe.db.rollback()


@pytest.mark.parametrize("change", ["erasing_since = NOW()", "merged_into = 'x'", "name = 'gone'"])
def test_a_learner_who_is_being_erased_or_gone_is_refused(her, season, change):
	frappe.db.sql(f"UPDATE `tabMemora Learner` SET {change} WHERE name = %s", (her,))
	with pytest.raises(LearnerIsErased):
		insert(her, season, calendar_of(season))
	assert everything() == {}
	frappe.db.rollback()


@pytest.fixture
def settings(site) -> Iterator[Callable[[str], None]]:
	"""Sets the hour at which a learning day starts, beside settings that have nothing to do with it."""
	frappe.db.sql("DELETE FROM tabSingles WHERE doctype = 'Memora Settings' AND field = 'day_start_hour'")
	frappe.db.sql(SINGLE_SQL, ("Not Memora", "day_start_hour", 3))
	frappe.db.sql(SINGLE_SQL, ("Memora Settings", "a_field", 3))
	yield lambda hour: frappe.db.sql(SINGLE_SQL, ("Memora Settings", "day_start_hour", hour))
	frappe.db.rollback()


@pytest.mark.parametrize(("hour", "taken"), [(None, 4), ("", 4), ("0", 0), ("6", 6)])
def test_only_what_was_judged_by_the_present_calendar_is_stored(her, season, closing, settings, hour, taken):
	if hour is not None:
		settings(hour)
	for other in ({3, 4, 6} - {taken}) | {0 if taken else 5}:
		with pytest.raises(CalendarChanged):
			insert(her, season, calendar_of(season, other))
	with pytest.raises(CalendarChanged):
		insert(
			her,
			season,
			calendar_of(season, taken)._replace(end_date=calendar_of(season).end_date + timedelta(days=1)),
		)
	assert everything() == {}
	insert(her, season, calendar_of(season, taken))
	assert len(everything()) == 1


@pytest.mark.parametrize(
	"change",
	[
		SEASON_SQL.format("end_date = end_date + INTERVAL 1 DAY"),
		"UPDATE `tabMemora Learner` SET erasing_since = NOW() WHERE name = %s",
		"UPDATE tabSingles SET value = '7' WHERE doctype = 'Memora Settings' AND field = %s",
	],
)
def test_what_a_submission_was_judged_by_stays_until_it_is_stored(her, season, change):
	frappe.db.sql("DELETE FROM tabSingles WHERE doctype = 'Memora Settings' AND field = 'day_start_hour'")
	frappe.db.sql(SINGLE_SQL, ("Memora Settings", "day_start_hour", 4))
	frappe.db.commit()
	which = next(
		v for k, v in {"end_date": season, "Learner": her, "Singles": "day_start_hour"}.items() if k in change
	)
	frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	try:
		insert(her, STANDING_SEASON, calendar_of(season))
		with raw_connection() as other, other.cursor() as cursor:
			cursor.execute("SET innodb_lock_wait_timeout = 0")
			with pytest.raises(failures.ERRORS) as caught:
				cursor.execute(change, (which,))
			assert failures.number_of(caught.value) == 1205
	finally:
		frappe.db.rollback()
		frappe.db.sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	assert state.rows("Review Outbox") == []
