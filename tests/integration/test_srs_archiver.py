"""SRSArchiver.archive_season and process_auto_archive: what they do, refuse and leave behind."""

import json
from datetime import timedelta

import frappe
import pytest
from frappe.utils import add_days, getdate

from memora import hooks
from memora.exceptions import NoActiveSeason, UnknownSeason
from memora.memora.doctype.game_subscription_season import game_subscription_season
from memora.services import srs_archiver
from memora.services.cache import loading
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import ddl, partitions, swap, tables
from tests.integration import state
from tests.integration.archiving import (
	ARCHIVE,
	DOCTYPE,
	TRACKER,
	all_rows,
	deactivate,
	drifted_columns,
	make_ended_season,
	make_late_submission,
	make_rows,
	rows_by_table,
	stored,
)
from tests.integration.cleaning import queue_redis
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_learner, make_record, make_records, site_now
from tests.integration.submitting import answers, read, submit
from tests.integration.waiting import wait_until

# What it does


@pytest.mark.parametrize(
	"name",
	["2023-2024", 'it\'s "quoted" `x` \\ %s; DROP TABLE x; --', "موسم ٢٠٢٥ 🎓", "x" * 140],
)
def test_all_rows_of_a_season_go_to_the_archive_unchanged(archiver, season, player, name, monkeypatch):
	make_records(player, 3)
	with monkeypatch.context() as earlier:  # when a name could hold "
		earlier.setattr(game_subscription_season, "require_plain_name", lambda *_names: None)
		ended = make_ended_season(season_name=name)
	before, others = all_rows(ended), all_rows(season)
	assert archiver.archive_season(ended) == {"success": True, "archived_count": 50, "season": ended}
	assert rows_by_table(ended) == {ARCHIVE: before}
	assert rows_by_table(season) == {TRACKER: others}
	assert not tables.has_table(swap.staging_table(ended))


def test_it_is_noted_on_rows_and_season(archiver):
	ended, began = make_ended_season(), site_now()
	archiver.archive_season(ended)
	row = stored(ended)
	assert began <= row.archive_started_at <= row.archived_at <= site_now()
	assert (row.archived_records, row.archive_status, row.is_active) == (50, "Archived", 0)
	rows = state.rows("Archived Memory Tracker")
	assert len({r.archived_at for r in rows}) == 1 and began <= rows[0].archived_at <= site_now()
	assert {r.eligible_for_deletion for r in rows} == {0}


def test_the_tables_are_sound_after_it_and_take_the_same_rows_again(archiver, player, season):
	archiver.archive_season(make_ended_season())
	make_records(player, 3)
	for table in (TRACKER, ARCHIVE):
		((*_rest, text),) = frappe.db.sql(f"CHECK TABLE `{table}` EXTENDED")
		assert text == "OK"


def test_a_season_without_rows(archiver):
	assert archiver.archive_season(make_ended_season(0))["archived_count"] == 0
	assert rows_by_table(frappe.get_last_doc(DOCTYPE).name) == {}


def test_a_season_by_another_spelling_is_the_same(archiver):
	make_ended_season(season_name="Autumn 2024")
	result = archiver.archive_season("AUTUMN 2024 ")
	assert result == {"success": True, "archived_count": 50, "season": "Autumn 2024"}


def test_answers_that_wait_are_archived_too(archiver):
	ended = make_ended_season(4)
	make_late_submission(ended, make_record("q-new"))
	assert archiver.archive_season(ended)["archived_count"] == 5
	assert state.rows("Review Outbox") == []


