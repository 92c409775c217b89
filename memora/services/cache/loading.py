"""Loads schedules from MariaDB into Redis, and compares the two.

A load first claims the schedule: it writes a token into the marker. The load is kept only if the token is
still there when the rows have been read. An answer that arrives meanwhile removes the token, so rows from
before that answer are never kept.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import frappe
import redis

from memora.exceptions import DatabaseUnavailable
from memora.services import site_time
from memora.services.cache import outdated as outdated_drops
from memora.services.cache import scripts
from memora.services.cache.schedules import DueItems, Schedules, flat, lifetime_seconds, parts
from memora.services.cache.scripts import Call
from memora.services.store import database, outdated_schedules, question_status, tracker, whole_schedules
from memora.services.store.question_status import NO_CHANGES, Changes

MOST_CAUGHT_UP = 200  # changes of what is asked; with more the schedule is loaded again
MOST_LOADS = 16  # schedules that a site's learners load at the same time, on all hosts together
LOADING_TTL_SECONDS = 30  # how long a load that died keeps others from loading


class Due(NamedTuple):
	"""The questions due, oldest first, up to the limit asked for; and how many are due in all."""

	question_ids: list[str]
	total: int


class Comparison(NamedTuple):
	"""A learner's schedule, {question_id: next_review_ts}, as Redis has it and as MariaDB has it."""

	cached: dict[str, float]
	stored: dict[str, float]


def load_due(
	schedules: Schedules,
	learner: str,
	season: str,
	limit: int = 20,
	version: int | None = None,
	outdated: str | None = None,
) -> tuple[Due, bool]:
	"""Returns what is due now, and whether the schedule had to be loaded from MariaDB first.

	`version` is the version of what is asked, and `outdated` the token of the note that her schedule is outdated ('' if there
	is none), if the caller has just read them. Loads that are under way together are bounded: beyond that what is due is read
	from MariaDB, and not kept. Raises Unavailable.
	"""
	token = outdated_schedules.get_token(learner, season) if outdated is None else outdated
	if database.only_reads():
		return _due_without_keeping(schedules, learner, season, limit, bool(token)), False
	if token:
		outdated_drops.drop(schedules, learner, season, token)
	changes = question_status.get_changes(question_status.get_version() if version is None else version)
	due = schedules.read_due(learner, season, limit, changes)
	is_present = due["version"] >= changes.version
	if due["is_loaded"] and not is_present and _catch_up(schedules, learner, season, due, changes):
		due = schedules.read_due(learner, season, limit, changes)
		is_present = due["version"] >= changes.version
	if due["is_loaded"] and is_present:
		return Due(due["question_ids"], due["total_due"]), False
	scores = _load_in_turn(schedules, learner, season, is_forced=due["is_loaded"])
	if scores is None:
		return _due_in_database(learner, season, limit), False
	now = site_time.epoch_now()
	ids = sorted((q for q, score in scores.items() if score <= now), key=lambda q: (scores[q], q))
	return Due(ids[:limit], len(ids)), True


def _load_in_turn(
	schedules: Schedules, learner: str, season: str, is_forced: bool
) -> dict[str, float] | None:
	"""Loads her schedule as rehydrate does; returns None if others load it or too many, or if MariaDB gives no locks."""
	try:
		with database.brief_lock(f"load {int(learner, 16) % MOST_LOADS}", wait_seconds=0) as is_free:
			return rehydrate(schedules, learner, season, is_forced) if is_free else None
	except DatabaseUnavailable:
		frappe.clear_messages()
		return None


def _due_without_keeping(
	schedules: Schedules, learner: str, season: str, limit: int, is_outdated: bool
) -> Due:
	"""Returns what is due now. Neither changes nor loads a schedule: MariaDB's rows may be those of a replica that lags."""
	due = schedules.read_due(learner, season, limit, NO_CHANGES)
	if due["is_loaded"] and not is_outdated:
		return Due(due["question_ids"], due["total_due"])
	return _due_in_database(learner, season, limit)


def _due_in_database(learner: str, season: str, limit: int) -> Due:
	"""Reads what is due from MariaDB, for a request that finds others loading this schedule, or too many schedules."""
	records, total = tracker.get_due(learner, season, site_time.naive_now(), limit)
	return Due([r.question_id for r in records], total)


