"""What store/old_learners reads and rewrites of rows from before learners had ids: up to the edge of a range, and no further."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import frappe
import pytest

from memora.services.store import old_learners, row_names
from memora.services.store.old_learners import Owner
from memora.services.store.row_names import digest
from tests.integration import accounts, folding, state
from tests.integration.accounts import answer, put_answers, put_tracker
from tests.integration.factories import learner_id, make_record, make_season, make_user, site_now

AT = datetime(2026, 3, 2, 9)
A, B, C = (letter * 16 for letter in "abc")
TRACKER, JOURNAL, OUTBOX = "Player Memory Tracker", "Player Review Log", "Review Outbox"
TABLES = [f"tab{doctype}" for doctype in (OUTBOX, TRACKER)]
PLAYER_SQL = "UPDATE `tab{0}` SET player = %s WHERE name LIKE %s"
# For a range that has rows just before it, at its first name, and at the first name after it
EDGE_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, payload, creation, modified)
	VALUES (%s, %s, 'x', '[]', NOW(), NOW())"""


def put(id: str, player: str, season: str, *questions: str, reps: int = 1, doctype: str = TRACKER) -> None:
	put_tracker(id, season, *(make_record(q, reps=reps) for q in questions), doctype=doctype)
	called(doctype, id, player)


def called(doctype: str, id: str, player: str) -> None:
	"""The rows whose names begin with the id say that they are this player's."""
	frappe.db.sql(PLAYER_SQL.format(doctype), (player, f"{id}%"))
	frappe.db.commit()


def players(doctype: str) -> dict[str, str]:
	return {row.name: row.player for row in state.rows(doctype)}


@pytest.fixture
def edges(site) -> list[str]:
	"""Outbox rows at the names a…, b…, c…, of which those of an old player, of two spellings, of none and of an id."""
	names = []
	for id in (A, B, C):
		for number, player in enumerate(("old@x.example", "Old@x.example", "", id, "other@x.example")):
			names.append(id if not number else f"{id}{number:016x}")
			frappe.db.sql(EDGE_SQL, (names[-1], player))
	frappe.db.commit()
	return names


# A range of ids


def test_the_owners_of_a_range_are_those_who_are_not_called_by_id(edges):
	found = old_learners.read_owners(["tabReview Outbox"], B, C)
	assert found == {Owner(B, p) for p in ("old@x.example", "Old@x.example", "other@x.example")}
	assert {owner.id for owner in old_learners.read_owners(["tabReview Outbox"], A, C)} == {A, B}


def test_the_ids_are_written_into_the_rows_of_a_range(edges):
	before = players(OUTBOX)
	assert old_learners.set_players(["tabReview Outbox"], B, C, ["old@x.example"]) == 1
	frappe.db.commit()
	assert players(OUTBOX) == before | {B: B}
	assert old_learners.set_players(["tabReview Outbox"], B, C, []) == 0
	tables = ["tabPlayer Review Log", "tabReview Outbox"]
	assert old_learners.set_players(tables, A, C, ["old@x.example", "other@x.example"]) == 3
	frappe.db.commit()
	assert {name for name, player in players(OUTBOX).items() if player != before[name]} == {
		*(A, B),
		*(f"{id}{4:016x}" for id in (A, B)),
	}


def test_late_rows_are_found_in_the_two_small_tables(edges, season):
	for id, player in ((A, "old@x.example"), (B, ""), (C, C)):
		name = f"20260302{digest(season)}{id}"
		frappe.db.sql(accounts.DAY_SQL, (name, AT.date(), season, player, 1, "", 0, AT))
	frappe.db.commit()
	assert old_learners.find_late() == {A, B, C}
	frappe.db.sql("DELETE FROM `tabReview Outbox` WHERE player != '' AND player != LEFT(name, 16)")
	assert old_learners.find_late() == {A}
	frappe.db.sql("UPDATE `tabDaily Learner` SET player = RIGHT(name, 16) WHERE player = 'old@x.example'")
	assert old_learners.find_late() == set()
	frappe.db.rollback()


@pytest.fixture
def positions(site) -> Iterator[None]:
	frappe.db.commit()
	old_learners.begin()
	yield
	frappe.db.commit()
	old_learners.end()


def test_a_pass_goes_through_all_ids_and_goes_on_where_it_was(positions, season, monkeypatch):
	monkeypatch.setattr(old_learners, "RANGE_ROWS", 3)
	ids = sorted(learner_id(f"learner {number}") for number in range(6))
	for number, id in enumerate(ids):
		put(id, "x", season, *(f"q{n}" for n in range(5 if number == 2 else 1)))
	folding.put(ids[1], season, "s", [])
	expected = [(ids[0], ids[2]), (ids[2], ids[2] + "g"), (ids[3], "g")]
	assert old_learners.next_range(TABLES, "first") == expected[0]
	old_learners.advance("second", ids[4])
	found = []
	while (bounds := old_learners.next_range(TABLES, "first")) and len(found) < 9:
		found.append(bounds)
		old_learners.advance("first", bounds[1])
		old_learners.advance("second", ids[4])
		frappe.db.commit()
	assert found == expected
	assert old_learners.next_range(TABLES, "second") == (ids[4], "g")
	assert old_learners.next_range(["tabPlayer Review Log"], "third") is None


