"""preview: what each grade would lead to, beside the questions of a session."""

from datetime import timedelta

import pytest

from memora.services.learning import lessons, reviews
from memora.services.learning.season_scheduler import GRADES
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import factories
from tests.integration.client import message
from tests.integration.factories import make_records, site_now
from tests.integration.submitting import answers, ids, submit
from tests.integration.test_budgets import counted

REVIEWS, LESSON = "memora.api.reviews.get_review_session", "memora.api.sessions.get_lesson_session"


def assert_comes_true(player: str, questions: list[dict], rating: str) -> None:
	previews = {q["question_id"]: q["preview"][rating] for q in questions}
	assert {p["quality"] for p in previews.values()} == {GRADES[rating]}
	result = submit(player, answers(questions=list(previews), quality=GRADES[rating]))
	assert result["schedule"] == {q: preview["next_review_date"] for q, preview in previews.items()}


@pytest.mark.parametrize("rating", GRADES)
def test_a_review_leads_to_what_was_shown(player, rating):
	make_records(
		player, 12, stability=lambda i: 0.5 * 1.8**i, difficulty=lambda i: 1 + i % 9, reps=lambda i: i
	)
	assert_comes_true(player, reviews.read_reviews(player, preview=True)["questions"], rating)


@pytest.mark.parametrize("rating", GRADES)
def test_a_first_answer_leads_to_what_was_shown(player, rating):
	assert_comes_true(player, lessons.read_lesson(player, None, None, 5, preview=True)["questions"], rating)


def test_days_are_counted_from_the_present_learning_day(player):
	make_records(player, stability=30.0)
	(question,) = reviews.read_reviews(player, preview=True)["questions"]
	today = (site_now() - timedelta(hours=4)).date()
	for shown in question["preview"].values():
		due = today + timedelta(days=shown["interval_days"])
		assert shown["next_review_date"] == f"{due} 04:00:00"
	intervals = [question["preview"][rating]["interval_days"] for rating in GRADES]
	assert intervals == sorted(intervals) and intervals[0] < intervals[-1]


def test_a_preview_costs_no_query_and_changes_nothing(player):
	make_records(player, 5)
	reviews.read_reviews(player, preview=True)
	costs = []
	for preview in (False, True):
		with counted() as queries:
			session = reviews.read_reviews(player, preview=preview)
		costs.append(queries.total)
	assert costs[0] == costs[1]
	for question in session["questions"]:
		del question["preview"]
	assert session == reviews.read_reviews(player)


def test_clients_ask_for_it(client, player):
	make_records(player, 2)
	assert "preview" not in message(client.get(REVIEWS))["questions"][0]
	for endpoint in (REVIEWS, LESSON):
		for question in message(client.get(endpoint, preview=1))["questions"]:
			assert question["preview"].keys() == GRADES.keys()
	refused = client.get(REVIEWS, preview="perhaps")
	assert (refused.status_code, refused.json()["exc_type"]) == (400, "InvalidFilter")
	assert "perhaps" in refused.text


# When the next question falls due


def test_who_has_nothing_due_learns_when_she_will(player):
	tomorrow = site_now().replace(microsecond=0) + timedelta(days=1)
	make_records(player, 3, next_review_date=lambda i: tomorrow + timedelta(days=i))
	session = reviews.read_reviews(player)
	assert (ids(session), session["next_due"]) == ([], str(tomorrow))
	assert reviews.read_reviews(player, "Bank Biology")["next_due"] is None


def test_the_next_date_counts_what_waits_to_be_folded(player):
	soon = site_now().replace(microsecond=0) + timedelta(hours=1)
	later = soon + timedelta(hours=1)
	(stored,) = make_records(player, next_review_date=soon)
	waiting = factories.make_record(stored.question_id, next_review_date=later, reps=2)
	factories.make_waiting_submission(player, factories.STANDING_SEASON, waiting)
	assert reviews.read_reviews(player)["next_due"] == str(later)


def test_the_next_date_is_told_only_where_nothing_is_due(player):
	assert reviews.read_reviews(player)["next_due"] is None
	make_records(player, 1)
	SRSRedisManager().clear_user_cache(player, factories.STANDING_SEASON)
	assert "next_due" not in reviews.read_reviews(player)
