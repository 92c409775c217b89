"""get_review_session in-process: what is due for a learner, from Redis and from MariaDB."""

import json
from datetime import datetime, timedelta

import frappe
import pytest

from memora.api import reviews, sessions
from memora.services.learning.reviews import SAFE_MODE_LIMIT
from tests.integration import state
from tests.integration.cleaning import srs_redis
from tests.integration.factories import (
	bank_questions,
	make_learner,
	make_questions,
	make_record,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.submitting import answers, as_sent, ids, read, submit

SEASON = "Game Subscription Season"
GEOGRAPHY, BIOLOGY = "Bank Geography", "Bank Biology"


def test_a_session_holds_the_due_questions_with_content(source, player, season):
	(record,) = make_records(player, stability=12.5)
	is_degraded = source(player)
	question_id = record.question_id
	assert read(player) == {
		"questions": [
			{
				"question_id": question_id,
				"subject": GEOGRAPHY,
				"topic": "Bank Geography: Africa",
				"stability": 12.5,
				"next_review_date": str(record.next_review_date),
				"question": f"<p>What is {question_id}?</p>",
				"answer": f"It is {question_id}.",
				"explanation": None,
				"options": [],
			}
		],
		"total_due": 1,
		"season": season,
		"is_degraded": is_degraded,
	}


def test_the_oldest_due_comes_first(source, player):
	hours = [3, 9, 1, 7, 5]
	now = site_now()
	make_records(player, 5, next_review_date=lambda i: now - timedelta(hours=hours[i]))
	source(player)
	questions = bank_questions()
	assert ids(read(player)) == [questions[i] for i in (1, 3, 4, 0, 2)]


def test_what_falls_due_at_one_moment_comes_by_question_id(source, player, season):
	"""By its bytes, whoever answers: two pages of one day must not show a question twice and leave out another."""
	names = ["q-2", "Q-1", "q-10", "ä", "q", "Z", "z-9", "10", "9"]
	at_once = {"next_review_date": site_now().replace(microsecond=0) - timedelta(hours=2)}
	later = {"next_review_date": site_now() - timedelta(hours=1)}
	make_records(player, question_ids=names[1:], **at_once)
	make_records(player, 20, **later)
	make_waiting_submission(player, season, make_record(names[0], **at_once))
	source(player)
	wanted = [*sorted(names, key=str.encode), *sorted(bank_questions()[:20])]
	for limit in (1, 4, len(names), 10):
		assert ids(read(player, limit=limit)) == wanted[:limit]


def test_what_is_due_later_is_left_out(source, player):
	now = site_now()
	make_records(player, 6, next_review_date=lambda i: now + timedelta(hours=i - 2.5))
	source(player)
	session = read(player)
	assert ids(session) == bank_questions()[:3]
	assert session["total_due"] == 3


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_the_limit_holds_and_the_total_goes_beyond_it(source, player, limit):
	make_records(player, 8)
	source(player)
	session = read(player, limit=limit)
	assert ids(session) == bank_questions()[:8][:limit]
	assert session["total_due"] == 8


def test_nothing_due(source, player, season):
	tomorrow = site_now() + timedelta(days=1)
	make_records(player, 2, next_review_date=tomorrow)
	is_degraded = source(player)
	session = {"questions": [], "total_due": 0, "season": season, "is_degraded": is_degraded}
	assert read(player) == {**session, "next_due": str(tomorrow)}


def test_another_learners_questions_are_not_seen(source, player):
	make_records(make_learner().name, 5)
	make_records(player, question_ids=bank_questions()[7:9])
	source(player)
	session = read(player)
	assert ids(session) == bank_questions()[7:9]
	assert session["total_due"] == 2


def test_another_seasons_questions_are_not_seen(source, player):
	make_records(player, 5, season=make_season().name)
	make_records(player, question_ids=["of this season"])
	source(player)
	assert ids(read(player)) == ["of this season"]


def test_a_question_that_the_source_does_not_know_is_not_asked(source, player):
	"""Nobody told of it: the read notes it, and goes on to those behind it."""
	long_ago = site_now() - timedelta(days=1)
	make_records(player, question_ids=["gone-1", "gone-2"], is_known=False, next_review_date=long_ago)
	make_records(player, 3)
	source(player)
	for limit in (1, 3, 20):
		session = read(player, limit=limit)
		assert ids(session) == bank_questions()[:3][:limit]
		assert session["total_due"] == 3


def test_what_redis_alone_knows_is_not_due(player, season):
	make_records(player, 2)
	read(player)
	srs_redis().zadd(f"srs:{player}:{season}", {"of no record": 1.0})
	for _time in range(2):
		session = read(player)
		assert (ids(session), session["total_due"]) == (bank_questions()[:2], 2)
	assert "of no record" not in state.cached(player, season)


@pytest.fixture
def withdrawn(player) -> list[str]:
	"""Three questions, due one after the other. The first two are disabled."""
	names = make_questions(3)
	make_records(player, question_ids=names)
	frappe.db.set_value("Game Question", {"name": ("in", names[:2])}, "enabled", 0)
	frappe.db.commit()
	return names


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_later_questions_take_the_places_of_those_that_were_withdrawn(source, player, withdrawn, limit):
	source(player)
	session = read(player, limit=limit)
	assert ids(session) == withdrawn[2:]
	assert session["total_due"] == 1


def test_when_all_that_is_due_was_withdrawn_nothing_is_due(source, player, withdrawn):
	frappe.db.set_value("Game Question", withdrawn[2], "enabled", 0)
	frappe.db.commit()
	source(player)
	session = read(player)
	assert (session["questions"], session["total_due"], session["next_due"]) == ([], 0, None)


def test_what_is_enabled_again_is_asked_again(player, withdrawn):
	read(player)
	frappe.get_doc("Game Question", withdrawn[0]).update({"enabled": 1}).save()
	frappe.db.commit()
	assert ids(read(player)) == [withdrawn[0], withdrawn[2]]


def test_answers_that_are_not_folded_yet_count(source, player):
	make_records(player, 3)
	source(player)
	submit(player, answers(2))
	assert len(state.outbox(player)) <= 1
	session = read(player)
	assert ids(session) == bank_questions()[2:3]
	assert session["total_due"] == 1


def test_what_waits_to_be_folded_and_is_due_counts(source, player, season):
	"""Its worker has been away for days."""
	make_records(player, 3)
	now = site_now().replace(microsecond=0)
	fresh = make_record("fresh", next_review_date=now - timedelta(minutes=90))
	again = make_record(
		bank_questions()[0], reps=2, last_review_date=now, next_review_date=now - timedelta(minutes=5)
	)
	make_waiting_submission(player, season, fresh, again)
	source(player)
	session = read(player, limit=3)
	assert ids(session) == [bank_questions()[1], "fresh", bank_questions()[2]]
	assert session["total_due"] == 4
	assert ids(read(player)) == [bank_questions()[1], "fresh", bank_questions()[2], bank_questions()[0]]


def test_what_waits_to_be_folded_counts_for_its_subject_alone(source, player, season):
	make_records(player, 2)
	make_waiting_submission(player, season, make_record("fresh", subject=BIOLOGY))
	source(player)
	assert read(player, subject=GEOGRAPHY)["total_due"] == 2
	assert ids(read(player, subject=BIOLOGY)) == ["fresh"]


def test_options_are_part_of_the_content(player):
	options = [{"option_text": "yes", "is_correct": 1}, {"option_text": "no", "is_correct": 0}]
	(name,) = make_questions(options=options, explanation="because")
	make_records(player, question_ids=[name])
	(question,) = read(player)["questions"]
	shown = [(option["option"], option["is_correct"], bool(option["key"])) for option in question["options"]]
	assert shown == [("yes", True, True), ("no", False, True)]
	assert question["explanation"] == "because"


def test_a_session_is_plain_json(source, player):
	make_records(player, 2)
	source(player)
	session = read(player)
	assert json.loads(json.dumps(session)) == session
	assert datetime.fromisoformat(session["questions"][0]["next_review_date"])


def test_a_guest_is_no_learner():
	frappe.set_user("Guest")
	for endpoint in (reviews.get_review_session, sessions.get_lesson_session):
		with pytest.raises(frappe.PermissionError):
			endpoint()
	with state.nothing_changes(), pytest.raises(frappe.PermissionError):
		reviews.submit_review_session(as_sent(answers(1)))


def test_the_endpoint_reads_for_the_signed_in_learner(learner, player):
	make_records(player, 3)
	frappe.set_user(learner.user)
	assert ids(reviews.get_review_session(limit="2")) == bank_questions()[:2]


# By subject


@pytest.fixture
def two_subjects(player) -> None:
	"""Twenty-four due questions: first those of geography, then eight of biology."""
	make_records(player, question_ids=bank_questions(GEOGRAPHY)[:16])
	now = site_now()
	make_records(
		player,
		question_ids=bank_questions(BIOLOGY)[:8],
		subject=BIOLOGY,
		topic="Bank Biology: Cells",
		next_review_date=lambda i: now - timedelta(minutes=30 - i),
	)


def test_a_subject_gives_as_many_as_asked_while_more_are_due(source, two_subjects, player):
	is_degraded = source(player)
	session = read(player, subject=BIOLOGY, limit=5)
	assert ids(session) == bank_questions(BIOLOGY)[:5]
	assert session["total_due"] == 8
	assert session["is_degraded"] in (False, is_degraded)


def test_a_subject_gives_all_there_are(source, two_subjects, player):
	source(player)
	session = read(player, subject=BIOLOGY, limit=20)
	assert ids(session) == bank_questions(BIOLOGY)[:8]
	assert session["total_due"] == 8


def test_all_subjects_together(source, two_subjects, player):
	limit = SAFE_MODE_LIMIT if source(player) else 20
	session = read(player, limit=20)
	assert ids(session) == (bank_questions(GEOGRAPHY)[:16] + bank_questions(BIOLOGY)[:4])[:limit]
	assert session["total_due"] == 24


def test_an_unknown_subject_gives_nothing(source, two_subjects, player):
	source(player)
	session = read(player, subject="Alchemy")
	assert (ids(session), session["total_due"]) == ([], 0)


def test_a_subject_counts_answers_that_are_not_folded_yet(source, two_subjects, player):
	source(player)
	submit(player, answers(questions=bank_questions(BIOLOGY)[:3]))
	session = read(player, subject=BIOLOGY, limit=2)
	assert ids(session) == bank_questions(BIOLOGY)[3:5]
	assert session["total_due"] == 5
