"""Flagging reads a season when it is flagged, and never again."""

from datetime import timedelta

import frappe
import pytest

from memora.services.operations import archiving, retention
from memora.services.store import archive, seasons
from tests.integration import state
from tests.integration.archiving import make_rows, move_to_archive
from tests.integration.factories import site_now
from tests.integration.handlers import rows_read
from tests.integration.test_retention import DOCTYPE, LONG_AGO, NOT_LONG_ENOUGH, flagged, make_archived_season
from tests.integration.test_retention_of_seasons import keep_for


def make(ago: timedelta, rows: int) -> str:
	"""A season that was archived so long ago, in a minute."""
	season = make_archived_season(rows)
	ended = site_now() - ago
	values = {"archived_at": ended, "archive_started_at": ended - timedelta(seconds=1)}
	frappe.db.set_value(DOCTYPE, season, values)
	frappe.db.sql(
		"UPDATE `tabArchived Memory Tracker` SET archived_at = %s WHERE season = %s", (ended, season)
	)
	frappe.db.commit()
	return season


def reads_of_a_week() -> int:
	with rows_read("GLOBAL") as reads:  # rows are read on other connections
		assert retention.flag_eligible()["success"]
	return reads.rows


def test_the_next_weeks_read_no_row_whatever_the_archive_holds():
	old, recent = make(LONG_AGO, 200), make(timedelta(days=5), 200)
	first, second = reads_of_a_week(), reads_of_a_week()
	assert (flagged(old), flagged(recent)) == (200, 0)
	assert first - second >= 400
	for season in (old, recent):
		make_rows(season, 200, first=1000)
		move_to_archive(season)
	assert reads_of_a_week() <= second
	keep_for(3650)
	assert reads_of_a_week() - second >= 200  # takes the flags back
	assert flagged(old) == 0
	assert reads_of_a_week() <= second


@pytest.mark.parametrize("is_flagging", [True, False])
def test_a_run_that_died_is_finished_by_the_next(monkeypatch, is_flagging):
	season = make(LONG_AGO, 40)
	if not is_flagging:
		retention.flag_eligible()
		keep_for(3650)
	monkeypatch.setattr(archive, "CHUNK_ROWS", 10)
	name = state.rows("Archived Memory Tracker", season=season)[24].name
	frappe.db.commit()
	frappe.db.sql_ddl(
		f"""CREATE TRIGGER stubborn BEFORE UPDATE ON `tabArchived Memory Tracker` FOR EACH ROW
		IF OLD.name = '{name}' THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'; END IF"""
	)
	try:
		other = make(NOT_LONG_ENOUGH, 4)
		result = retention.flag_eligible()
	finally:
		frappe.db.rollback()
		frappe.db.sql_ddl("DROP TRIGGER stubborn")
	assert not result["success"]
	assert season in result["error"] and "Disk full" in result["error"]
	assert 0 < flagged(season) < 40
	assert [row.archive_flags for row in state.rows(DOCTYPE, name=season)] == [seasons.SOME]
	assert [row.archive_flags for row in state.rows(DOCTYPE, name=other)] == [seasons.NONE]  # it had its turn
	assert retention.flag_eligible()["success"]
	assert flagged(season) == (40 if is_flagging else 0)


# Previews


def test_a_request_estimates_a_large_season_and_reads_few_of_its_rows(monkeypatch):
	season = make(LONG_AGO, 3000)
	monkeypatch.setattr(archive, "LOOKS", 8)
	exact = archiving.get_archive_status(season)
	assert archiving.show_archive_status(season) == {**exact, "is_estimate": False}
	for module in (archiving, retention):
		monkeypatch.setattr(module, "EXACT_ROWS", 1000)
	with rows_read("GLOBAL") as reads:
		found = archiving.show_archive_status(season)
	assert reads.rows < 1000
	assert found["is_estimate"]
	assert 1500 <= found["archived_records"] <= 4500  # what InnoDB thinks of 3,000
	assert found["eligible_for_deletion"] == 0
	for flags in (None, seasons.ALL):  # nobody knows: then rows here and there stand for all
		retention.flag_eligible()
		frappe.db.set_value(DOCTYPE, season, "archive_flags", flags)
		found = archiving.show_archive_status(season)
		assert found["eligible_for_deletion"] == found["archived_records"]
	preview = retention.preview_eligible(season)
	assert preview["is_estimate"]
	assert preview["seasons"] == {season: found["archived_records"]}
