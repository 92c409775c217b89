"""What was archived more than RETENTION_DAYS ago is flagged, and deleted when somebody confirms it.

Archived records are flagged one by one. Test_retention_of_seasons has what goes with a whole season.
"""

from datetime import timedelta

import frappe
import pytest
from frappe.desk.form.load import getdoc

from memora.exceptions import SeasonStateError
from memora.services import srs_archiver
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import archive, database, partitions
from tests.integration import state
from tests.integration.archiving import ARCHIVE, TRACKER, make_ended_season, move_to_archive, rows_by_table
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_learner, make_records, site_now
from tests.integration.waiting import wait_until

DOCTYPE = "Game Subscription Season"
LONG_AGO = timedelta(days=SRSArchiver.RETENTION_DAYS, minutes=1)
NOT_LONG_ENOUGH = timedelta(days=SRSArchiver.RETENTION_DAYS, minutes=-1)


@pytest.fixture
def archiver() -> SRSArchiver:
	return SRSArchiver()


def make_archived_season(rows: int = 20, old_rows: int = 0, flagged: int = 0) -> str:
	"""An archived season of which the first rows were archived LONG_AGO, and some of these are flagged."""
	season = make_ended_season(rows)
	move_to_archive(season)
	by_name = f"UPDATE `{ARCHIVE}` SET {{}} WHERE season = %s ORDER BY name LIMIT %s"
	recent, old = site_now() - NOT_LONG_ENOUGH, site_now() - LONG_AGO
	frappe.db.sql(f"UPDATE `{ARCHIVE}` SET archived_at = %s WHERE season = %s", (recent, season))
	frappe.db.sql(by_name.format(f"archived_at = '{old}'"), (season, old_rows))
	frappe.db.sql(by_name.format("eligible_for_deletion = 1"), (season, flagged))
	frappe.db.set_value(DOCTYPE, season, {"archived_at": recent, "archived_records": rows})
	frappe.db.commit()
	return season


def flagged(season: str) -> int:
	return len(state.rows("Archived Memory Tracker", season=season, eligible_for_deletion=1))


def archived(season: str) -> int:
	return len(state.rows("Archived Memory Tracker", season=season))


def comments(season: str) -> list[tuple[str, str]]:
	"""(who, what) of those that the season's form shows."""
	frappe.db.rollback()
	getdoc(DOCTYPE, season)
	return [(log.owner, log.content) for log in frappe.response.docinfo.info_logs]


# Flagging


def test_what_is_past_retention_is_flagged_and_nothing_else(archiver, season, player):
	make_records(player, 3)
	some, none = make_archived_season(20, old_rows=7), make_archived_season(20)
	result = srs_archiver.flag_eligible_for_deletion()
	assert result == {
		"success": True,
		"flagged_count": 7,
		"cutoff_date": (site_now() - timedelta(days=1095)).date(),
		"flagged_seasons": [],
	}
	assert (flagged(some), flagged(none)) == (7, 0)
	assert archiver.get_archive_status(some)["eligible_for_deletion"] == 7
	assert archiver.flag_eligible_for_deletion()["flagged_count"] == 0
	assert len(state.tracker(player)) == 3


def test_its_caller_sees_what_was_flagged_and_it_what_its_caller_wrote(archiver):
	season = make_archived_season(3)
	count = {"season": season, "eligible_for_deletion": 1}
	assert frappe.db.count("Archived Memory Tracker", count) == 0  # the caller's transaction has looked
	frappe.db.sql(
		"UPDATE `tabArchived Memory Tracker` SET archived_at = '2001-01-01' WHERE season = %s", (season,)
	)
	assert archiver.flag_eligible_for_deletion()["flagged_count"] == 3
	assert frappe.db.count("Archived Memory Tracker", count) == 3


@pytest.mark.parametrize("chunk", [1, 3, 7, 20, 21])
def test_flagging_and_deleting_in_chunks_of_any_size(archiver, monkeypatch, chunk):
	monkeypatch.setattr(archive, "CHUNK_ROWS", chunk)
	season = make_archived_season(20, old_rows=13)
	assert archiver.flag_eligible_for_deletion()["flagged_count"] == 13
	assert flagged(season) == 13
	assert archiver.delete_eligible_records(confirm=True)["deleted_count"] == 13
	assert (flagged(season), archived(season)) == (0, 7)


# Deleting


def test_a_dry_run_counts_and_deletes_nothing(archiver):
	one, other, _unflagged = (make_archived_season(8, flagged=count) for count in (3, 8, 0))
	with state.nothing_changes():
		for confirm in (False, None, "false", "true", 1):
			result = archiver.delete_eligible_records(confirm=confirm)
			assert result.pop("error") == "Not confirmed, so nothing was deleted."
			assert result.pop("rows") == {
				one: {"Archived Memory Tracker": 3},
				other: {"Archived Memory Tracker": 8},
			}
			assert result == {"success": False, "deleted_count": 0, "seasons": {one: 3, other: 8}}
		assert archiver.delete_eligible_records(one)["seasons"] == {one: 3}
		assert comments(one) == []