# Learners


def test_players_are_given_ids_and_nobody_gets_those_of_another():
	new, known, taken, spelled = users = [make_user(full_name=f"Name {n}@x") for n in range(4)]
	for id, user in ((B, known), (digest(taken), make_user()), (digest("freed@x.example"), None)):
		frappe.new_doc("Memora Learner", name=id, user=user).db_insert()
	frappe.db.commit()
	before = {row.name: row for row in state.rows("Memora Learner")}
	asked = [new, known, taken, spelled.upper(), "gone@x.example", "freed@x.example", "Guest"]
	ids = old_learners.identify(asked, AT)
	frappe.db.commit()
	assert ids.keys() == {*asked}
	own = [new, spelled.upper(), "gone@x.example", "freed@x.example", "Guest"]
	assert {player: ids[player] for player in own} == {player: digest(player) for player in own}
	assert ids[known] == B
	assert row_names.is_learner_id(ids[taken]) and ids[taken] not in before
	rows = {row.name: row for row in state.rows("Memora Learner")}
	made = {
		ids[p]: u
		for p, u in (
			(new, new),
			(taken, taken),
			(spelled.upper(), None),
			("gone@x.example", None),
			("Guest", None),
		)
	}
	assert {id: row.user for id, row in rows.items() if id not in before} == made
	assert {id: rows[id] for id in before} == before
	names = {
		row.user: (row.learner_name, row.creation, row.modified) for id, row in rows.items() if id in made
	}
	assert (names[new], names[taken]) == (("Name 0", AT, AT), ("Name 2", AT, AT))
	assert old_learners.identify([], AT) == {}
	assert len(users) == 4


def test_at_her_first_contact_a_user_gets_her_rows_and_no_others(pending, season):
	her = make_user()
	id = old_learners.id_of(her)
	assert id == digest(her)
	for place in (id, C):
		put(place, her, season, "q1")
	put(id, her.upper(), season, "q2")
	frappe.db.sql(PLAYER_SQL.format(TRACKER), (her, f"{id}{digest(season, 'q1')}"))
	old_learners.adopt(id, her)
	frappe.db.commit()
	assert {row.question_id + row.name[0]: row.player for row in state.rows(TRACKER)} == {
		f"q1{id[0]}": id,
		f"q2{id[0]}": her.upper(),
		"q1c": her,
	}
	frappe.new_doc("Memora Learner", name=id).db_insert()
	assert old_learners.id_of(her) is None
	frappe.db.sql("UPDATE `tabMemora Learner` SET name = %s, user = %s WHERE name = %s", (B, her, id))
	assert old_learners.id_of(her) is None
	frappe.db.rollback()


@pytest.mark.parametrize(
	("patch", "skipped", "is_pending"),
	[(None, 0, True), ("x", 0, True), (old_learners.PATCH, 1, True), (old_learners.PATCH, 0, False)],
)
def test_the_patch_is_pending_until_it_has_run(pending, patch, skipped, is_pending):
	if patch:
		frappe.new_doc("Patch Log", patch=patch, skipped=skipped, name="of the tests").db_insert()
	found = old_learners.is_pending(), old_learners.id_of("her@x.example")
	frappe.db.rollback()
	assert found == (is_pending, digest("her@x.example") if is_pending else None)


# Rows in a wrong place


