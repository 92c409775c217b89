"""What store/journal adds and finds: by learner, season, submission and question, however many pages and seasons there are."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

import frappe
import pytest
from frappe.utils import add_days, getdate

from memora.services.store import journal, row_names
from memora.services.store.records import JournalEntry, StoredAnswer
from tests.integration import state
from tests.integration.accounts import answer, put_answers
from tests.integration.connections import raw_connection
from tests.integration.factories import learner_id, make_season

FIRST, SECOND, LAST = "0" * 16, learner_id("in between"), "f" * 16
NOW = datetime(2026, 3, 2, 9)
SEASON_SQL = """
	INSERT INTO `tabGame Subscription Season` (name, season_name, start_date, end_date, creation, modified)
	VALUES (%s, %s, %s, %s, NOW(), NOW())"""
COPY_SQL = "INSERT INTO `tabPlayer Review Log` ({0}, season) SELECT {0}, %s FROM `tabPlayer Review Log` WHERE season = %s"

Answers = dict[str, list[tuple[str, JournalEntry]]]  # by learner: (submission, answer)


def given(number: int, question: str) -> JournalEntry:
	return answer(question, NOW + timedelta(hours=number), quality=number % 6, chosen=f"option {number}")


@pytest.fixture(scope="module")
def of_all() -> Answers:
	"""Answers of three learners, who stand first, in between and last among all names."""
	return {
		learner: [(f"s{number % 3}", given(number, f"q{number // 2}")) for number in range(7)]
		for learner in (FIRST, SECOND, LAST)
	}


@pytest.fixture
def earlier() -> str:
	"""A season that has ended."""
	return make_season(end_date=add_days(getdate(), -1)).name


@pytest.fixture
def stored(season, earlier, of_all) -> Answers:
	"""They are in the journal of the season, and rows of the same names in that of an earlier one."""
	for learner, answers in of_all.items():
		for submission in ("s0", "s1", "s2"):
			entries = [entry for of, entry in answers if of == submission]
			put_answers(learner, season, submission, *entries)
	columns = ", ".join(c for c in frappe.db.get_table_columns("Player Review Log") if c != "season")
	frappe.db.sql(COPY_SQL.format(columns), (earlier, season))
	frappe.db.sql("UPDATE `tabPlayer Review Log` SET quality = 9 WHERE season = %s", (earlier,))
	frappe.db.commit()
	return of_all


def in_order(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
	return sorted(entries, key=lambda entry: entry.reviewed_at)


def entries_of(answers: Iterable[tuple[str, JournalEntry]]) -> list[JournalEntry]:
	return in_order(entry for _submission, entry in answers)


def test_a_row_holds_all_of_an_answer(season):
	entry, now = given(4, "q1"), NOW
	key = row_names.submission_key(FIRST, season, "s")
	journal.insert(key, FIRST, season, "s", [entry, given(5, "q2")], now)
	frappe.db.commit()
	row = next(row for row in state.journal(FIRST) if row.question_id == "q1")
	assert row.name == key + row_names.digest("q1")
	assert (row.season, row.submission_id, row.creation) == (season, "s", now)
	assert {name: row[name] for name in vars(entry)} == vars(entry)


# By page


@pytest.mark.parametrize("page_rows", [1, 3, 7, 21, 5000])
def test_all_answers_of_a_season_come_learner_by_learner(stored, season, monkeypatch, page_rows):
	monkeypatch.setattr(journal, "PAGE_ROWS", page_rows)
	found = list(islice(journal.journal_by_learner(season), 9))
	assert [learner for learner, _entries in found] == [FIRST, SECOND, LAST]
	assert {learner: in_order(entries) for learner, entries in found} == {
		learner: entries_of(answers) for learner, answers in stored.items()
	}
	for learner, answers in stored.items():
		((name, entries),) = islice(journal.journal_by_learner(season, learner), 9)
		assert (name, in_order(entries)) == (learner, entries_of(answers))
	assert list(journal.iterate_journal("Nowhere")) == []


def test_each_page_is_read_when_its_turn_comes(stored, season, monkeypatch):
	"""A transaction that lasts as long as all pages would keep partitions from being made."""
	monkeypatch.setattr(journal, "PAGE_ROWS", 3)
	found = journal.iterate_journal(season)
	next(found)
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		cursor.execute("DELETE FROM `tabPlayer Review Log` WHERE season = %s AND player = %s", (season, LAST))
	assert {learner for learner, _entry in islice(found, 50)} == {FIRST, SECOND}


# By question, submission and season


def test_the_history_of_a_question_has_the_newest_answers_first(stored, season):
	for learner, answers in stored.items():
		for question in ("q0", "q1", "q3"):
			of_question = [(s, entry) for s, entry in answers if entry.question_id == question]
			newest_first = entries_of(of_question)[::-1]
			for limit in (1, 2, 9):
				found = journal.get_history(learner, season, question, limit)
				assert [entry for _name, entry in found] == newest_first[:limit]
				assert all(name.startswith(learner) for name, _entry in found)


def test_answers_of_a_submission_are_counted(stored, season):
	for learner, answers in stored.items():
		for submission, entry in answers:
			name = row_names.journal_name(learner, season, submission, entry.question_id)
			assert journal.count_answers(season, name) == sum(of == submission for of, _entry in answers)


def told(entry: JournalEntry) -> StoredAnswer:
	due, at = entry.next_review_date_after, entry.reviewed_at
	return StoredAnswer(entry.quality, entry.kind == "Practice", due, at, entry.graded_by, entry.chosen)


def test_a_submission_is_found_with_its_answers(stored, season):
	for learner, answers in stored.items():
		for submission in ("s0", "s1", "s2"):
			of_submission = {entry.question_id: told(entry) for of, entry in answers if of == submission}
			assert journal.find_submission(learner, submission, []) == (season, of_submission)
	assert journal.find_submission(SECOND, "s3", [season]) is None


def test_practice_is_told_apart(season):
	practice = answer("q1", NOW, kind="Practice")
	put_answers(FIRST, season, "s", practice, answer("q2", NOW))
	found = journal.find_submission(FIRST, "s", [])
	assert found == (season, {"q1": told(practice), "q2": told(answer("q2", NOW))})
	assert [found[1][q].is_practice for q in ("q1", "q2")] == [True, False]


def test_a_submission_is_found_while_seasons_come_that_this_process_has_not_seen(season):
	put_answers(FIRST, season, "before", answer("q1", NOW))
	assert journal.find_submission(FIRST, "after", []) is None
	new = make_season().name
	assert journal.find_submission(FIRST, "before", [])[0] == season
	newer = make_season().name
	put_answers(FIRST, newer, "after", answer("q1", NOW))
	assert journal.find_submission(FIRST, "after", []) == (newer, {"q1": told(answer("q1", NOW))})
	assert journal.find_submission(FIRST, "after", [new])[0] == newer


def test_the_latest_seasons_are_searched_and_those_that_are_likely(season, earlier):
	"""Of many seasons, the season that ended first is the only one that is left out."""
	for number in range(journal.SEASONS_SEARCHED - 1):
		name, end = f"Between {number}", add_days(getdate(), number)
		frappe.db.sql(SEASON_SQL, (name, name, end, end))
	frappe.db.commit()
	keys = {of: put_answers(FIRST, of, f"of {of}", answer("q1", NOW)) for of in (season, earlier)}
	for likely in ([], [earlier]):
		assert journal.find_submission(FIRST, f"of {season}", likely)[0] == season
	assert journal.find_submission(FIRST, f"of {earlier}", []) is None
	assert journal.find_submission(FIRST, f"of {earlier}", [earlier])[0] == earlier
	assert journal.is_journalled(keys[season])
	assert not journal.is_journalled(keys[earlier])
	assert not journal.is_journalled(row_names.submission_key(FIRST, season, "of nobody"))


# Counting


def test_rows_are_counted_in_shares_or_estimated(earlier, season, monkeypatch):
	learners = [learner_id(f"learner {number}") for number in range(101)]
	for learner in learners:
		journal.insert(f"{learner}{1:016x}", learner, earlier, "s", [answer("q1", NOW)], NOW)
	put_answers(FIRST, season, "s", answer("q1", NOW))
	frappe.db.sql("ANALYZE TABLE `tabPlayer Review Log`")
	for counted_rows in (10, 1000):
		monkeypatch.setattr(journal, "COUNTED_ROWS", counted_rows)
		assert journal.count_rows(earlier) == 101
		assert [journal.count_rows(earlier, most) for most in (200, 101, 100)] == [101, 101, 100]
		assert journal.count_rows(season) == 1
		assert journal.count_rows("Nowhere", 0) == 0
