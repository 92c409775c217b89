"""What store/merges gives to another learner: her rows of one season, and no row of anybody else or of another season."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import frappe
import pytest

from memora.services.store import failures, merges
from memora.services.store.merges import ARCHIVE, JOURNAL, OUTBOX, TRACKER, SeasonState
from memora.services.store.records import MemoryRecord
from tests.integration import folding, state
from tests.integration.accounts import answer, put_answers, put_tracker, tracker_name
from tests.integration.connections import raw_connection
from tests.integration.factories import learner_id, make_record, make_season, site_now

HER, INTO, OTHER = (learner_id(name) for name in ("who leaves", "who stays", "somebody else"))
AT = datetime(2026, 3, 2, 9)
TABLES = (TRACKER, ARCHIVE, JOURNAL, OUTBOX)
DOCTYPES = [table.removeprefix("tab") for table in TABLES]
COPY_SQL = "INSERT INTO `{0}` ({1}, season) SELECT {1}, %s FROM `{0}` WHERE player = %s AND season = %s"
# In the other season the one who stays has a row for each row of hers
PAIR_SQL = """
	INSERT INTO `{0}` (name, player, {1}, season) SELECT CONCAT(%s, SUBSTRING(name, 17)), %s, {1}, %s
	FROM `{0}` WHERE player = %s AND season = %s"""
LOCK_WAIT_TIMEOUT = 1205

Rows = dict[tuple[str, str, str], dict[str, Any]]  # by table, name and season


@pytest.fixture(autouse=True)
def few_rows_at_a_time(monkeypatch) -> None:
	monkeypatch.setattr(merges, "NAMED_ROWS", 2)


@pytest.fixture
def elsewhere(site) -> str:
	return make_season().name


def record(question: str, reps: int = 1) -> MemoryRecord:
	moments = dict.fromkeys(("creation", "last_review_date", "next_review_date"), AT)
	return make_record(question, reps=reps, **moments)


@pytest.fixture
def stored(season, elsewhere) -> Rows:
	"""Rows of all three in one season, and in another one rows of the same names."""
	for table in (TRACKER, ARCHIVE):
		doctype = table.removeprefix("tab")
		put_tracker(HER, season, *(record(f"q{n}") for n in range(6)), doctype=doctype)
		put_tracker(INTO, season, record("q1", 5), record("q3", 5), record("q9", 5), doctype=doctype)
		put_tracker(OTHER, season, record("q1", 7), record("q2", 7), doctype=doctype)
	put_answers(
		*(HER, season, "s"),
		answer("same", AT, chosen=None),
		answer("same option", AT, chosen="a"),
		answer("other quality", AT, quality=1),
		answer("other option", AT, chosen="a"),
		answer("hers alone", AT),
	)
	put_answers(
		*(INTO, season, "s"),
		answer("same", AT, chosen=None),
		answer("same option", AT, chosen="a"),
		answer("other quality", AT, quality=5),
		answer("other option", AT, chosen="b"),
	)
	put_answers(HER, season, "t", *(answer(f"q{n}", AT) for n in range(3)))
	put_answers(OTHER, season, "s", answer("same", AT, chosen=None), answer("other option", AT))
	for submission in ("s", "t", "u", "v"):
		folding.put(HER, season, submission, [record("q0", 3)])
	folding.put(HER, elsewhere, "s", [record("q8", 3)])
	for learner in (INTO, OTHER):
		folding.put(learner, season, "s", [record("q1", 9)])
	for table in (TRACKER, ARCHIVE, JOURNAL):
		known = frappe.db.get_table_columns(table.removeprefix("tab"))
		columns = ", ".join(f"`{c}`" for c in known if c not in ("season", "name", "player"))
		frappe.db.sql(COPY_SQL.format(table, f"name, player, {columns}"), (elsewhere, HER, season))
		frappe.db.sql(PAIR_SQL.format(table, columns), (INTO, INTO, elsewhere, HER, season))
	frappe.db.commit()
	return all_rows()


def all_rows() -> Rows:
	found: Rows = {}
	for table, doctype in zip(TABLES, DOCTYPES, strict=True):
		found |= {(table, row.name, row.season): dict(row) for row in state.rows(doctype)}
	return found


def of(rows: Rows, table: str, learner: str, season: str) -> list[dict[str, Any]]:
	return [row for (t, name, s), row in rows.items() if (t, name[:16], s) == (table, learner, season)]


def test_the_seasons_of_a_learner_are_those_of_her_rows(stored, season, elsewhere):
	assert merges.seasons_of(HER) == sorted([season, elsewhere])
	assert merges.seasons_of(OTHER) == [season]
	assert merges.seasons_of(learner_id("nobody")) == []


def test_her_rows_of_a_season_become_those_of_the_other(stored, season):
	merges.move(HER, INTO, season)
	frappe.db.commit()
	found = all_rows()
	for table in TABLES:
		assert of(found, table, HER, season) == []
		assert {row["player"] for row in of(found, table, INTO, season)} == {INTO}
	untouched = {key for key in stored if key[1][:16] == OTHER or key[2] != season}
	assert {key: found.get(key) for key in untouched} == {key: stored[key] for key in untouched}
	assert {key for key in found if key[1][:16] != INTO or key[2] != season} == untouched
	for table in (TRACKER, ARCHIVE):
		reps = {row["name"]: row["reps"] for row in of(found, table, INTO, season)}
		questions = {"q0": 1, "q1": 5, "q2": 1, "q3": 5, "q4": 1, "q5": 1, "q9": 5}
		assert reps == {tracker_name(INTO, season, question): n for question, n in questions.items()}


def test_no_answer_is_lost_that_differs(stored, season):
	before = {table: of(stored, table, INTO, season) for table in (JOURNAL, OUTBOX)}
	merges.move(HER, INTO, season)
	frappe.db.commit()
	found = all_rows()
	for table, rows in before.items():
		assert all(row in of(found, table, INTO, season) for row in rows)
	new = [row for row in of(found, JOURNAL, INTO, season) if row not in before[JOURNAL]]
	assert sorted(row["question_id"] for row in new) == sorted(
		["other quality", "other option", "hers alone", "q0", "q1", "q2"]
	)
	hers = {row["question_id"]: row for row in of(stored, JOURNAL, HER, season)}
	for row in new:
		assert row | {"name": "", "player": ""} == hers[row["question_id"]] | {"name": "", "player": ""}
	names = {row["question_id"]: row["name"] for row in new}
	assert names["hers alone"] == INTO + hers["hers alone"]["name"][16:]
	moved = [names["other quality"], names["other option"]]
	assert len({name[:32] for name in moved}) == 1  # still one submission
	assert [name[32:] for name in moved] == [hers[q]["name"][32:] for q in ("other quality", "other option")]
	waiting = [row for row in of(found, OUTBOX, INTO, season) if row not in before[OUTBOX]]
	assert len(waiting) == 4
	assert {row["payload"] for row in waiting} == {row["payload"] for row in of(stored, OUTBOX, HER, season)}
	assert (
		len(
			{row["name"] for row in waiting}
			& {INTO + row["name"][16:] for row in of(stored, OUTBOX, HER, season)}
		)
		== 3
	)


def test_what_is_read_is_hers_and_of_the_season(stored, season):
	reps = {question: r.reps for question, r in merges.get_records(HER, season, TRACKER).items()}
	assert reps == {"q0": 3} | {f"q{n}": 1 for n in range(1, 6)}
	reps = {question: r.reps for question, r in merges.get_records(HER, season, ARCHIVE).items()}
	assert reps == {f"q{n}": 1 for n in range(6)}
	assert merges.get_records(INTO, season, TRACKER)["q1"] == record("q1", 9)
	answers = merges.get_answers(HER, season)
	assert answers.keys() == {row["name"] for row in of(stored, JOURNAL, HER, season)}
	equal = merges.get_equal_answers(HER, INTO, season)
	assert {answers[name].question_id for name in equal} == {"same", "same option"}
	assert merges.get_equal_answers(OTHER, INTO, season) < merges.get_answers(OTHER, season).keys()


def test_records_are_overwritten_whatever_is_there(stored, season):
	records = [record("q1", 2), record("q9", 2), record("new", 2)]
	merges.overwrite(INTO, season, TRACKER, records)
	frappe.db.commit()
	changed = {(TRACKER, tracker_name(INTO, season, r.question_id), season) for r in records}
	found = all_rows()
	assert {key: found[key]["reps"] for key in changed} == dict.fromkeys(changed, 2)
	assert {key: row for key, row in found.items() if key not in changed} == {
		key: row for key, row in stored.items() if key not in changed
	}


def test_notes_of_others_stay_theirs(site):
	for learner in (HER, OTHER):
		frappe.new_doc(
			"Safe Mode Admission", name=learner, player=learner, admitted_at=site_now()
		).db_insert()
		frappe.new_doc("Anki Import", name=learner, learner=learner).db_insert()
	merges.move_notes(HER, INTO)
	frappe.db.commit()
	for doctype, column in (("Safe Mode Admission", "player"), ("Anki Import", "learner")):
		assert {row.name: row[column] for row in state.rows(doctype)} == {HER: INTO, OTHER: OTHER}


# Locks


@pytest.fixture
def other_connection(site) -> Iterator[Any]:
	"""A cursor that waits for no lock."""
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SET innodb_lock_wait_timeout = 0")
		yield cursor
	frappe.db.rollback()


@pytest.mark.parametrize(
	("values", "expected"),
	[
		({}, SeasonState(False, False)),
		({"archive_started_at": AT}, SeasonState(True, False)),
		({"archive_started_at": AT, "archived_at": AT}, SeasonState(True, True)),
	],
)
def test_an_archive_run_waits_for_who_has_looked_at_the_season(
	season, elsewhere, other_connection, values, expected
):
	for name, of_it in ((elsewhere, values), (season, {} if values else {"archived_at": AT})):
		if of_it:
			frappe.db.set_value("Game Subscription Season", name, of_it)
	frappe.db.commit()
	assert merges.keep_season(elsewhere) == expected
	begin = "UPDATE `tabGame Subscription Season` SET archive_status = 'x' WHERE name = %s"
	other_connection.execute(begin, (season,))
	with pytest.raises(failures.ERRORS) as caught:
		other_connection.execute(begin, (elsewhere,))
	assert failures.number_of(caught.value) == LOCK_WAIT_TIMEOUT
	assert merges.keep_season("Nowhere") == SeasonState(False, False)


def test_folds_of_these_learners_wait_and_of_nobody_else(stored, season, other_connection):
	merges.keep_from_folds([HER, INTO], season)
	held = {row["name"] for who in (HER, INTO) for row in of(stored, OUTBOX, who, season)}
	for name in {name for table, name, _season in stored if table == OUTBOX}:
		lock = "SELECT 1 FROM `tabReview Outbox` FORCE INDEX (PRIMARY) WHERE name IN (%s) FOR UPDATE"
		if name in held:
			with pytest.raises(failures.ERRORS):
				other_connection.execute(lock, (name,))
		else:
			other_connection.execute(lock, (name,))