def test_what_is_flagged_is_deleted_and_nothing_else(archiver, season, player):
	make_records(player, 3)
	part, whole, none = (make_archived_season(8, flagged=count) for count in (3, 8, 0))
	result = archiver.delete_eligible_records(confirm=True)
	assert result.pop("rows") == {part: {"Archived Memory Tracker": 3}, whole: {"Archived Memory Tracker": 8}}
	assert result == {"success": True, "deleted_count": 11, "seasons": {part: 3, whole: 8}}
	assert [archived(s) for s in (part, whole, none)] == [5, 0, 8]
	assert len(rows_by_table(season)[TRACKER]) == 3
	assert partitions.has_partitions(whole)
	assert archiver.delete_eligible_records(confirm=True) == {
		"success": True,
		"deleted_count": 0,
		"seasons": {},
		"rows": {},
	}


def test_one_season_only(archiver):
	one, other = make_archived_season(8, flagged=8), make_archived_season(8, flagged=8)
	assert archiver.delete_eligible_records(one, confirm=True)["seasons"] == {one: 8}
	assert (archived(one), archived(other)) == (0, 8)


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_season_that_is_not_there_is_named(archiver, name):
	make_archived_season(8, flagged=8)
	with state.nothing_changes():
		result = archiver.delete_eligible_records(name, confirm=True)
	assert result == {
		"success": False,
		"deleted_count": 0,
		"seasons": {},
		"rows": {},
		"error": f"There is no season {name}.",
	}


def test_a_season_of_which_all_is_flagged_goes_at_once(archiver):
	season = make_archived_season(200, flagged=200)
	with raw_connection() as counting, counting.cursor() as cursor:
		cursor.execute("SHOW GLOBAL STATUS LIKE 'Handler_delete'")
		before = cursor.fetchall()
		archiver.delete_eligible_records(season, confirm=True)
		cursor.execute("SHOW GLOBAL STATUS LIKE 'Handler_delete'")
		assert cursor.fetchall() == before
	assert archived(season) == 0


# Who deleted what


def test_who_deleted_what_is_on_the_form_of_the_season(archiver):
	season = make_archived_season(8, flagged=3)
	manager = make_learner(roles=["Memora Manager"]).user
	frappe.set_user(manager)
	assert srs_archiver.delete_eligible_records(season)["deleted_count"] == 3
	frappe.set_user("Administrator")
	assert comments(season) == [
		(manager, f"{manager} deleted what is past the retention period: 3 × Archived Memory Tracker.")
	]


def test_the_season_that_bears_the_note_stays(archiver):
	season = make_archived_season(8, flagged=8)
	archiver.delete_eligible_records(season, confirm=True)
	with pytest.raises(SeasonStateError, match="who deleted them"):
		frappe.delete_doc(DOCTYPE, season)
	frappe.db.rollback()
	assert len(comments(season)) == 1


def test_a_deletion_that_fails_halfway_says_how_much_is_gone_and_who_did_it(archiver, monkeypatch):
	monkeypatch.setattr(archive, "CHUNK_ROWS", 10)
	season = make_archived_season(40, flagged=35)
	name = state.rows("Archived Memory Tracker", season=season)[24].name
	frappe.db.commit()
	frappe.db.sql_ddl(
		f"""CREATE TRIGGER stubborn BEFORE DELETE ON `{ARCHIVE}` FOR EACH ROW
		IF OLD.name = '{name}' THEN
			SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full';
		END IF"""
	)
	try:
		result = archiver.delete_eligible_records(confirm=True)
	finally:
		frappe.db.rollback()
		frappe.db.sql_ddl("DROP TRIGGER stubborn")
	assert "Disk full" in result["error"]
	assert result["deleted_count"] == 40 - archived(season) == 20
	assert [text for _who, text in comments(season)] == [
		f"Administrator deleted what is past the retention period: {result['deleted_count']} × Archived Memory Tracker."
	]
	assert archiver.delete_eligible_records(confirm=True)["success"]
	assert archived(season) == 5


def test_deleting_does_not_keep_readers_waiting(archiver, monkeypatch):
	"""A reader of the archive whose transaction goes on delays the drop. Those who come later get through meanwhile."""
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 1)
	season = make_archived_season(8, flagged=8)
	count = f"SELECT COUNT(*) FROM `{ARCHIVE}`"
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute(count)
		run = in_other_connection(lambda: SRSArchiver().delete_eligible_records(season, confirm=True))
		wait_until(somebody_waits_for_a_table, "the drop to wait for the reader")
		with raw_connection(autocommit=True) as later, later.cursor() as second:
			second.execute("SET SESSION lock_wait_timeout = 10")
			second.execute(count)
			assert second.fetchone() == (8,)
		assert not run.done()
		reader.rollback()
		assert run.result(30)["deleted_count"] == 8
	assert archived(season) == 0


def somebody_waits_for_a_table() -> bool:
	frappe.db.rollback()
	sql = "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for table metadata lock'"
	return bool(frappe.db.sql(sql))
