"""SRSArchiver.archive_season and process_auto_archive: what they do, refuse and leave behind."""

import json
from contextlib import nullcontext, suppress
from datetime import timedelta

import frappe
import pymysql
import pytest
from frappe.utils import add_days, background_jobs, getdate

from memora import hooks
from memora.exceptions import MemoraError, NoActiveSeason, PartitionError, SeasonStateError, UnknownSeason
from memora.services import srs_archiver
from memora.services.cache import loading
from memora.services.operations import archiving, replay
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database, ddl, swap, tables, tracker
from memora.services.store.records import MemoryRecord
from memora.services.store.submissions import write_submission
from tests.integration import state
from tests.integration.archiving import (
	ARCHIVE,
	TRACKER,
	all_rows,
	drifted_columns,
	make_ended_season,
	make_rows,
	put_back,
	rows_by_table,
	stored,
)
from tests.integration.cleaning import queue_redis
from tests.integration.connections import at_once, in_other_connection, raw_connection
from tests.integration.factories import (
	make_learner,
	make_record,
	make_records,
	make_waiting_submission,
	site_now,
)
from tests.integration.redis_proxy import RedisProxy
from tests.integration.submitting import answers, read, submit
from tests.integration.waiting import wait_until

DOCTYPE = "Game Subscription Season"


@pytest.fixture
def archiver() -> SRSArchiver:
	return SRSArchiver()


def deactivate(season: str) -> None:
	frappe.db.commit()
	document = frappe.get_doc(DOCTYPE, season)
	document.is_active = 0
	document.save()
	frappe.db.commit()


def make_late_submission(season: str, *records: MemoryRecord) -> str:
	"""An outbox row of a season that is over: written while it was active, and not folded since."""
	frappe.db.set_value(DOCTYPE, season, "is_active", 1)
	name = make_waiting_submission("player0@past.example", season, *records)
	frappe.db.set_value(DOCTYPE, season, "is_active", 0)
	frappe.db.commit()
	return name


# What it does


@pytest.mark.parametrize(
	"name",
	["2023-2024", 'it\'s "quoted" `x` \\ %s; DROP TABLE x; --', "موسم ٢٠٢٥ 🎓", "x" * 140],
)
def test_all_rows_of_a_season_go_to_the_archive_unchanged(archiver, season, player, name):
	make_records(player, 3)
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
	archiver.archive_season(season)
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


# Refusals


def refusal(archiver: SRSArchiver, season: str) -> str:
	result = archiver.archive_season(season)
	error = result.pop("error")
	assert result == {"success": False, "archived_count": 0, "season": season}
	return error


def test_what_would_be_refused_can_be_known_before(archiver, season):
	ended = make_ended_season(0)
	archiving.require_archivable(ended)
	archiver.archive_season(ended)
	for name, error in ((ended, SeasonStateError), (season, SeasonStateError), ("nowhere", UnknownSeason)):
		with pytest.raises(error) as caught:
			archiving.require_archivable(name)
		assert str(caught.value) == refusal(archiver, name)


def test_an_unknown_season(archiver):
	assert refusal(archiver, "nowhere") == "There is no season nowhere."


def test_the_active_season(archiver, season, player):
	make_records(player)
	with state.nothing_changes():
		assert refusal(archiver, season) == f"Season {season} is active. Deactivate it before archiving it."
	assert submit(player, answers())["status"] == "success"


def test_a_season_archived_already(archiver):
	ended = make_ended_season()
	archiver.archive_season(ended)
	with state.nothing_changes():
		assert refusal(archiver, ended) == f"Season {ended} is archived already."


def test_only_one_runs_at_a_time(archiver):
	one, other = make_ended_season(), make_ended_season()
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute(f"SELECT COUNT(*) FROM `{TRACKER}`")  # keeps the first run waiting
		first = in_other_connection(lambda: SRSArchiver().archive_season(one))
		wait_until(
			lambda: stored(one).archive_status == "Removing the rows from the tracker", "the first run"
		)
		for season in (one, other):
			assert refusal(archiver, season) == "Another archive or retention run is going on."
		assert "going on" in archiver.delete_eligible_records(confirm=True)["error"]
		assert stored(one).archive_status == "Removing the rows from the tracker"
		reader.rollback()
		assert first.result(30)["success"]
	assert archiver.archive_season(other)["success"]


