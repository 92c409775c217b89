"""A read and a submission cost no more queries, commits and Redis round trips than they may."""

from collections.abc import Iterator
from contextlib import contextmanager

import frappe
import pytest

from memora.services.learning import lessons, reviews
from memora.services.settings import get_settings
from tests.integration.factories import bank_questions, make_questions, make_records, make_season
from tests.integration.redis_proxy import RedisProxy
from tests.integration.submitting import answers, ids, submit


class Queries:
	"""Returns what the server has counted on this connection."""

	total = 0
	commits = 0
	begins = 0


def counters() -> dict[str, int]:
	rows = frappe.db.sql(
		"SHOW SESSION STATUS WHERE Variable_name IN ('Questions', 'Com_commit', 'Com_begin', 'Com_rollback')"
	)
	return {name: int(value) for name, value in rows}


@contextmanager
def counted() -> Iterator[Queries]:
	queries, before = Queries(), counters()
	yield queries
	after = counters()
	queries.total = after["Questions"] - before["Questions"] - 1  # the second look itself
	queries.commits = after["Com_commit"] - before["Com_commit"]
	queries.begins = after["Com_begin"] - before["Com_begin"]


@pytest.fixture
def warm(proxy, player) -> str:
	"""A learner with 200 scheduled questions, all of them known to this process and to Redis."""
	make_records(player, question_ids=[*bank_questions(), *[f"other-{i:03}" for i in range(170)]])
	reviews.read_reviews(player, None, 20)
	submit(player, answers(questions=bank_questions()[29:30]))
	reviews.read_reviews(player, None, 20)
	frappe.db.rollback()
	get_settings()
	frappe._("what is said in refusals is loaded now")
	return player


def test_a_warm_read_costs_four_queries_and_one_round_trip(warm, proxy):
	with proxy.counted() as redis, counted() as queries:
		session = reviews.read_reviews(warm, None, 20)
	assert ids(session) == bank_questions()[:20]
	assert redis.round_trips == 1
	assert queries.total <= 4
	assert queries.commits == 0


def test_a_warm_read_costs_the_same_whatever_the_limit(warm, proxy):
	costs = []
	for limit in (1, 50):
		with proxy.counted() as redis, counted() as queries:
			reviews.read_reviews(warm, None, limit)
		costs.append((queries.total, redis.round_trips))
	assert costs[0] == costs[1]


def test_a_submission_of_twenty_costs_nine_queries_one_commit_and_two_round_trips(warm, proxy):
	responses = answers(questions=bank_questions()[:20])
	with proxy.counted() as redis, counted() as queries:
		result = submit(warm, responses)
	assert (result["processed"], result["is_degraded"]) == (20, False)
	assert redis.round_trips <= 2
	assert queries.commits == 1
	begin_after_commit = 1  # Frappe's own
	assert queries.total - queries.commits - begin_after_commit <= 9


def test_of_its_two_round_trips_one_goes_to_the_queue(warm, proxy, queue_url):
	"""While a job waits: it folds this submission, too. Queueing one costs what RQ makes of it."""
	queue = RedisProxy(frappe.conf.redis_queue)
	queue_url(queue.url)
	submit(warm, answers(questions=bank_questions()[28:29]))
	with proxy.counted() as schedules, queue.counted() as jobs:
		submit(warm, answers(20))
	queue.stop()
	assert (schedules.round_trips, jobs.round_trips) == (1, 1)


@pytest.mark.parametrize("topics", [1, 4])
def test_first_answers_cost_three_queries_more_whatever_their_topics(warm, proxy, topics):
	"""The topics, the questions that come next in them, and which of these she has seen."""
	names = [name for n in range(topics) for name in make_questions(20 // topics, topic=f"Topic {n}")]
	# making so many questions takes longer than a process keeps what it has read
	reviews.read_reviews(warm, None, 20)
	lessons.read_lesson(warm, None, None, 1)
	with proxy.counted() as redis, counted() as queries:
		result = submit(warm, answers(questions=names))
	assert result["processed"] == 20
	assert redis.round_trips <= 2
	assert queries.commits == 1
	assert queries.total - queries.commits - 1 <= 9 + 3


def test_first_answers_beyond_new_per_day_ask_no_topic(warm):
	names = make_questions(40, topic="Long")
	submit(warm, answers(questions=names[:20]))
	with counted() as queries:
		assert submit(warm, answers(questions=names[20:]))["processed"] == 0
	assert queries.total <= 8


def test_a_read_without_redis_costs_no_more_queries_the_more_is_due(player, season):
	frappe.db.set_value("Game Subscription Season", season, "enable_redis", 0)
	frappe.db.commit()
	costs = []
	for how_many in (25, 200):
		make_records(player, question_ids=[f"q-{i}" for i in range(how_many)])
		with counted() as queries:
			reviews.read_reviews(player, None, 20)
		costs.append(queries.total)
	assert costs[0] == costs[1] <= 6


def test_a_repeat_costs_no_commit(warm):
	submit(warm, answers(20), "s-1")
	with counted() as queries:
		assert submit(warm, answers(20), "s-1")["status"] == "already_processed"
	assert queries.commits == 0


def test_a_refused_submission_costs_no_commit(player, season):
	make_season()
	frappe.db.set_value("Game Subscription Season", season, "is_active", 0)
	frappe.db.commit()
	with counted() as queries, pytest.raises(frappe.ValidationError):
		submit(player, answers(1))
	assert (queries.commits, queries.begins) == (0, 0)