def test_answers_that_another_process_is_folding_are_waited_for(archiver):
	ended = make_ended_season(4)
	name = make_late_submission(ended, make_record("q-new"))
	with raw_connection() as worker, worker.cursor() as cursor:
		cursor.execute("SELECT 1 FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (name,))
		run = in_other_connection(lambda: SRSArchiver().archive_season(ended))
		wait_until(lambda: stored(ended).archive_status == "Processing the last answers", "the run to begin")
		assert not run.done()
		worker.rollback()
		assert run.result(30)["archived_count"] == 5


def test_the_cache_of_a_season_goes_and_no_other(archiver, season, player):
	ended = make_ended_season(0)
	manager = SRSRedisManager()
	for name in (ended, season):
		make_records(player, 2, season=name)
		loading.rehydrate(manager.schedules, player, name)
	archiver.archive_season(ended)
	assert not state.cached(player, ended) and not state.is_loaded(player, ended)
	assert len(state.cached(player, season)) == 2


def test_after_it_the_learner_reads_that_the_season_has_ended(archiver, season, player):
	make_records(player, 3)
	deactivate(season)
	assert archiver.archive_season(season, before_its_end=True)["success"]
	session = read(player)
	assert session["message"] == f"Season {season} is over, and its records are archived."
	assert (session["questions"], session["total_due"]) == ([], 0)
	with pytest.raises(NoActiveSeason, match="archived"):
		submit(player, answers())


# Where rows have to be copied


def test_rows_are_copied_where_the_columns_have_drifted_apart(archiver, monkeypatch):
	monkeypatch.setattr(swap, "COPY_ROWS", 20)
	ended = make_ended_season()
	before = all_rows(ended)
	with drifted_columns():
		assert archiver.archive_season(ended)["archived_count"] == 50
	assert rows_by_table(ended) == {ARCHIVE: before}
	assert {r.archived_at is None for r in state.rows("Archived Memory Tracker")} == {False}


def test_rows_that_are_copied_wrong_stay_where_they_are(archiver):
	"""A trigger alters one of the copies: its chunk fails as a whole, and the staging table keeps every row."""
	ended = make_ended_season(20)
	before = all_rows(ended)
	frappe.db.sql_ddl(
		f"""CREATE TRIGGER alters BEFORE INSERT ON `{ARCHIVE}` FOR EACH ROW
		SET NEW.stability = IF(NEW.question_id = 'q-000007', 99, NEW.stability)"""
	)
	try:
		with drifted_columns():
			assert "only 19" in archiver.archive_season(ended)["error"]
		assert rows_by_table(ended) == {swap.staging_table(ended): before}
	finally:
		frappe.db.sql_ddl("DROP TRIGGER alters")
	assert archiver.archive_season(ended)["archived_count"] == 20
	assert rows_by_table(ended) == {ARCHIVE: before}


def test_rows_join_those_of_an_earlier_run_and_newer_ones_replace_them(archiver):
	ended = make_ended_season(20)
	archiver.archive_season(ended)
	frappe.db.set_value(DOCTYPE, ended, {"archived_at": None, "archive_started_at": None})
	make_rows(ended, 4)
	make_rows(ended, 10, first=100)
	frappe.db.sql(f"UPDATE `{TRACKER}` SET reps = 9 WHERE question_id < 'q-000100' AND season = %s", (ended,))
	frappe.db.commit()
	assert archiver.archive_season(ended)["archived_count"] == 30
	assert rows_by_table(ended).keys() == {ARCHIVE}
	assert frappe.db.count("Archived Memory Tracker", {"reps": 9}) == 4


def test_rows_that_reach_the_season_meanwhile_are_told_and_go_with_the_next_run(archiver, monkeypatch):
	"""An app that writes to the tracker itself asks nobody whether the season is being archived."""
	ended, put_in = make_ended_season(20), swap.put_in

	def put_in_late(*args, **options) -> None:
		make_rows(ended, 4, first=100)
		put_in(*args, **options)

	with monkeypatch.context() as patch:
		patch.setattr(swap, "put_in", put_in_late)
		assert "New records reached season" in archiver.archive_season(ended)["error"]
	assert not stored(ended).archived_at
	assert len(all_rows(ended)) == 24
	assert archiver.archive_season(ended)["archived_count"] == 24
	assert rows_by_table(ended).keys() == {ARCHIVE}


def test_a_partition_that_the_archive_lacks_is_made(archiver):
	ended = make_ended_season(8)
	partitions.change("Archived Memory Tracker", lambda table: ddl.drop_partition(table, ended))
	assert archiver.archive_season(ended)["archived_count"] == 8
	assert rows_by_table(ended).keys() == {ARCHIVE}


def test_a_column_that_the_archive_lacks_is_named_and_nothing_moves(archiver):
	ended = make_ended_season()
	before = rows_by_table(ended)
	frappe.db.commit()
	frappe.db.sql_ddl(f"ALTER TABLE `{TRACKER}` ADD COLUMN custom_mood varchar(20)")
	try:
		assert "custom_mood" in archiver.archive_season(ended)["error"]
		assert rows_by_table(ended) == before
	finally:
		frappe.db.sql_ddl(f"ALTER TABLE `{TRACKER}` DROP COLUMN custom_mood")
	assert archiver.archive_season(ended)["archived_count"] == 50


# Progress


def test_progress_reaches_those_who_look_at_the_season(archiver, monkeypatch):
	monkeypatch.setattr(swap, "COPY_ROWS", 20)
	ended = make_ended_season()
	listener = queue_redis().pubsub()
	listener.subscribe("events")
	assert listener.get_message(timeout=5)["type"] == "subscribe"
	with drifted_columns():
		archiver.archive_season(ended)
	events = []
	while message := listener.get_message(timeout=1):
		events.append(json.loads(message["data"]))
	progress = [event["message"] for event in events if event["event"] == "memora_archive"]
	assert {event["room"] for event in events if event["event"] == "memora_archive"} == {
		f"doc:{DOCTYPE}/{ended}"
	}
	assert [p["percent"] for p in progress] == sorted(p["percent"] for p in progress)
	assert "Adding the rows to the archive: 40 copied" in {p["description"] for p in progress}
	assert (progress[-1]["percent"], progress[-1]["description"]) == (100, "Archived")


# On its own


def test_the_scheduler_archives_what_is_over(archiver, season):
	yesterday, today = add_days(getdate(), -1), getdate()
	due = [make_ended_season(4, auto_archive=1) for _ in range(2)]
	not_due = [make_ended_season(4), make_ended_season(4, auto_archive=1, end_date=today)]
	assert stored(due[0]).end_date == getdate(yesterday)
	assert srs_archiver.process_auto_archive() == {
		"success": True,
		"archived_seasons": 2,
		"failed_seasons": [],
	}
	assert [rows_by_table(s).keys() == {ARCHIVE} for s in [*due, *not_due]] == [True, True, False, False]
	assert srs_archiver.process_auto_archive()["archived_seasons"] == 0


def test_one_that_fails_does_not_stop_the_others_and_managers_are_told(archiver):
	manager = make_learner(roles=["Memora Manager"]).user
	parked, fine = (make_ended_season(4, auto_archive=1) for _ in range(2))
	name = make_late_submission(parked)
	frappe.db.set_value("Review Outbox", name, "parked_at", site_now())
	frappe.db.commit()
	result = archiver.process_auto_archive()
	assert result == {"success": False, "archived_seasons": 1, "failed_seasons": [parked]}
	assert rows_by_table(fine).keys() == {ARCHIVE}
	(told,) = state.rows("Notification Log", for_user=manager)
	assert (told.document_type, told.document_name) == (DOCTYPE, parked)
	assert "parked" in told.email_content


def test_the_scheduler_completes_a_run_that_was_started_by_hand(archiver):
	ended = make_ended_season()
	frappe.db.set_value(DOCTYPE, ended, "archive_started_at", site_now() - timedelta(hours=1))
	frappe.db.commit()
	swap.take_out(ended)
	assert rows_by_table(ended).keys() == {swap.staging_table(ended)}
	assert archiver.process_auto_archive()["archived_seasons"] == 1
	assert rows_by_table(ended).keys() == {ARCHIVE}


def test_the_entry_points_are_registered_as_the_seeds_register_them():
	assert "memora.services.srs_archiver.process_auto_archive" in hooks.scheduler_events["daily"]
	assert "memora.services.srs_archiver.flag_eligible_for_deletion" in hooks.scheduler_events["weekly"]
	jobs = frappe.get_all(
		"Scheduled Job Type", filters={"method": ("like", "%srs_archiver%")}, pluck="frequency"
	)
	assert sorted(jobs) == ["Daily", "Weekly"]


# Status


def test_the_status_of_a_season(archiver):
	ended = make_ended_season(auto_archive=1)
	status = archiver.get_archive_status(ended)
	assert status == {
		"season": ended,
		"is_active": False,
		"auto_archive": True,
		"end_date": getdate(add_days(getdate(), -1)),
		"active_records": 50,
		"archived_records": 0,
		"eligible_for_deletion": 0,
		"total_records": 50,
	}
	frappe.db.commit()
	swap.take_out(ended)
	assert archiver.get_archive_status(ended) == status
	archiver.archive_season(ended)
	assert archiver.get_archive_status(ended) == {**status, "active_records": 0, "archived_records": 50}
	with pytest.raises(UnknownSeason, match="nowhere"):
		archiver.get_archive_status("nowhere")
