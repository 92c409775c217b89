"""Loads schedules from MariaDB into Redis, and compares the two.

A load first claims the schedule: it writes a token into the marker. The load is kept only if the token is
still there when the rows have been read. An answer that arrives meanwhile removes the token, so rows from
before that answer are never kept.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from memora.services import site_time
from memora.services.cache import scripts
from memora.services.cache.schedules import DueItems, Schedules, flat, lifetime_seconds
from memora.services.cache.scripts import Call
from memora.services.store import database, tracker, whole_schedules

LOADING_TTL_SECONDS = 30  # how long a load that died keeps others from loading


class Comparison(NamedTuple):
	"""A learner's schedule, {question_id: next_review_ts}, as Redis has it and as MariaDB has it."""

	cached: dict[str, float]
	stored: dict[str, float]


def load_due(schedules: Schedules, learner: str, season: str, limit: int = 20) -> tuple[DueItems, bool]:
	"""Returns what is due now, and whether the schedule had to be loaded from MariaDB first.

	Raises Unavailable.
	"""
	due = schedules.read_due(learner, season, limit)
	if due["is_loaded"]:
		return due, False
	scores = rehydrate(schedules, learner, season)
	if scores is None:
		return _due_in_database(learner, season, limit), False
	now = time.time()
	ids = sorted((q for q, score in scores.items() if score <= now), key=lambda q: (scores[q], q))
	return DueItems(question_ids=ids[:limit], total_due=len(ids), is_loaded=True), True


def _due_in_database(learner: str, season: str, limit: int) -> DueItems:
	"""Reads what is due from MariaDB, for a request that finds another process loading the schedule."""
	records, total = tracker.get_due(learner, season, site_time.naive_now(), limit)
	return DueItems(question_ids=[r.question_id for r in records], total_due=total, is_loaded=True)


def rehydrate(schedules: Schedules, learner: str, season: str) -> dict[str, float] | None:
	"""Loads a learner's schedule from MariaDB and returns it as {question_id: next_review_ts}.

	Returns None, without a look at MariaDB, if the schedule is whole already or another process is loading
	the schedule. The result is right even if an answer of hers is stored meanwhile. Redis then does not keep
	the schedule, and her next read loads it again. Ends the current transaction's view of the past. Raises
	Unavailable.
	"""
	keys, token = schedules.keys.pair(learner, season), f"loading:{uuid4()}"

	def begin(client: redis.Redis) -> str:
		claim = [schedules.gateway.epoch(client), token, LOADING_TTL_SECONDS, 0]
		return scripts.run_script(client, scripts.BEGIN_LOAD, keys, claim)

	generation = schedules.gateway.ask(begin, keys)
	if not generation:
		return None
	scores = _read_scores(learner, season)
	# under the generation of the claim: the rows may lack a write that was missed since the claim
	arguments = [generation, token, lifetime_seconds(), *flat(scores)]
	schedules.gateway.try_write(
		lambda client: scripts.run_script(client, scripts.FINISH_LOAD, keys, arguments), keys
	)
	return scores


def _read_scores(learner: str, season: str) -> dict[str, float]:
	database.new_snapshot()
	zone = site_time.site_zone()
	records = tracker.get_all_records(learner, season)
	return {q: site_time.to_epoch(r.next_review_date, zone) for q, r in records.items()}


def reload(schedules: Schedules, season: str, learners: Sequence[str]) -> tuple[int, int]:
	"""Loads these learners' schedules again, whatever Redis holds. Returns (records read, schedules stored).

	The schedule of a learner who answers meanwhile is not stored; her next read loads it. Raises Unavailable.
	"""
	token, keys = f"loading:{uuid4()}", [schedules.keys.pair(learner, season) for learner in learners]

	def begin(client: redis.Redis) -> list[str]:
		claim = [schedules.gateway.epoch(client), token, LOADING_TTL_SECONDS, 1]
		return scripts.run_scripts(client, [Call(scripts.BEGIN_LOAD, pair, claim) for pair in keys])

	generations = schedules.gateway.ask(begin)
	found = _read_schedules(season, learners)
	calls = [
		Call(scripts.FINISH_LOAD, pair, [generation, token, lifetime_seconds(), *flat(found[learner])])
		for learner, pair, generation in zip(learners, keys, generations, strict=True)
	]
	stored = schedules.gateway.ask(lambda client: scripts.run_scripts(client, calls))
	return sum(map(len, found.values())), sum(stored)


def compare(schedules: Schedules, season: str, learners: Sequence[str]) -> dict[str, Comparison]:
	"""Returns {learner: Comparison} for those learners whose schedule Redis claims to hold whole.

	Redis is read first, so a difference may be an answer that came between the two reads. Raises Unavailable.
	"""
	calls = [Call(scripts.READ_ALL, schedules.keys.pair(learner, season)) for learner in learners]
	calls.append(schedules.gateway.epoch_call())

	def read(client: redis.Redis) -> list[Any]:
		*answers, epoch = scripts.run_scripts(client, calls)
		return [*answers, schedules.gateway.accept_epoch(epoch)]

	*answers, epoch = schedules.gateway.ask(read)
	cached = {
		learner: {q: float(score) for q, score in zip(items[::2], items[1::2], strict=True)}
		for learner, (history, marker, items) in zip(learners, answers, strict=True)
		if marker in (f"{history}.{epoch}", f"{history}.{epoch}:empty")
	}
	stored = _read_schedules(season, list(cached))
	return {learner: Comparison(items, stored[learner]) for learner, items in cached.items()}


def _read_schedules(season: str, learners: Sequence[str]) -> dict[str, dict[str, float]]:
	database.new_snapshot()
	zone = site_time.site_zone()
	return {
		learner: {q: site_time.text_to_epoch(due, zone) for q, due in dates.items()}
		for learner, dates in whole_schedules.get_schedules(season, learners).items()
	}