def test_runs_at_the_same_moment(archiver):
	ended = make_ended_season()
	results = at_once(*[lambda: SRSArchiver().archive_season(ended)] * 3)
	assert sorted(result["success"] for result in results) == [False, False, True]
	assert rows_by_table(ended).keys() == {ARCHIVE}


@pytest.mark.parametrize("order", [nullcontext, drifted_columns], ids=["swapped", "copied"])
def test_even_two_runs_at_one_season_lose_nothing(archiver, monkeypatch, order):
	"""As when the connection that holds the lock of the first is gone, and a second one has begun."""
	monkeypatch.setattr(swap, "COPY_ROWS", 10)
	ended = make_ended_season()
	before = all_rows(ended)

	def move() -> None:
		with suppress(MemoraError, pymysql.err.MySQLError):
			swap.take_out(ended)
			swap.put_in(ended, site_now(), on_copied=lambda rows: None)

	with order():
		for _round in range(3):
			at_once(move, move)
			assert all_rows(ended) == before
			assert archiver.archive_season(ended)["archived_count"] == 50
			assert rows_by_table(ended) == {ARCHIVE: before}
			put_back(ended)


def test_a_staging_table_with_rows_is_never_dropped():
	ended = make_ended_season()
	swap.take_out(ended)
	staging = swap.staging_table(ended)
	with pytest.raises(PartitionError, match=f"{staging} holds rows"):
		ddl.drop_empty(staging)
	assert len(rows_by_table(ended)[staging]) == 50


def test_parked_answers_stop_it_and_the_message_says_what_to_do(archiver):
	ended = make_ended_season()
	name = make_late_submission(ended)
	frappe.db.set_value("Review Outbox", name, "payload", '["not a record"]')
	frappe.db.commit()
	error = refusal(archiver, ended)
	assert "still wait in Review Outbox: 1, of them parked: 1." in error and "drain --parked" in error
	assert stored(ended).archive_status == f"Stopped: {error}"
	assert len(rows_by_table(ended)[TRACKER]) == 50
	frappe.db.set_value("Review Outbox", name, {"payload": "[]", "parked_at": None})
	frappe.db.commit()
	assert archiver.archive_season(ended)["archived_count"] == 50
	assert stored(ended).archive_status == "Archived"


# Those who write meanwhile


def test_an_answer_being_written_is_archived_or_refused(archiver, season):
	"""Learners answer without a pause while the season is deactivated and archived."""
	players = [make_learner().name for _ in range(3)]

	def play(player: str) -> int:
		accepted = 0
		while True:
			try:
				submit(player, answers(2))
			except (NoActiveSeason, SeasonStateError):
				return accepted
			accepted += 1

	playing = [in_other_connection(lambda p=p: play(p)) for p in players]
	wait_until(lambda: all(state.journal(player) for player in players), "the first answers")
	deactivate(season)
	assert SRSArchiver().archive_season(season)["archived_count"] == 2 * len(players)
	accepted = [future.result(30) for future in playing]
	assert rows_by_table(season).keys() == {ARCHIVE}
	archived = state.rows("Archived Memory Tracker")
	for player, count in zip(players, accepted, strict=True):
		assert len(state.journal(player)) == 2 * count
		assert {r.reps for r in archived if r.player == player} == {count}
	assert state.rows("Review Outbox") == []


def test_a_submission_not_committed_yet_keeps_the_season_from_being_deactivated(season, player):
	with database.learner_lock(player):
		name = write_submission(player, season, "s-1", [], [make_record("q")], site_now())
		ending = in_other_connection(lambda: deactivate(season))
		wait_until(lambda: _waits_for_row(), "the deactivation to wait")
		frappe.db.commit()
	ending.result(30)
	assert SRSArchiver().archive_season(season)["archived_count"] == 1
	assert name not in {row.name for row in state.rows("Review Outbox")}


def _waits_for_row() -> bool:
	with raw_connection() as connection, connection.cursor() as cursor:
		return bool(
			cursor.execute(
				"SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'Statistics' "
				"AND INFO LIKE '%%Game Subscription Season%%FOR UPDATE%%' AND ID != CONNECTION_ID()"
			)
		)


