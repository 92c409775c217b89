"""What store/learner_rows yields of one learner: all of her rows, season by season, and no row of anybody else."""

from datetime import datetime, timedelta
from typing import Any

import frappe
import pytest

from memora.services.store import database, ddl, learner_rows, tables
from memora.services.store.records import MemoryRecord
from memora.services.store.row_names import digest
from tests.integration import accounts, folding
from tests.integration.accounts import answer, put_answers, put_tracker
from tests.integration.factories import learner_id, make_record, make_season, site_now

HER, FORMER, OTHER = (learner_id(name) for name in ("her", "who she was before a merge", "somebody else"))
IDS = (HER, FORMER)
AT = datetime(2026, 3, 2, 9)
DAY = AT.date()
STAGING = f"{tables.STAGING[0]}of_the_tests"
STATUS_SQL = "INSERT INTO `tabQuestion Status` (name, is_live, subject, topic) VALUES (%s, 1, %s, %s)"

Row = dict[str, Any]


@pytest.fixture(params=[2, 3, 2000])
def page_rows(request, monkeypatch) -> None:
	monkeypatch.setattr(learner_rows, "PAGE_ROWS", request.param)


@pytest.fixture(scope="module")
def elsewhere(site) -> str:
	"""A season whose name comes before that of the standing one."""
	return "A first season"


@pytest.fixture
def seasons(season, elsewhere) -> list[str]:
	return [make_season(season_name=elsewhere).name, season]


def record(question: str, reps: int = 1, **values: Any) -> MemoryRecord:
	moments = dict.fromkeys(("creation", "last_review_date", "next_review_date"), AT)
	return make_record(question, reps=reps, **moments, **values)


def as_row(season: str, of: MemoryRecord, **values: Any) -> Row:
	return {"season": season, **vars(of), **values}


def by_name(rows: list[Row], learner: str = HER) -> list[Row]:
	"""In the order of their names, within the seasons as they come."""
	return sorted(
		rows, key=lambda r: (r["season"], accounts.tracker_name(learner, r["season"], r["question_id"]))
	)


def put_records(seasons: list[str], doctype: str = "Player Memory Tracker") -> dict[str, list[Row]]:
	"""Four records of each in each season; returns {learner: her rows}."""
	records = [record(f"q{n}") for n in range(4)]
	for learner in (HER, FORMER, OTHER):
		for season in seasons:
			put_tracker(learner, season, *records, doctype=doctype)
	return {
		learner: by_name([as_row(season, r) for season in seasons for r in records], learner)
		for learner in IDS
	}


def test_her_answers_come_season_by_season(seasons, page_rows):
	expected = []
	for learner in IDS:
		for season in seasons:
			for submission in ("s", "t"):
				entries = [answer(f"q{n}", AT, chosen=season) for n in range(2)]
				put_answers(learner, season, submission, *entries)
				expected += [(season, submission, entry, learner) for entry in entries]
	put_answers(OTHER, seasons[0], "s", answer("q1", AT))
	found = list(learner_rows.iterate_answers(IDS))
	order = sorted(
		expected,
		key=lambda e: (IDS.index(e[3]), e[0], accounts.key_of(e[3], e[0], e[1]) + digest(e[2].question_id)),
	)
	assert [(row["season"], row["submission_id"]) for row in found] == [e[:2] for e in order]
	assert [{k: row[k] for k in vars(e[2])} for row, e in zip(found, order, strict=True)] == [
		vars(e[2]) for e in order
	]
	assert all(abs(row["creation"] - site_now()) < timedelta(minutes=9) for row in found)


def test_her_records_come_season_by_season(seasons, page_rows):
	expected = put_records(seasons)
	assert list(learner_rows.iterate_records(IDS)) == expected[HER] + expected[FORMER]
	assert list(learner_rows.iterate_records([FORMER])) == expected[FORMER]
	assert list(learner_rows.iterate_records([learner_id("nobody")])) == []


def test_each_page_is_read_when_its_turn_comes(seasons, monkeypatch):
	monkeypatch.setattr(learner_rows, "PAGE_ROWS", 3)
	put_records(seasons)
	found = learner_rows.iterate_records([HER])
	next(found)
	frappe.db.sql("DELETE FROM `tabPlayer Memory Tracker` WHERE player = %s", (HER,))
	frappe.db.commit()
	assert len(list(found)) == 2


