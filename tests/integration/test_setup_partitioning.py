"""The patch that brings tables from before they were partitioned to the design's layout."""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import frappe
import pymysql
import pytest
from frappe.modules import patch_handler
from frappe.modules.patch_handler import PatchType

from devtools.paths import current_bench
from memora import install
from memora.exceptions import PartitionError
from memora.patches.v1_0 import setup_partitioning
from memora.services.learning import reviews
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import conversion, database, ddl, layout, partitions, row_names, tables
from tests.integration import cleaning, state
from tests.integration.connections import in_other_connection
from tests.integration.factories import STANDING_SEASON, bank_questions, make_records
from tests.integration.old_tables import (
	ADDED_BY_FRAPPE,
	DOCTYPES,
	SPELLINGS,
	exists,
	insert,
	kept,
	make_old_rows,
	multiply,
	old_layout,
	run,
	unpartitioned,
)
from tests.integration.submitting import answers, submit

TRACKER, JOURNAL, ARCHIVE = DOCTYPES
BENCH = (sys.executable, "-m", "frappe.utils.bench_helper", "frappe")
PATCH = "memora.patches.v1_0.setup_partitioning"
ROWS = 20_000
SEASONS = {name for _share, name in SPELLINGS.values()}
REVIEWED = datetime(2025, 10, 1, 9)

Key = tuple[str, str, str]


@pytest.fixture
def old_tracker() -> Iterator[None]:
	with old_layout(TRACKER):
		yield


def run_patch() -> None:
	"""As Frappe's patch handler does."""
	setup_partitioning.execute()
	frappe.db.commit()


def old_row(**overrides) -> dict:
	return {
		"name": "0123456789",
		"player": "old@example.com",
		"season": None,
		"question_id": "q-1",
		"last_review_date": REVIEWED,
		"next_review_date": REVIEWED + timedelta(days=4),
		"stability": 4.5,
		"creation": REVIEWED - timedelta(days=9),
		"modified": REVIEWED,
		**overrides,
	}


def newest(rows: list[dict]) -> dict[Key, tuple[datetime, datetime]]:
	"""(last review, first answer) of each key that shall be in the tracker."""
	found: dict[Key, tuple[datetime, datetime]] = {}
	for row in rows:
		key = (row["player"], SPELLINGS[row["season"]][1], row["question_id"])
		last, first = found.get(key, (datetime.min, datetime.max))
		found[key] = max(last, row["last_review_date"]), min(first, row["creation"])
	return found


def memory(where: str = "") -> dict[Key, tuple[datetime, datetime]]:
	rows = database.query(
		f"SELECT player, season, question_id, last_review_date, creation, name FROM `tab{TRACKER}` {where}"
	)
	assert all(name == row_names.tracker_name(*key) for *key, _last, _first, name in rows)
	assert len({row[:3] for row in rows}) == len(rows)
	return {tuple(key): (last, first) for *key, last, first, _name in rows}


def create_statement(table: str) -> str:
	return database.query(f"SHOW CREATE TABLE `{table}`")[0][1]


def layouts() -> dict[str, str]:
	return {doctype: create_statement(f"tab{doctype}") for doctype in DOCTYPES}


def checksums() -> dict[str, int]:
	return {d: database.query(f"CHECKSUM TABLE `tab{d}`")[0][1] for d in DOCTYPES}


def seasons_of(doctype: str) -> set[str]:
	return {p["season"] for p in tables.list_partitions(doctype)}


def columns_and_indexes(table: str) -> str:
	return create_statement(table).partition("(")[2].partition("PARTITION BY")[0]


def test_old_rows_are_brought_to_the_layout_of_the_design(old_tracker, monkeypatch, capfd):
	monkeypatch.delenv("CI", raising=False)  # there Frappe's progress bar is a row of dots
	rows = make_old_rows(ROWS)
	insert(TRACKER, rows)
	assert len(newest(rows)) < ROWS * 0.95
	run_patch()
	assert memory() == newest(rows)
	assert seasons_of(TRACKER) == {"", *SEASONS}
	assert columns_and_indexes(f"tab{TRACKER}") == columns_and_indexes(kept(TRACKER))
	assert conversion._count(unpartitioned(TRACKER)) == ROWS
	assert not exists("memora_partitioning")
	assert not exists("memora_partitioned_player_memory_tracker")
	output = capfd.readouterr().out
	assert "100%" in output
	assert f"{ROWS} rows became {len(newest(rows))}" in output
	assert unpartitioned(TRACKER) in output


