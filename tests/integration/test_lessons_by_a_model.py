"""Lessons beside a plain search through all questions, with limits so small that a few questions reach them."""

import random
from functools import partial

import pytest

from memora.services import site_time
from memora.services.folding.folds import fold
from memora.services.learning import bank_reading, lessons, seen_questions
from memora.services.learning.new_questions import NewQuestions
from memora.services.store import standing
from tests.integration import state
from tests.integration.factories import ensure_questions, make_records
from tests.integration.submitting import answers, days_ago, ids, submit
from tests.integration.test_lessons import allow

SUBJECT, PER_DAY = "Model", 12
TOPICS = {
	f"Model: {name}": [f"model-{name}-{number:02}" for number in range(size)]
	for name, size in {"A": 7, "B": 1, "C": 26, "D": 40, "E": 0, "F": 12}.items()
}
ALL = [name for names in TOPICS.values() for name in names]
TOPIC_OF = {name: (SUBJECT, topic) for topic, names in TOPICS.items() for name in names}


@pytest.fixture
def few(monkeypatch, season) -> None:
	for module, name, value in (
		(bank_reading, "FIRST_PAGE", 4),
		(bank_reading, "MAX_PAGE", 8),
		(bank_reading, "MAX_SKIPPED", 3),
		(seen_questions, "FEW", 30),
	):
		monkeypatch.setattr(module, name, value)
	for topic, names in TOPICS.items():
		ensure_questions(names, topic)
	allow(PER_DAY)


def new_questions(player: str, season: str) -> NewQuestions:
	return NewQuestions.now(
		player, season, standing.get_standing(player, season, [], site_time.learning_day())
	)


def unseen(seen: set[str], topic: str | None = None) -> list[str]:
	return [name for name in (ALL if topic is None else TOPICS[topic]) if name not in seen]


@pytest.mark.parametrize("share", [0, 0.5, 0.9, 0.98])
def test_lessons_give_what_a_plain_search_finds(few, player, season, share):
	rng = random.Random(share)
	seen = {name for name in ALL if rng.random() < share}
	if seen:
		make_records(player, question_ids=sorted(seen))
	with days_ago(1):
		submit(player, answers(questions=unseen(seen)[:1]))
	seen |= {*unseen(seen)[:1]}
	for learnt in range(4):
		shown = {name for topic in TOPICS for name in unseen(seen, topic)[:PER_DAY]}
		assert new_questions(player, season).could_be_shown(TOPIC_OF) == shown
		for topic in rng.sample([None, None, *TOPICS], 5):
			limit = rng.randint(1, PER_DAY)
			session = lessons.read_lesson(player, topic, SUBJECT, limit)
			assert ids(session) == unseen(seen, topic)[: min(limit, PER_DAY - learnt)]
			assert session["new_left_today"] == PER_DAY - learnt
		answered = rng.choice(sorted(shown))
		assert submit(player, answers(questions=[answered]))["processed"] == 1
		seen.add(answered)
		if learnt % 2:
			fold(state.outbox(player)[0].name)
		if len(seen) == len(ALL):
			break


def test_what_was_new_at_an_earlier_moment(few, player, season):
	"""Whether a repeated submission's answers could have been taken at first is judged by that moment."""
	make_records(player, question_ids=ALL[:5])
	with days_ago(1):
		began = site_time.to_naive(site_time.now())
		submit(player, answers(questions=ALL[5:8]))
		moment = site_time.to_naive(site_time.now())
		submit(player, answers(questions=ALL[8:10]))
	submit(player, answers(questions=ALL[10:11]))
	of_today = standing.get_standing(player, season, [], site_time.learning_day())
	as_of = partial(NewQuestions.as_of, player, season, of_today)
	for then, seen, learnt in ((began, 5, 0), (moment, 8, 3)):
		found = as_of(then, began)
		assert found.left == PER_DAY - learnt
		assert found.select(SUBJECT, None, 20) == ALL[seen : seen + 20]
	assert ids(lessons.read_lesson(player, None, SUBJECT, 5)) == ALL[11:16]
