"""Journal, memory and cache follow a model, whatever happens in whatever order."""

import os

import frappe
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from memora.services.cache import loading, server
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import factories
from tests.integration.cleaning import srs_redis
from tests.integration.stateful_machine import Machine
from tests.integration.stateful_model import closed_port

EXAMPLES = int(os.environ.get("MEMORA_STATEFUL_EXAMPLES", "80"))  # about 20 s
STEPS = 25


def test_journal_memory_and_cache_follow_the_model(season):
	settled = settings(
		max_examples=EXAMPLES,
		stateful_step_count=STEPS,
		deadline=None,  # a step waits for MariaDB
		suppress_health_check=list(HealthCheck),
	)
	open_seconds = SRSRedisManager().schedules.gateway.server.breaker.open_seconds
	factories.set_limits(user_seconds=0, requests_per_minute=100_000)
	try:
		run_state_machine_as_test(Machine, settings=settled)
	finally:
		server.server_of.cache_clear()
		SRSRedisManager().schedules.gateway.server.breaker.open_seconds = open_seconds


def test_a_schedule_that_redis_evicted_is_loaded_again(player, season):
	"""Eviction takes the sorted set and leaves the marker, which is a key of its own."""
	factories.make_records(player, 3)
	manager = SRSRedisManager()
	loading.load_due(manager.schedules, player, season)
	srs_redis().delete(f"srs:{player}:{season}")
	assert len(reviews.read_reviews(player)["questions"]) == 3


def test_an_answer_that_redis_missed_is_scheduled_after_the_process_has_gone(player, season):
	"""Redis is gone for a while; the web process that could not write is restarted before it is back."""
	first, second = factories.bank_questions()[:2]
	submissions.submit(player, [Response(first, 4)])
	manager = SRSRedisManager()
	loading.load_due(manager.schedules, player, season)
	client = manager.schedules.gateway.server.client
	pool, client.connection_pool = client.connection_pool, closed_port()
	try:
		assert submissions.submit(player, [Response(second, 4)])["is_degraded"]
	finally:
		client.connection_pool = pool
		server.server_of.cache_clear()  # as a new process begins
	frappe.db.rollback()
	reviews.read_reviews(player)
	assert SRSRedisManager().schedules.read_all(player, season).keys() == {first, second}