@pytest.mark.skipif("MEMORA_LARGE" not in os.environ, reason="takes minutes: set MEMORA_LARGE=1")
def test_a_million_rows(old_tracker, capfd):
	"""Prints how long the patch took, and the memory that its process needed at most."""
	rows, copies = make_old_rows(ROWS), 50
	insert(TRACKER, rows)
	multiply(TRACKER, rows, copies)
	begin = time.monotonic()
	process = subprocess.Popen(
		[*BENCH, "--site", frappe.local.site, "run-patch", "--force", PATCH], cwd=current_bench().sites
	)
	_pid, status, usage = os.wait4(process.pid, 0)
	seconds, output = time.monotonic() - begin, capfd.readouterr().out
	with capfd.disabled():
		print(f"\n{output}\n{seconds:.0f} s, {usage.ru_maxrss / 1024:.0f} MB")
	assert status == 0
	expected = newest(rows)
	assert f"{ROWS * copies} rows became {len(expected) * copies}" in output
	for number in range(copies):
		prefix = f"{number}-" if number else ""
		found = memory(f"WHERE player LIKE '{prefix}old%%'")
		assert found == {(prefix + player, *rest): dates for (player, *rest), dates in expected.items()}


def test_the_newest_review_stays_with_the_date_of_the_first_answer(old_tracker):
	common = {"player": "old@example.com", "question_id": "q-1"}
	first = old_row(name="c", last_review_date=REVIEWED, stability=1, reps=9, **common)
	second = old_row(
		name="a", last_review_date=REVIEWED + timedelta(days=1), season="", stability=2, reps=2, **common
	)
	third = old_row(name="b", last_review_date=None, stability=3, reps=0, creation=REVIEWED, **common)
	insert(TRACKER, [first, second, third])
	run_patch()
	(row,) = state.rows(TRACKER)
	assert (row.season, row.stability, row.reps) == ("SEASON-DEFAULT", 2, 2)
	assert row.last_review_date == second["last_review_date"]
	assert row.creation == first["creation"]


def test_rows_of_nobody_are_left_out_and_counted(old_tracker, capfd):
	insert(
		TRACKER,
		[
			old_row(),
			old_row(name="a", player=None),
			old_row(name="b", player=""),
			old_row(name="c", question_id=" "),
		],
	)
	run_patch()
	assert [row.player for row in state.rows(TRACKER)] == ["old@example.com"]
	assert "3 without player or question left out" in capfd.readouterr().out


def test_the_archive_and_the_journal_are_brought_over_too():
	archived = {"archived_at": None, "eligible_for_deletion": 1}
	answer = {"name": "x", "player": "old@example.com", "season": None, "question_id": "q-1", "quality": 4}
	with old_layout(*DOCTYPES):
		insert(TRACKER, [old_row()])
		insert(ARCHIVE, [old_row(**archived), old_row(name="a", last_review_date=None, **archived)])
		insert(JOURNAL, [answer | {"creation": REVIEWED}, answer | {"name": "y", "creation": REVIEWED}])
		run_patch()
		(row,) = state.rows(ARCHIVE)
		assert (row.season, row.archived_at, row.eligible_for_deletion) == ("SEASON-DEFAULT", REVIEWED, 1)
		assert row.last_review_date == REVIEWED
		assert {r.submission_id: r.name for r in state.rows(JOURNAL)} == {
			s: row_names.journal_name("old@example.com", "SEASON-DEFAULT", s, "q-1") for s in "xy"
		}
		assert all(seasons_of(doctype) == {"", "SEASON-DEFAULT", STANDING_SEASON} for doctype in DOCTYPES)
		for doctype in DOCTYPES:
			assert columns_and_indexes(f"tab{doctype}") == columns_and_indexes(kept(doctype))


def test_seasons_without_a_document_get_one_and_can_be_archived(old_tracker, capfd):
	insert(TRACKER, [old_row(), old_row(name="a", season="Spring 2025")])
	run_patch()
	for name in ("SEASON-DEFAULT", "Spring 2025"):
		document = frappe.get_doc("Game Subscription Season", name)
		assert (document.is_active, document.partition_created) == (0, 1)
		assert document.start_date == (REVIEWED - timedelta(days=9)).date()
		assert document.end_date == (REVIEWED + timedelta(days=4)).date()
	assert "Season Spring 2025 had rows but no document" in capfd.readouterr().out
	result = SRSArchiver().archive_season("SEASON-DEFAULT")
	assert (result["success"], result["archived_count"]) == (True, 1)
	assert [row.season for row in state.rows(TRACKER)] == ["Spring 2025"]