def test_results_of_other_schedulers_are_refused_from_its_begin_on(archiver, player):
	ended = make_ended_season()
	with database.transaction():
		tracker.keep_from_archive(ended)
		tracker.upsert_records(player, ended, [make_record("late")])
		run = in_other_connection(lambda: SRSArchiver().archive_season(ended))
		wait_until(_waits_for_row, "the run to wait for the season")
	assert run.result(30)["archived_count"] == 51
	with pytest.raises(SeasonStateError, match="archived"):
		tracker.keep_from_archive(ended)
	response = {"question_id": "later", "new_stability": 2.0, "new_next_review_date": site_now()}
	result = SRSPersistenceService().persist_review_batch([response], player, ended)
	assert (result["success"], result["failed_count"]) == (False, 1)
	assert len(all_rows(ended)) == 51


def test_a_replay_does_not_fill_the_tracker_of_an_archived_season_again(archiver, season, player):
	submit(player, answers(3))
	deactivate(season)
	archiver.archive_season(season)
	with pytest.raises(SeasonStateError, match="archived"):
		replay.replay_season(season, repair=True)
	assert rows_by_table(season).keys() == {ARCHIVE}


def test_a_transaction_that_began_before_it_reads_another_season_after_it(archiver, season, player):
	make_records(player, 3)
	ended = make_ended_season()
	with raw_connection() as reader, reader.cursor() as cursor:
		cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
		assert archiver.archive_season(ended)["success"]
		cursor.execute(f"SELECT COUNT(*) FROM `{TRACKER}` WHERE season = %s", (season,))
		assert cursor.fetchone() == (3,)


# Failures


@pytest.fixture
def impatience(monkeypatch) -> None:
	monkeypatch.setattr(ddl, "DEADLINE_SECONDS", 0)
	monkeypatch.setattr(database, "METADATA_LOCK_WAIT_SECONDS", 0)


@pytest.mark.parametrize("table", [TRACKER, ARCHIVE])
def test_a_lock_that_is_not_to_be_had_is_named_and_the_next_run_completes(archiver, impatience, table):
	ended = make_ended_season()
	before = all_rows(ended)
	with raw_connection() as holder, holder.cursor() as cursor:
		cursor.execute(f"SELECT COUNT(*) FROM `{table}`")
		error = refusal(archiver, ended)
		assert f"connection {holder.thread_id()}, " in error and "EXCHANGE" in error
	assert stored(ended).archive_status == f"Stopped: {error}"
	assert all_rows(ended) == before
	assert archiver.archive_season(ended)["archived_count"] == 50
	assert rows_by_table(ended) == {ARCHIVE: before}


def test_a_full_disk_in_the_middle_of_copying(archiver, monkeypatch):
	"""The error comes from a trigger: on a disk that is full indeed, MariaDB may end as well."""
	monkeypatch.setattr(swap, "COPY_ROWS", 10)
	ended = make_ended_season()
	before = all_rows(ended)
	frappe.db.commit()
	frappe.db.sql_ddl(
		f"""CREATE TRIGGER stubborn BEFORE INSERT ON `{ARCHIVE}` FOR EACH ROW
		IF NEW.name = '{before[24][0]}' THEN
			SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full';
		END IF"""
	)
	with drifted_columns():
		try:
			assert "Disk full" in refusal(archiver, ended)
		finally:
			frappe.db.sql_ddl("DROP TRIGGER stubborn")
		assert [len(rows) for rows in rows_by_table(ended).values()] == [20, 30]
		assert all_rows(ended) == before
		assert archiver.archive_season(ended)["archived_count"] == 50
	assert rows_by_table(ended) == {ARCHIVE: before}


def test_without_redis_it_is_archived_and_says_what_stays(archiver, proxy, player):
	ended = make_ended_season(0)
	make_records(player, 2, season=ended)
	loading.rehydrate(SRSRedisManager().schedules, player, ended)
	proxy.stop()
	assert archiver.archive_season(ended)["success"]
	assert stored(ended).archive_status.startswith("Archived. Redis did not answer")
	assert read(player)["is_degraded"]


def test_without_the_redis_of_the_desk_it_is_archived_all_the_same(archiver, monkeypatch):
	queue = RedisProxy(frappe.conf.redis_queue)
	frappe.local.conf.redis_queue = queue.url
	monkeypatch.setattr(background_jobs, "_redis_queue_conn", None)
	background_jobs.get_redis_connection_without_auth().ping()  # as a worker has; without, each try takes 4 s
	queue.stop()
	assert archiver.archive_season(make_ended_season())["success"]


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
	manager = make_learner(roles=["Memora Manager"]).name
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
