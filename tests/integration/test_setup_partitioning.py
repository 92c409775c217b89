"""The patch that brings tables from before they were partitioned to the design's layout."""

import os
import subprocess
import time
from datetime import timedelta

import frappe
import pytest

from devtools.paths import current_bench
from memora.services.learning import reviews
from memora.services.srs_archiver import SRSArchiver
from memora.services.store import conversion, row_names
from tests.integration import state
from tests.integration.factories import STANDING_SEASON, bank_questions
from tests.integration.old_tables import (
	ARCHIVE,
	BENCH,
	DOCTYPES,
	JOURNAL,
	OLD_LEARNER,
	PATCH,
	REVIEWED,
	SEASONS,
	TRACKER,
	columns_and_indexes,
	exists,
	insert,
	kept,
	make_old_rows,
	memory,
	multiply,
	newest,
	old_layout,
	old_row,
	run_patch,
	seasons_of,
	unpartitioned,
)

ROWS = 20_000


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
	everybody = [
		{**row, "player": f"{n}-{row['player']}" if n else row["player"]}
		for n in range(copies)
		for row in rows
	]
	assert memory() == newest(everybody)


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
	assert [row.player for row in state.rows(TRACKER)] == [OLD_LEARNER]
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
			s: row_names.journal_name(OLD_LEARNER, "SEASON-DEFAULT", s, "q-1") for s in "xy"
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
	"""A document keeps its name even if no season could get that name today."""
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


def test_learners_go_on_with_what_they_knew(old_tracker, learner, season):
	"""Her schedule was loaded while the app could not find her rows; it is loaded again."""
	question = bank_questions()[0]
	insert(TRACKER, [old_row(player=learner.user, season=season, question_id=question)])
	assert reviews.read_reviews(learner.name)["questions"] == []
	assert state.is_loaded(learner.name, season)
	run_patch()
	assert [q["question_id"] for q in reviews.read_reviews(learner.name)["questions"]] == [question]


def test_users_become_learners_and_who_has_none_is_nobodys(old_tracker, learner):
	frappe.db.delete("Memora Learner", {"name": learner.name})
	insert(TRACKER, [old_row(), old_row(name="a", player=learner.user)])
	run_patch()
	found = {row.name: (row.user, row.learner_name) for row in state.rows("Memora Learner")}
	full_name = frappe.db.get_value("User", learner.user, "full_name")
	assert found == {OLD_LEARNER: (None, None), row_names.digest(learner.user): (learner.user, full_name)}