@pytest.mark.parametrize("document", ["Été 2025", "Été  2025"])
def test_a_season_keeps_the_spelling_of_its_document(old_tracker, document):
	"""Also one that a season would not get today."""
	make_season_of_old_site(document)
	spellings = ("ete 2025 ", "ÉTÉ 2025", document)
	rows = [old_row(name=f"a{n}", question_id=f"q-{n}", season=s) for n, s in enumerate(spellings)]
	insert(TRACKER, rows)
	run_patch()
	assert {row.season for row in state.rows(TRACKER)} == {document}
	assert all(seasons_of(d) == {"", document, STANDING_SEASON} for d in DOCTYPES)
	assert frappe.db.get_value("Game Subscription Season", document, "partition_created") == 1


def make_season_of_old_site(name: str) -> None:
	values = {"season_name": name, "start_date": REVIEWED.date(), "end_date": REVIEWED.date()}
	frappe.get_doc({"doctype": "Game Subscription Season", "name": name, **values}).db_insert()
	frappe.db.commit()


def test_learners_go_on_with_what_they_knew(old_tracker, player, season):
	"""Also one whose schedule was loaded while the app could not find her rows."""
	question = bank_questions()[0]
	insert(TRACKER, [old_row(player=player, season=season, question_id=question)])
	assert reviews.read_reviews(player)["questions"] == []
	assert state.is_loaded(player, season)
	run_patch()
	assert [q["question_id"] for q in reviews.read_reviews(player)["questions"]] == [question]


# Runs that end in the middle


def in_child(action: Callable[[], None], statements: int) -> int:
	"""Runs the action in a process of its own that is killed once it has sent so many statements; its
	exit code, or minus the signal."""
	frappe.db.rollback()
	site, sites_path = frappe.local.site, frappe.local.sites_path
	if pid := os.fork():
		return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
	try:
		sent, query = 0, pymysql.connections.Connection.query

		def counted(self, *args, **kwargs):
			nonlocal sent
			result = query(self, *args, **kwargs)
			sent += 1
			if sent == statements:
				os.kill(os.getpid(), signal.SIGKILL)
			return result

		pymysql.connections.Connection.query = counted
		frappe.init(site, sites_path=sites_path)
		frappe.connect()
		action()
		sys.stdout.flush()
		os._exit(0)
	except BaseException:
		traceback.print_exc()
		os._exit(1)


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(old_tracker, monkeypatch, capfd):
	monkeypatch.setattr(conversion, "CHUNK_ROWS", 300)
	rows = make_old_rows(3000)
	insert(TRACKER, rows)
	codes = []
	while not codes or codes[-1] == -signal.SIGKILL:
		codes.append(in_child(run_patch, statements=20 + 5 * len(codes)))
	output = capfd.readouterr().out
	assert codes[-1] == 0, output
	assert len(codes) > 10
	assert "going on after 300 rows" in output or "going on after 600 rows" in output
	assert memory() == newest(rows)
	assert seasons_of(TRACKER) == {"", *SEASONS}
	assert not exists("memora_partitioning")
	assert columns_and_indexes(f"tab{TRACKER}") == columns_and_indexes(kept(TRACKER))


def before_rename(action: Callable[[], None]) -> Callable[..., None]:
	"""Somebody else uses the old table's last moment."""
	put_in_place = ddl.put_in_place

	def late(*names: str) -> None:
		action()
		put_in_place(*names)

	return late


def test_rows_written_while_the_copy_takes_its_place_are_not_lost(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def answer() -> None:
		run(f"UPDATE `tab{TRACKER}` SET stability = 99, last_review_date = NOW() WHERE name = 'a'")
		insert(TRACKER, [old_row(name="0", question_id="q-3")])

	monkeypatch.setattr(ddl, "put_in_place", before_rename(answer))
	run_patch()
	assert {r.question_id: r.stability for r in state.rows(TRACKER)} == {"q-1": 4.5, "q-2": 99, "q-3": 4.5}


def test_a_run_that_died_between_the_renaming_and_the_end_is_finished(old_tracker, monkeypatch):
	"""Also when rows were written at the last moment, and newer ones since."""
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def answer() -> None:
		run(f"UPDATE `tab{TRACKER}` SET stability = 99")

	def die(*args) -> None:
		raise KeyboardInterrupt

	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(ddl, "put_in_place", before_rename(answer))
		patched.setattr(conversion, "_copy_what_came_late", die)
		run_patch()
	make_records("old@example.com", season="SEASON-DEFAULT", question_ids=["q-2"], stability=7)
	run_patch()
	assert {r.question_id: r.stability for r in state.rows(TRACKER)} == {"q-1": 99, "q-2": 7}


def test_how_far_a_dead_run_got_is_not_believed_of_the_next_ones_twin(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])

	def die(*args, **values) -> None:
		raise KeyboardInterrupt

	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(conversion, "_verify", die)
		run_patch()
	make_season_of_old_site("Another")  # for which the twin has no partition
	with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
		patched.setattr(conversion.site_time, "now", die)
		run_patch()
	assert conversion._count("memora_partitioned_player_memory_tracker") == 0
	run_patch()
	assert {row.question_id for row in state.rows(TRACKER)} == {"q-1", "q-2"}


