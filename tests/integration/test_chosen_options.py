"""An option that is chosen is graded by the server."""

import pytest

from memora.api.parsing import parse_responses
from memora.exceptions import InvalidResponses, SubmissionConflict
from memora.services import site_time
from memora.services.figures import activity
from memora.services.folding import folds
from memora.services.learning.answers import Response
from tests.integration import state
from tests.integration.choices import keys_of, make_choice
from tests.integration.client import message
from tests.integration.factories import make_questions, make_records, site_now
from tests.integration.submitting import answers, days_ago, submit

SUBMIT = "memora.api.reviews.submit_review_session"
SUBMIT_LESSON = "memora.api.sessions.submit_lesson_session"


@pytest.fixture
def question() -> str:
	return make_choice()


@pytest.fixture
def keys(question) -> dict[str, str]:
	return keys_of(question)


@pytest.mark.parametrize(("text", "quality"), [("Paris", 4), ("Rome", 1)])
@pytest.mark.parametrize("endpoint", [SUBMIT, SUBMIT_LESSON])
def test_what_is_chosen_is_graded(client, player, question, keys, endpoint, text, quality):
	sent = [{"question_id": question, "chosen": keys[text]}]
	result = message(client.post(endpoint, responses=sent))["answers"][question]
	assert (result["is_correct"], result["graded_by"]) == (quality == 4, "Server")
	assert result["right_options"] == [keys["Paris"]]
	assert (result["answer"], result["explanation"]) == (f"It is {question}.", "<p>On the Seine.</p>")
	(row,) = state.journal(player)
	assert (row.quality, row.graded_by, row.chosen) == (quality, "Server", keys[text])


def test_what_a_client_says_beside_it_does_not_count(player, question, keys):
	(response,) = parse_responses([{"question_id": question, "chosen": keys["Rome"], "is_correct": True}])
	assert not submit(player, [response])["answers"][question]["is_correct"]


def test_an_option_that_does_not_exist_is_refused(player, question, keys):
	with state.nothing_changes():
		result = submit(player, [Response(question, chosen="nope")])
	assert "no option nope" in result["rejected"][0]["reason"]
	assert all(key in result["rejected"][0]["reason"] for key in keys.values())


def test_a_question_without_options_has_none_to_choose(player):
	(name,) = make_questions()
	assert "no options" in submit(player, [Response(name, chosen="a")])["rejected"][0]["reason"]


@pytest.mark.parametrize("chosen", ["", 1, ["a"], True, "x" * 141, "<b>", "=1+1"])
def test_chosen_is_a_text(chosen):
	with pytest.raises(InvalidResponses, match="item 0, chosen: must be the key of an option"):
		parse_responses([{"question_id": "q", "chosen": chosen}])


def test_a_repeat_is_one_if_it_chooses_the_same(player, question, keys):
	chosen = [Response(question, chosen=keys["Rome"])]
	first = submit(player, chosen, "s-1")
	again = submit(player, chosen, "s-1")
	assert (again["status"], again["answers"]) == ("already_processed", first["answers"])
	for other in (Response(question, chosen=keys["Bonn"]), Response(question, 1)):
		with state.nothing_changes(), pytest.raises(SubmissionConflict):
			submit(player, [other], "s-1")


def test_what_practice_has_told_is_not_counted_as_graded(player, season, question, keys):
	"""Or she would practise first, and then choose what was right."""
	make_records(player, question_ids=[question])
	told = submit(player, [Response(question, chosen=keys["Rome"], practice=True)])["answers"][question]
	assert (told["graded_by"], told["right_options"]) == ("Server", [keys["Paris"]])
	for is_folded in (False, True):
		if is_folded:
			folds.drain(site_now())
		result = submit(player, [Response(question, chosen=keys["Paris"])])["answers"][question]
		assert (result["is_correct"], result["graded_by"], result["practice"]) == (True, "Learner", is_folded)
	folds.drain(site_now())
	assert {(counts.reviews, counts.graded_reviews) for counts in state.activity().values()} == {(1, 0)}


def test_what_was_told_on_an_earlier_day_was_learnt(player, question, keys):
	make_records(player, question_ids=[question])
	with days_ago(1):
		submit(player, [Response(question, chosen=keys["Rome"], practice=True)])
	result = submit(player, [Response(question, chosen=keys["Paris"])])["answers"][question]
	assert (result["graded_by"], result["practice"]) == ("Server", False)


def test_a_rejection_does_not_tell_what_is_right(player, question, keys):
	rejected = submit(player, [Response(question, chosen="nope")])
	assert rejected["answers"] == {}
	assert keys["Paris"] in rejected["rejected"][0]["reason"]  # as all keys are


def test_a_quality_is_taken_and_counted_as_the_learners_own_word(player, question):
	result = submit(player, answers(questions=[question]))["answers"][question]
	assert (result["is_correct"], result["graded_by"]) == (True, "Learner")
	assert [row.graded_by for row in state.journal(player)] == ["Learner"]


def test_figures_tell_both_apart(player, season, question, keys):
	others = make_questions(2, subject="France", topic="Other")
	make_records(player, question_ids=[question, *others], subject="France")
	submit(player, [Response(question, chosen=keys["Rome"])])
	submit(player, [Response(others[0], 5), Response(others[1], 1)])
	folds.drain(site_now())
	activity.sum_up()
	today = site_time.learning_day()
	(counts,) = activity.by_subject(season, today, today).values()
	assert (counts.reviews, counts.recalled) == (3, 1)
	assert (counts.graded_reviews, counts.graded_recalled) == (1, 0)
	assert (counts.retention_percent, counts.graded_retention_percent) == (33.3, 0.0)
	assert activity.by_day(season, today, today)[0].counts == counts
