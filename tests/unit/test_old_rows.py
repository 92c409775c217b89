"""The patch makes good rows of those from before the tables were partitioned."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from memora.patches.v1_0 import old_rows
from memora.services.learning import scheduling
from memora.services.store import row_names

LEARNER = "0123456789abcdef"
NOW = datetime(2026, 3, 1)
MADE, REVIEWED, DUE = datetime(2025, 9, 1), datetime(2025, 10, 1), datetime(2025, 10, 9)

# As Frappe leaves a row of the first tracker: columns that it lacked are 0.
OLD = {
	"name": "0123456789",
	"player": LEARNER,
	"season": "S",
	"question_id": "q-1",
	"stability": Decimal("4.5"),
	"difficulty": Decimal(0),
	"state": "Review",
	"reps": 0,
	"lapses": 0,
	"next_review_date": DUE,
	"last_review_date": REVIEWED,
	"creation": MADE,
	"modified": REVIEWED,
}


def memory(**overrides) -> dict:
	return old_rows.memory({**OLD, **overrides}, NOW)


def test_what_is_known_stays_and_what_the_first_tracker_lacked_is_that_of_a_first_good_answer():
	assert memory() == OLD | {
		"name": row_names.tracker_name(LEARNER, "S", "q-1"),
		"stability": 4.5,
		"difficulty": scheduling.initial_difficulty(),
		"reps": 1,
	}


def test_a_row_of_the_present_tracker_stays_as_it_is():
	row = memory(difficulty=7.5, state="Relearning", reps=9, lapses=2)
	assert old_rows.memory(row, NOW) == row


@pytest.mark.parametrize(
	("given", "last", "due", "stability"),
	[
		({"stability": None}, REVIEWED, DUE, 8),
		({"stability": -1}, REVIEWED, DUE, 8),
		({"stability": 0, "next_review_date": MADE}, REVIEWED, MADE, 2.306500),
		({"stability": 0, "next_review_date": None}, REVIEWED, REVIEWED + timedelta(days=2.3065), 2.3065),
		({"next_review_date": None}, REVIEWED, REVIEWED + timedelta(days=4.5), 4.5),
		({"next_review_date": "0000-00-00 00:00:00"}, REVIEWED, REVIEWED + timedelta(days=4.5), 4.5),
		({"next_review_date": None, "stability": 1e9}, REVIEWED, REVIEWED + timedelta(days=36500), 1e9),
		({"last_review_date": None}, MADE, DUE, 4.5),
		({"last_review_date": None, "creation": None}, REVIEWED, DUE, 4.5),
		({"last_review_date": None, "creation": None, "modified": None}, NOW, DUE, 4.5),
	],
)
def test_missing_dates_and_stabilities_follow_from_what_there_is(given, last, due, stability):
	row = memory(**given)
	assert (row["last_review_date"], row["next_review_date"]) == (last, due)
	assert row["stability"] == pytest.approx(stability)


@pytest.mark.parametrize(
	("difficulty", "kept"), [(1, True), (10, True), (0.5, False), (11, False), (None, False)]
)
def test_a_difficulty_outside_the_scale_is_replaced(difficulty, kept):
	expected = difficulty if kept else scheduling.initial_difficulty()
	assert memory(difficulty=difficulty)["difficulty"] == expected


@pytest.mark.parametrize("state", [None, "", "New"])
def test_an_unknown_state_is_review(state):
	assert memory(state=state)["state"] == "Review"


def test_no_question_was_first_answered_after_its_last_review():
	assert memory(creation=NOW)["creation"] == REVIEWED


def test_a_row_brought_over_can_be_scheduled():
	row = memory(stability=None, next_review_date=None, last_review_date=None)
	assert row["stability"] > 0
	assert 1 <= row["difficulty"] <= 10
	assert row["creation"] <= row["last_review_date"] < row["next_review_date"]


@pytest.mark.parametrize(
	("given", "archived_at"),
	[
		({"archived_at": DUE}, DUE),
		({"archived_at": None}, REVIEWED),
		({"archived_at": None, "modified": None}, MADE),
	],
)
def test_an_archived_row_says_since_when(given, archived_at):
	row = old_rows.archived({**OLD, "eligible_for_deletion": None, **given}, NOW)
	assert (row["archived_at"], row["eligible_for_deletion"]) == (archived_at, 0)


def test_a_journal_row_of_no_submission_is_one_of_its_own():
	old = {"name": "x", "player": LEARNER, "season": "S", "question_id": "q", "submission_id": None}
	row = old_rows.journalled({**old, "reviewed_at": None, "creation": MADE}, NOW)
	assert row["submission_id"] == "x"
	assert row["name"] == row_names.journal_name(LEARNER, "S", "x", "q")
	assert row["reviewed_at"] == row["creation"] == MADE