def test_a_table_that_is_written_to_meanwhile_stays_as_it_is(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])
	before = create_statement(f"tab{TRACKER}")
	verify = conversion._verify

	def late(*args) -> None:
		insert(TRACKER, [old_row(name="0", question_id="q-3")])
		verify(*args)

	with monkeypatch.context() as patched, pytest.raises(PartitionError, match="maintenance mode"):
		patched.setattr(conversion, "_verify", late)
		run_patch()
	assert create_statement(f"tab{TRACKER}") == before
	run_patch()
	assert {row.question_id for row in state.rows(TRACKER)} == {"q-1", "q-2", "q-3"}


def test_a_copy_that_lacks_a_row_does_not_take_the_place(old_tracker, monkeypatch):
	insert(TRACKER, [old_row(), old_row(name="a", question_id="q-2")])
	before = create_statement(f"tab{TRACKER}")
	verify = conversion._verify

	def lossy(conversion, names) -> None:
		run(f"DELETE FROM `{conversion.twin}` LIMIT 1")
		verify(conversion, names)

	monkeypatch.setattr(conversion, "_verify", lossy)
	with pytest.raises(PartitionError, match="Different keys in .*: 2. Rows in its copy: 1."):
		run_patch()
	assert create_statement(f"tab{TRACKER}") == before
	assert len(state.rows(TRACKER)) == 2


def test_an_old_table_of_an_earlier_run_is_not_overwritten(old_tracker):
	insert(TRACKER, [old_row()])
	run(f"CREATE TABLE {unpartitioned(TRACKER)} (kept int)")
	with pytest.raises(PartitionError, match=unpartitioned(TRACKER)):
		run_patch()
	assert "kept" in create_statement(unpartitioned(TRACKER))
	assert [row.question_id for row in state.rows(TRACKER)] == ["q-1"]


def test_a_second_run_at_the_same_time_is_refused(old_tracker):
	insert(TRACKER, [old_row()])
	with database.named_lock("setup_partitioning", 0):
		result = in_other_connection(run_patch)
		with pytest.raises(PartitionError, match="Another run"):
			result.result(30)
	assert layout.is_unpartitioned(TRACKER)


# Migrations


def migrate() -> str:
	frappe.db.commit()
	process = subprocess.run(
		[*BENCH, "--site", frappe.local.site, "migrate"],
		cwd=current_bench().sites,
		env=os.environ,
		stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT,
		text=True,
	)
	assert process.returncode == 0, process.stdout[-3000:]
	return process.stdout


def everything() -> dict:
	"""All but the queue: Frappe's own migrate has jobs to give."""
	kept_rows = database.query(f"CHECKSUM TABLE {unpartitioned(TRACKER)}")
	site = {key: value for key, value in state.everything().items() if key != "jobs"}
	return {"layouts": layouts(), "checksums": checksums(), "kept": kept_rows, **site}


def test_an_old_site_is_brought_over_and_two_full_migrates_afterwards_change_nothing(player, season):
	with old_layout(TRACKER, without=ADDED_BY_FRAPPE):
		rows = make_old_rows(1000)
		insert(TRACKER, rows)
		frappe.db.delete("Patch Log", {"patch": PATCH})
		frappe.reload_doc("memora", "doctype", frappe.scrub(TRACKER), force=True)
		patch_handler.run_all(patch_type=PatchType.post_model_sync)
		assert memory() == newest(rows)
		assert {(r.state, r.reps, r.difficulty) for r in state.rows(TRACKER)} == {("Review", 1, 2.118104)}
		make_records(player, 10)
		submit(player, answers(3))
		before = everything()
		for _ in range(2):
			migrate()
			assert everything() == before


def test_a_migration_that_skips_the_patch_leaves_the_old_table_and_says_so(old_tracker, capfd):
	insert(TRACKER, [old_row(), old_row(name="a")])
	before = layouts()
	install.after_migrate()
	assert layouts() == before
	output = capfd.readouterr().out
	assert "Player Memory Tracker" in output
	assert f"bench --site {frappe.local.site} run-patch --force {PATCH}" in output


def test_an_old_table_takes_no_partitions(old_tracker):
	insert(TRACKER, [old_row()])
	with pytest.raises(PartitionError, match="run-patch"):
		partitions.create_partition("new")
	cleaning.drop_stray_partitions()


def test_tables_of_the_layout_stay_as_they_are(player, season):
	make_records(player, 3)
	submit(player, answers(2))
	reviews.read_reviews(player)
	before = (layouts(), state.everything())
	run_patch()
	run_patch()
	assert (layouts(), state.everything()) == before
