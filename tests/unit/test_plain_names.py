"""What ids and names may be made of."""

import pytest

from memora.services.learning.plain_names import is_harmless, is_question_id, is_submission_id, plain


@pytest.mark.parametrize("text", ["a", "_1", "2f1c-4.b_c:1", "x" * 64])
def test_ids_of_submissions(text):
	assert is_submission_id(text)
	assert is_question_id(text)


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "a/b", "ü", "=1", "a\n", "x" * 65])
def test_what_is_no_id_of_a_submission(text):
	assert not is_submission_id(text)


@pytest.mark.parametrize("text", ["x" * 140, "سؤال-1", "ü", "Q:1"])
def test_ids_of_questions(text):
	assert is_question_id(text)


@pytest.mark.parametrize("text", ["", "-a", "a b", "<b>", "=1+1", "a\n", "x" * 141])
def test_what_is_no_id_of_a_question(text):
	assert not is_question_id(text)


@pytest.mark.parametrize("text", ["Geography", "1 + 1", "a-b", "علوم", "a & b", ""])
def test_what_is_harmless(text):
	assert is_harmless(text)
	assert plain(text) == text


@pytest.mark.parametrize(
	("name", "as_stored"),
	[
		("=1+1", "'=1+1"),
		(" @x", "' @x"),
		("-ing forms", "'-ing forms"),
		("<b>", "‹b›"),
		("a\t\nb\x7f", "a b "),
		("a\ud800b", "a b"),
		("x" * 141, "x" * 140),
		("=" + "x" * 140, "'=" + "x" * 138),
		(7, "7"),
	],
)
def test_names_are_made_harmless(name, as_stored):
	assert plain(name) == as_stored
	assert is_harmless(as_stored)


@pytest.mark.parametrize("text", ["=1+1", " @x", "<b>", "a>b", "a\tb", "a\x7f"])
def test_what_is_not_harmless(text):
	assert not is_harmless(text)


def test_no_name_stays_none():
	assert plain(None) is None
