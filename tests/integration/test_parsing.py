"""Bad requests are refused, and each error names the item, the field and the value."""

import json

import pytest

from memora.api.parsing import parse_limit, parse_responses, parse_submission_id
from memora.exceptions import InvalidLimit, InvalidResponses, InvalidSubmissionId
from memora.services.learning.answers import Response

GOOD = {"question_id": "q-1", "quality": 4}


@pytest.mark.parametrize(("value", "limit"), [(1, 1), (50, 50), ("20", 20)])
def test_limits(value, limit):
	assert parse_limit(value) == limit


@pytest.mark.parametrize(
	"value", [0, 51, -1, "abc", "", "0", "51", "-1", "2.5", True, 2.5, None, [5], 10**30]
)
def test_a_limit_outside_1_to_50_is_refused(value):
	with pytest.raises(InvalidLimit) as caught:
		parse_limit(value)
	assert "from 1 to 50" in str(caught.value)
	assert shown(value) in str(caught.value)
	assert caught.value.http_status_code == 400


@pytest.mark.parametrize("value", [None, "a", "x" * 64, "2f1c-4.b_c:1", "_1"])
def test_submission_ids(value):
	assert parse_submission_id(value) == value


@pytest.mark.parametrize(
	"value", ["", "x" * 65, 5, True, [], {"a": 1}, "a\0b", "ü", "a b", "-a", "=1", "<b>"]
)
def test_a_submission_id_that_is_no_short_text_is_refused(value):
	with pytest.raises(InvalidSubmissionId) as caught:
		parse_submission_id(value)
	assert "submission_id" in str(caught.value)
	assert "64" in str(caught.value)
	assert caught.value.http_status_code == 400


def test_responses_as_list_and_as_json():
	items = [
		{"question_id": "q-1", "quality": 0},
		{"question_id": "q-2", "quality": 5, "response_time_ms": 0},
		{"question_id": "q-3", "is_correct": True, "response_time_ms": 1500},
		{"question_id": "q-4", "is_correct": False, "response_time_ms": None},
	]
	expected = [
		Response("q-1", 0),
		Response("q-2", 5, 0),
		Response("q-3", 4, 1500),
		Response("q-4", 1),
	]
	assert parse_responses(items) == expected
	assert parse_responses(json.dumps(items)) == expected


def test_quality_counts_where_is_correct_is_given_too():
	assert parse_responses([{**GOOD, "quality": 3, "is_correct": False}]) == [Response("q-1", 3)]


def test_fifty_responses_are_taken():
	assert len(parse_responses([{"question_id": f"q-{i}", "quality": 4} for i in range(50)])) == 50


@pytest.mark.parametrize(
	("value", "named"),
	[
		([], "1 to 50"),
		([{"question_id": f"q-{i}", "quality": 4} for i in range(51)], "51"),
		(GOOD, "list"),
		(None, "list"),
		(5, "list"),
		("[", "JSON"),
		("", "JSON"),
		('{"question_id": "q-1", "quality": 4}', "list"),
		("null", "list"),
		pytest.param("[" * 100_000, "JSON", id="deeper than can be read"),
		([None], "item 0"),
		([GOOD, "q-2"], "item 1"),
		([[GOOD]], "item 0"),
	],
)
def test_what_is_no_list_of_1_to_50_answers_is_refused(value, named):
	refused(value, named)


@pytest.mark.parametrize("quality", [6, -1, 3.5, 4.0, float("nan"), float("inf"), None, "4", True, [4], {}])
def test_a_quality_other_than_0_to_5_is_refused(quality):
	refused([GOOD, {"question_id": "q-2", "quality": quality}], "item 1", "quality", shown(quality))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "4.0", '"4"', "null", "true"])
def test_a_quality_other_than_0_to_5_is_refused_in_json_too(text):
	refused(f'[{{"question_id": "q-1", "quality": {text}}}]', "item 0", "quality")


def test_a_missing_quality_is_refused():
	refused([{"question_id": "q-1"}], "item 0", "quality", "null")


@pytest.mark.parametrize("value", [1, 0, "true", None, "", []])
def test_is_correct_is_true_or_false(value):
	refused([{"question_id": "q-1", "is_correct": value}], "item 0", "is_correct", shown(value))


@pytest.mark.parametrize("value", [-5, 1e12, 10**12, 1.5, "100", True, float("nan")])
def test_an_impossible_response_time_is_refused(value):
	refused([{**GOOD, "response_time_ms": value}], "item 0", "response_time_ms", shown(value))


def test_a_question_id_is_as_long_as_its_column():
	assert parse_responses([{**GOOD, "question_id": "x" * 140}])[0].question_id == "x" * 140


@pytest.mark.parametrize("value", [None, "", 5, "x" * 141, ["q"], {}])
def test_a_question_id_is_a_text(value):
	refused([GOOD, {"question_id": value, "quality": 4}], "item 1", "question_id", shown(value)[:80])


LONE_SURROGATE = json.loads('"q-\\ud800"')  # valid JSON, and no text that can be stored


def test_a_question_id_that_is_no_unicode_is_refused():
	refused([{"question_id": LONE_SURROGATE, "quality": 4}], "item 0", "question_id")


def test_a_submission_id_that_is_no_unicode_is_refused():
	with pytest.raises(InvalidSubmissionId):
		parse_submission_id(LONE_SURROGATE)


def test_a_missing_question_is_refused():
	refused([{"quality": 4}], "item 0", "question_id", "null")


def test_a_duplicate_question_is_refused():
	refused(
		[GOOD, {"question_id": "q-2", "quality": 4}, {**GOOD, "quality": 1}],
		"item 2",
		"question_id",
		"item 0",
	)


def test_a_value_is_shown_short_and_harmless():
	with pytest.raises(InvalidResponses) as caught:
		parse_responses([{"question_id": "q-1", "quality": "<script>alert(1)</script>" + "x" * 1000}])
	assert "<script>" not in str(caught.value)
	assert len(str(caught.value)) < 300


def refused(value, *named: str) -> None:
	with pytest.raises(InvalidResponses) as caught:
		parse_responses(value)
	assert caught.value.http_status_code == 400
	for part in ("responses", *named):
		assert part in str(caught.value)


def shown(value) -> str:
	return json.dumps(value, default=str).replace('"', "&quot;")