def _catch_up(schedules: Schedules, learner: str, season: str, due: DueItems, changes: Changes) -> bool:
	"""Brings a whole schedule to the version of `changes`; says whether that was possible without loading it.

	Reads the learner's records of the questions that are asked again, and no others. Raises Unavailable.
	"""
	entries = changes.since(due["version"])
	if entries is None or len(entries) > MOST_CAUGHT_UP:
		return False
	withdrawn = [question_id for _version, question_id, is_live in entries if not is_live]
	live = {question_id for _version, question_id, is_live in entries if is_live}
	records = tracker.get_records(learner, season, live) if live else {}
	items = {q: site_time.to_epoch(r.next_review_date) for q, r in records.items() if q in live}
	return schedules.catch_up(learner, season, due, changes.version, withdrawn, items)


def rehydrate(
	schedules: Schedules, learner: str, season: str, is_forced: bool = False
) -> dict[str, float] | None:
	"""Loads a learner's schedule from MariaDB and returns it as {question_id: next_review_ts}.

	Returns None, without a look at MariaDB, if the schedule is whole already or another process is loading the schedule; if
	the load is forced, it is done all the same. The result is right even if an answer of hers is stored meanwhile. Redis
	then does not keep the schedule, nor where database.only_reads says so, and her next read loads it again. Ends the
	current transaction's view of the past. Raises Unavailable.
	"""
	if database.only_reads():
		return _read_scores(learner, season)[1]
	keys, token = schedules.keys.pair(learner, season), f"loading:{uuid4()}"

	def begin(client: redis.Redis) -> str:
		claim = [schedules.gateway.epoch(client), token, LOADING_TTL_SECONDS, int(is_forced)]
		return scripts.run_script(client, scripts.BEGIN_LOAD, keys, claim)

	generation = schedules.gateway.ask(begin, keys)
	if not generation:
		return None
	version, scores = _read_scores(learner, season)
	# under the generation of the claim: the rows may lack a write that was missed since the claim
	arguments = [generation, token, lifetime_seconds(), version, *flat(scores)]
	schedules.gateway.try_write(
		lambda client: scripts.run_script(client, scripts.FINISH_LOAD, keys, arguments), keys
	)
	return scores


def _read_scores(learner: str, season: str) -> tuple[int, dict[str, float]]:
	"""Returns (content version, {question_id: next_review_ts}), as of one moment."""
	database.new_snapshot()
	zone = site_time.site_zone()
	version = question_status.get_version()
	dates = tracker.get_dates(learner, season)
	return version, {q: site_time.to_epoch(due, zone) for q, due in dates.items()}


def reload(schedules: Schedules, season: str, learners: Sequence[str]) -> tuple[int, int]:
	"""Loads these learners' schedules again, whatever Redis holds. Returns (records read, schedules stored).

	The schedule of a learner who answers meanwhile is not stored; her next read loads it. Raises Unavailable.
	"""
	token, keys = f"loading:{uuid4()}", [schedules.keys.pair(learner, season) for learner in learners]

	def begin(client: redis.Redis) -> list[str]:
		claim = [schedules.gateway.epoch(client), token, LOADING_TTL_SECONDS, 1]
		return scripts.run_scripts(client, [Call(scripts.BEGIN_LOAD, pair, claim) for pair in keys])

	generations = schedules.gateway.ask(begin)
	version, found = _read_schedules(season, learners)
	calls = [
		Call(
			scripts.FINISH_LOAD, pair, [generation, token, lifetime_seconds(), version, *flat(found[learner])]
		)
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
	cached, versions = {}, {}
	for learner, (history, marker, items) in zip(learners, answers, strict=True):
		generation, version, _is_empty = parts(marker)
		if generation == f"{history}.{epoch}":
			cached[learner] = {q: float(score) for q, score in zip(items[::2], items[1::2], strict=True)}
			versions[learner] = version
	version, stored = _read_schedules(season, list(cached))
	changes = question_status.get_changes(version)
	return {
		learner: Comparison(_without(items, changed), _without(stored[learner], changed))
		for learner, items in cached.items()
		if (changed := changes.since(versions[learner])) is not None
	}


def _without(scores: dict[str, float], changed: list[tuple[int, str, bool]]) -> dict[str, float]:
	"""Returns a schedule without what the learner's next read brings up to date."""
	names = {question_id for _version, question_id, _is_live in changed}
	return {q: score for q, score in scores.items() if q not in names}


def _read_schedules(season: str, learners: Sequence[str]) -> tuple[int, dict[str, dict[str, float]]]:
	"""Returns (content version, {learner: {question_id: next_review_ts}}), as of one moment."""
	database.new_snapshot()
	zone = site_time.site_zone()
	return question_status.get_version(), {
		learner: {q: site_time.text_to_epoch(due, zone) for q, due in dates.items()}
		for learner, dates in whole_schedules.get_schedules(season, learners).items()
	}
