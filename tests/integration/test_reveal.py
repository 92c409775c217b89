"""With reveal=0 a session does not say which answer is right."""

import pytest

from memora.services.learning import question_source
from tests.integration.choices import keys_of, make_choice
from tests.integration.client import message
from tests.integration.factories import make_records

READ = "memora.api.reviews.get_review_session"
LESSON = "memora.api.sessions.get_lesson_session"
SAYS_WHAT_IS_RIGHT = {"answer", "explanation", "is_correct"}


@pytest.fixture
def question() -> str:
	return make_choice()


@pytest.fixture
def keys(question) -> dict[str, str]:
	return keys_of(question)


def names_in(value: object) -> set[str]:
	if isinstance(value, dict):
		return {*value, *(name for part in value.values() for name in names_in(part))}
	return {name for part in value for name in names_in(part)} if isinstance(value, list) else set()


@pytest.mark.parametrize("endpoint", [READ, LESSON])
def test_without_reveal_nothing_says_what_is_right(client, player, season, question, keys, endpoint):
	arguments = {"limit": 10, "subject": "France"}
	if endpoint != LESSON:
		make_records(player, question_ids=[question], subject="France")
	shown = message(client.get(endpoint, **arguments, reveal=0))["questions"]
	assert [q["question_id"] for q in shown] == [question]
	assert not SAYS_WHAT_IS_RIGHT & names_in(shown)
	assert {o["option"]: o["key"] for o in shown[0]["options"]} == keys
	assert names_in(message(client.get(endpoint, **arguments))) >= SAYS_WHAT_IS_RIGHT


def test_options_of_a_host_app_without_keys_are_numbered():
	content = {"options": [{"option": "a"}, {"option": "b", "is_correct": True}]}
	assert question_source.options_of(content) == {"1": False, "2": True}
	sent = question_source.as_sent(content, reveal=False)
	assert sent == {"options": [{"option": "a", "key": "1"}, {"option": "b", "key": "2"}]}
	assert content["options"][1] == {"option": "b", "is_correct": True}