def test_rows_are_moved_to_whose_they_are_and_of_two_records_the_newer_stays(season):
	elsewhere = make_season().name
	for of in (season, elsewhere):
		for id, player, reps, questions in (
			(A, "her@x.example", 3, ("q0", "q1", "q2", "q3", "q4")),
			(C, "her@x.example", 8, ("q0",)),
		):
			put_tracker(
				id, of, *(make_record(q, reps=reps, stability=1.0, last_review_date=AT) for q in questions)
			)
			called(TRACKER, id, player)
	put_tracker(
		B,
		season,
		make_record("q1", reps=2, stability=2.0, last_review_date=AT),
		make_record("q2", reps=3, stability=2.0, last_review_date=AT),
		make_record("q3", reps=4, stability=2.0, last_review_date=AT),
	)
	later = AT + timedelta(days=1)
	put_tracker(B, season, make_record("q4", reps=3, stability=2.0, last_review_date=later))
	put_tracker(A, season, make_record("other's", reps=5))
	old, new = AT - timedelta(days=9), AT - timedelta(days=5)
	created = "UPDATE `tabPlayer Memory Tracker` SET creation = %s WHERE name LIKE %s AND question_id = %s"
	for id, question, moment in ((A, "q1", new), (B, "q1", old)):
		frappe.db.sql(created, (moment, f"{id}%", question))
	put_answers(A, season, "s", answer("q1", AT), answer("q2", AT))
	put_answers(B, season, "s", answer("q1", AT, quality=1))
	called(JOURNAL, A, "her@x.example")
	before = {(row.name, row.season): row for row in state.rows(TRACKER)}
	old_learners.move_rows(
		["tabPlayer Review Log", "tabPlayer Memory Tracker"], Owner(A, "her@x.example"), B, AT
	)
	frappe.db.commit()
	found = {(row.name, row.season): row for row in state.rows(TRACKER)}
	hers = {
		row.question_id: (row.player, row.reps, row.stability)
		for (name, of), row in found.items()
		if (name[:16], of) == (B, season)
	}
	assert hers == {
		"q0": (B, 3, 1.0),
		"q1": (B, 3, 1.0),
		"q2": (B, 3, 2.0),
		"q3": (B, 4, 2.0),
		"q4": (B, 3, 2.0),
	}
	assert {
		row.creation
		for (name, of), row in found.items()
		if (name[:16], of, row.question_id) == (B, season, "q1")
	} == {old}
	assert sorted(
		row.question_id for (name, of), row in found.items() if (name[:16], of) == (B, elsewhere)
	) == [f"q{n}" for n in range(5)]
	left = {key: row for key, row in before.items() if key[0][:16] == C or row.question_id == "other's"}
	assert {key: row for key, row in found.items() if key[0][:16] != B} == left
	assert sorted((row.player, row.question_id, row.quality) for row in state.rows(JOURNAL)) == [
		(B, "q1", 1),
		(B, "q2", 4),
	]
	assert {row.name: (row.user, row.merged_into, row.creation) for row in state.rows("Memora Learner")} == {
		A: (None, B, AT)
	}


def test_the_old_id_leads_to_nobody_else_if_it_is_a_learners(season):
	frappe.new_doc("Memora Learner", name=A).db_insert()
	old_learners.move_rows(["tabPlayer Memory Tracker"], Owner(A, "her@x.example"), B, AT)
	frappe.db.commit()
	assert {row.name: row.merged_into for row in state.rows("Memora Learner")} == {A: None}


def test_a_learners_submissions_that_wait_are_found(season):
	waits, parked = (folding.put(B, season, submission, []) for submission in ("s", "p"))
	folding.put(A, season, "s", [])
	folding.put(C, season, "s", [])
	frappe.db.sql("UPDATE `tabReview Outbox` SET parked_at = NOW() WHERE name = %s", (parked,))
	assert old_learners.get_waiting(B) == [waits]
	frappe.db.rollback()


# Other tables


@pytest.mark.parametrize("range_rows", [1, 2, 3, 2000])
def test_the_days_of_those_who_were_merged_are_added_up(season, monkeypatch, range_rows):
	monkeypatch.setattr(old_learners, "RANGE_ROWS", range_rows)
	for id, values in ((A, {"merged_into": B}), (B, {}), (C, {})):
		frappe.new_doc("Memora Learner", name=id, **values).db_insert()
	nobody, day = "d" * 16, digest(season)
	for number, (date, id, player) in enumerate(
		[
			("20260301", A, "x"),
			("20260301", B, "x"),
			("20260302", A, "x"),
			("20260302", C, C),
			("20260302", nobody, "y"),
		]
	):
		practised = None if number == 1 else f"{number:08x}"
		moment = AT + timedelta(minutes=number)
		values = (date + day + id, AT.date(), season, player, 2**number, practised, 3**number, moment)
		frappe.db.sql(accounts.DAY_SQL, values)
	frappe.db.commit()
	old_learners.set_players_of_days()
	columns = ("player", "answers", "practised", "learnt")
	assert {row.name: tuple(row[c] for c in columns) for row in state.rows("Daily Learner")} == {
		f"20260301{day}{B}": (B, 3, f"{0:08x}", 4),
		f"20260302{day}{B}": (B, 4, f"{2:08x}", 9),
		f"20260302{day}{C}": (C, 8, f"{3:08x}", 27),
		f"20260302{day}{nobody}": ("y", 16, f"{4:08x}", 81),
	}


def test_imports_belong_to_ids_and_who_read_in_safe_mode_is_forgotten():
	her, other = make_user(), make_user()
	for number, learner in enumerate((her, her, other, B, "", None)):
		frappe.new_doc("Anki Import", name=str(number), learner=learner).db_insert()
	frappe.new_doc("Safe Mode Admission", name="a", player=her, admitted_at=site_now()).db_insert()
	frappe.db.commit()
	old_learners.set_importers(AT)
	found: list[Any] = [row.learner for row in state.rows("Anki Import")]
	old_learners.forget_admissions()
	assert found == [digest(her), digest(her), digest(other), B, "", None]
	assert {row.name for row in state.rows("Memora Learner")} == {digest(her), digest(other)}
	assert state.rows("Safe Mode Admission") == []
