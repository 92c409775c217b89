"""The pupils of ./dev perf crowd send what the learner's page would send."""

import re

from benchmarks import pupils
from devtools.paths import PROJECT

OUTBOX = (PROJECT / "memora/public/js/review/outbox.js").read_text()


def test_a_batch_is_as_large_as_the_pages():
	assert re.search(r"^const BATCH = (\d+);", OUTBOX, re.MULTILINE)[1] == str(pupils.BATCH)


def test_two_answers_to_a_question_go_one_after_the_other():
	answers = [{"question_id": name, "practice": index > 2} for index, name in enumerate("abcabd")]
	found = list(pupils.of_different_questions(answers))
	assert [[one["question_id"] for one in batch] for batch in found] == [["a", "b", "c"], ["a", "b", "d"]]
	assert [one for batch in found for one in batch] == answers
	assert list(pupils.of_different_questions([])) == []