def test_what_waits_is_part_of_her_records_if_it_is_not_older(seasons):
	_first, season = seasons
	put_tracker(HER, season, *(record(f"q{n}", reps=5, stability=1.0) for n in range(3)))
	changed = [record(f"q{n}", reps=4 + n, stability=2.0) for n in range(3)]
	folding.put(HER, season, "s", changed)
	folding.put(OTHER, season, "s", [record("q9", 9)])
	for of_season in seasons:
		folding.put(HER, of_season, "t", [record("new")])
	found = list(learner_rows.iterate_records([HER]))
	assert found == [
		*by_name(
			[as_row(season, record("q0", reps=5, stability=1.0)), *(as_row(season, r) for r in changed[1:])]
		),
		*(as_row(of_season, record("new")) for of_season in seasons),
	]


@pytest.mark.parametrize(
	("status", "expected"),
	[
		(("New", "New: Topic"), ("New", "New: Topic")),
		(("", ""), (None, None)),
		(("New", None), ("Old", "Old: Topic")),
		((None, "New: Topic"), ("Old", "Old: Topic")),
	],
)
@pytest.mark.parametrize("waits", [False, True])
def test_subject_and_topic_are_those_that_the_question_has_now(season, status, expected, waits):
	old = {"subject": "Old", "topic": "Old: Topic"}
	put_tracker(HER, season, record("q1", **old), record("q2", **old))
	if waits:
		folding.put(HER, season, "s", [record(f"q{n}", reps=n, **old) for n in (1, 3)])
	for question, values in (("q1", status), ("q3", status), ("q4", ("Other", "Other: Topic"))):
		frappe.db.sql(STATUS_SQL, (question, *values))
	frappe.db.commit()
	found = {
		row["question_id"]: (row["subject"], row["topic"]) for row in learner_rows.iterate_records([HER])
	}
	assert found == {"q1": expected, "q2": ("Old", "Old: Topic")} | ({"q3": expected} if waits else {})


def test_her_archive_has_what_is_on_its_way_there(seasons, monkeypatch):
	monkeypatch.setattr(learner_rows, "PAGE_ROWS", 3)
	put_records(seasons, doctype="Archived Memory Tracker")
	frappe.db.sql("UPDATE `tabArchived Memory Tracker` SET archived_at = %s", (AT,))
	frappe.db.commit()
	ddl.create_like(STAGING, "tabPlayer Memory Tracker")
	try:
		put_records(seasons)
		frappe.db.sql(f"INSERT INTO `{STAGING}` SELECT * FROM `tabPlayer Memory Tracker`")
		frappe.db.commit()
		found = list(learner_rows.iterate_archive(IDS))
	finally:
		database.new_snapshot()
		ddl.drop(STAGING)
	rows = {
		learner: by_name([as_row(s, record(f"q{n}")) for s in seasons for n in range(4)], learner)
		for learner in IDS
	}
	assert found == [
		{**row, "archived_at": at} for learner in IDS for at in (AT, None) for row in rows[learner]
	]


def test_her_days_and_admissions_are_in_order(season):
	for learner, count in ((HER, 3), (FORMER, 4), (OTHER, 5)):
		for day in (2, 1):
			name = f"2026030{day}{digest(season)}{learner}"
			values = (name, DAY.replace(day=day), season, learner, count * day, "abcdabcd", day, AT)
			frappe.db.sql(accounts.DAY_SQL, values)
			admitted = {"player": learner, "admitted_at": AT + timedelta(minutes=count * day)}
			frappe.new_doc("Safe Mode Admission", name=name, **admitted).db_insert()
	frappe.db.commit()
	days = learner_rows.get_days(IDS)
	her_first = [3, 4] if HER < FORMER else [4, 3]
	assert [row["answers"] for row in days] == [n * day for day in (1, 2) for n in her_first]
	assert days[0] == {
		"day": DAY.replace(day=1),
		"season": season,
		"answers": her_first[0],
		"practised": "abcdabcd",
		"learnt": 1,
	}
	minutes = [(row["admitted_at"] - AT) // timedelta(minutes=1) for row in learner_rows.get_admissions(IDS)]
	assert minutes == sorted([3, 4, 6, 8])
