"""Practice: an answer beside the schedule. It is journalled and moves nothing."""

import pytest

from memora.api.parsing import parse_responses
from memora.exceptions import InvalidResponses, SubmissionConflict
from memora.services.folding import folds
from memora.services.learning.answers import Response
from memora.services.operations import replay
from tests.integration import state
from tests.integration.client import message
from tests.integration.factories import bank_questions, make_records, site_now
from tests.integration.submitting import answers, days_ago, ids, read, submit

SUBMIT = "memora.api.reviews.submit_review_session"


def practice(question_id: str, quality: int = 4) -> Response:
	return Response(question_id, quality, 900, practice=True)


def fold() -> None:
	folds.drain(site_now())


@pytest.mark.parametrize("quality", [1, 3, 4, 5])
def test_practice_is_journalled_and_moves_nothing(player, season, quality):
	(record,) = make_records(player, stability=10.5, difficulty=5.5, reps=3)
	read(player)
	before = state.tracker(player), state.cached(player, season)
	result = submit(player, [practice(record.question_id, quality)])
	fold()
	assert (state.tracker(player), state.cached(player, season)) == before
	assert result["schedule"] == {record.question_id: str(record.next_review_date)}
	assert (result["status"], result["processed"]) == ("success", 1)
	(row,) = state.journal(player)
	assert (row.kind, row.quality, row.response_time_ms) == ("Practice", quality, 900)
	assert (row.stability_before, row.stability_after) == (10.5, 10.5)
	assert row.next_review_date_after == row.next_review_date_before == record.next_review_date


def test_a_question_that_is_practised_stays_due(player):
	make_records(player, 2)
	submit(player, [practice(bank_questions()[0])])
	assert ids(read(player)) == bank_questions()[:2]


def test_answers_and_practice_in_one_submission(player, season):
	make_records(player, 1)
	first, second = bank_questions()[:2]
	result = submit(player, [practice(first), Response(second, 4)])
	fold()
	assert result["schedule"].keys() == {first, second}
	assert {row.question_id: row.kind for row in state.journal(player)} == {
		first: "Practice",
		second: "Learn",
	}
	assert {q: row.reps for q, row in state.tracker(player).items()} == {first: 1, second: 1}


def test_what_was_never_learnt_can_not_be_practised(player):
	first, second = bank_questions()[:2]
	result = submit(player, [practice(first), Response(second, 4)], "s-1")
	assert [r["question_id"] for r in result["rejected"]] == [first]
	assert "learnt" in result["rejected"][0]["reason"]
	assert [row.question_id for row in state.journal(player)] == [second]
	again = submit(player, [practice(first), Response(second, 4)], "s-1")
	assert (again["status"], again["rejected"]) == ("already_processed", result["rejected"])


def test_a_repeat_changes_nothing(player):
	make_records(player, 1)
	submitted = [practice(bank_questions()[0])]
	first = submit(player, submitted, "s-1")
	again = submit(player, submitted, "s-1")
	assert (again["status"], again["schedule"]) == ("already_processed", first["schedule"])
	assert len(state.journal(player)) == 1


def test_an_answer_that_is_sent_again_as_practice_is_a_conflict(player):
	make_records(player, 1)
	submit(player, answers(1), "s-1")
	with state.nothing_changes(), pytest.raises(SubmissionConflict, match="s-1"):
		submit(player, [practice(bank_questions()[0])], "s-1")


def test_a_replay_passes_over_practice(player, season):
	first, second = bank_questions()[:2]
	make_records(player, question_ids=[second])  # which no answer explains
	with days_ago(1):
		submit(player, answers(questions=[first]))
	submit(player, [practice(first, 1), practice(second)])
	submit(player, answers(questions=[first], quality=1))
	fold()
	report = replay.replay_season(season, player)
	assert (report.answers, report.questions, report.differences, report.unjournalled) == (4, 1, 0, 1)
	assert state.tracker(player)[first].lapses == 1


def test_it_is_said_over_http(client, player):
	make_records(player, 1)
	sent = {"question_id": bank_questions()[0], "quality": 1, "practice": True}
	assert message(client.post(SUBMIT, responses=[sent]))["processed"] == 1
	assert [row.kind for row in state.journal(player)] == ["Practice"]


def test_practice_is_true_or_false():
	assert parse_responses([{"question_id": "q", "quality": 4, "practice": False}]) == [Response("q", 4)]
	for value in (1, "true", []):
		with pytest.raises(InvalidResponses, match="practice: must be true or false"):
			parse_responses([{"question_id": "q", "quality": 4, "practice": value}])
