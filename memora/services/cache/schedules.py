"""Learners' schedules in Redis. A schedule holds one learner's dates in one season.

The key layout, and when a schedule is believed, are described in keys; how a schedule gets into Redis is in
loading.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import Any, TypedDict

import redis

from memora.services import site_time
from memora.services.cache import rights, scripts
from memora.services.cache.gateway import Gateway
from memora.services.cache.scripts import Call
from memora.services.settings import get_settings
from memora.services.store.question_status import Changes
from memora.services.store.row_names import is_learner_id

SCAN_KEYS = 1000  # looked at in one round trip
MARKER = re.compile(r"([^#]+)#(\d+)(:empty)?")
SECONDS_PER_DAY = 24 * 60 * 60


Owned = tuple[str, str]  # (learner, season): whose schedule it is


class ScheduleSize(TypedDict):
	"""The size of one learner's schedule. `total_items` and `due_items` count questions."""

	total_items: int
	due_items: int
	memory_usage_bytes: int


class DueItems(TypedDict):
	"""The questions that are due, as a schedule says.

	`question_ids` come oldest due first; `total_due` counts all that are due, beyond the limit, too.
	`is_loaded` says whether the schedule is whole. If the schedule is not whole, the other values mean
	nothing. `generation` and `version` are what its marker says.
	"""

	question_ids: list[str]
	total_due: int
	is_loaded: bool
	generation: str
	version: int


class Schedules:
	"""Reads and writes schedules.

	Methods that return a bool never raise because of Redis: False means that Redis did not do what was asked.
	Methods that read raise Unavailable when Redis can't be asked. Dates are Unix epochs in seconds; `ttl` is
	in seconds and defaults to `cache_ttl_days` of Memora Settings.
	"""

	def __init__(self) -> None:
		self.gateway = Gateway()
		self.keys = self.gateway.keys

	def is_available(self) -> bool:
		"""Says whether Redis takes writes; see Gateway.is_available."""
		return self.gateway.is_available()

	@property
	def is_trusted(self) -> bool:
		"""Says whether Redis took this process's last command. Asks nobody."""
		return self.gateway.server.breaker.is_closed

	# Writes

	def add(self, learner: str, season: str, items: dict[str, float], ttl: int | None = None) -> bool:
		"""Adds or updates the dates of questions, {question_id: next_review_ts}.

		A schedule that is not whole stays so: the next read adds the dates that MariaDB holds.
		"""
		if not items:
			return True
		keys, arguments = self.keys.pair(learner, season), [lifetime_seconds(ttl), *flat(items)]
		return self.gateway.try_write(
			lambda client: scripts.run_script(client, scripts.ADD, keys, arguments), keys, [(learner, season)]
		)

	def reschedule(
		self,
		learner: str,
		season: str,
		items: dict[str, float],
		version: int,
		is_folded_later: bool = False,
	) -> bool:
		"""Applies the dates that follow from a learner's answers, {question_id: next_review_ts}.

		Call this after the answers are committed. `version` is the content version in which the questions are asked. Takes
		one round trip. A schedule that was not whole, or is of a later version, is dropped.
		"""
		keys = self.keys.pair(learner, season)

		def apply(client: redis.Redis) -> None:
			arguments = [self.gateway.epoch(client), lifetime_seconds(), version, *flat(items)]
			scripts.run_script(client, scripts.RESCHEDULE, keys, arguments)

		return self.gateway.try_write(apply, keys, [(learner, season)], is_folded_later)

	def move(self, season: str, items: dict[str, dict[str, float]]) -> bool:
		"""Gives the questions of schedules other dates, {learner: {question_id: next_review_ts}}, in one round trip.

		Call this after the dates are committed, under the learners' locks. Adds no question to a schedule. A schedule that was
		not whole is dropped.
		"""

		def apply(client: redis.Redis) -> None:
			epoch = self.gateway.epoch(client)
			calls = [
				Call(scripts.MOVE, self.keys.pair(learner, season), [epoch, *flat(scores)])
				for learner, scores in items.items()
			]
			scripts.run_scripts(client, calls)

		return self.gateway.try_write(apply, missed=[(learner, season) for learner in items])

	def drop_outdated(
		self, items: dict[Owned, dict[str, float]], truth: Callable[[Owned], dict[str, float]]
	) -> bool:
		"""Drops those schedules that lack one of these dates, {(learner, season): {question_id: next_review_ts}}.

		Newer answers may have replaced the dates meanwhile. So where a date is missing, `truth` is asked for the present
		dates. A schedule is dropped only if a present date is missing. Takes one round trip while nothing is missing.
		"""

		def find(client: redis.Redis, dates: dict[Owned, dict[str, float]]) -> list[Owned]:
			calls = [
				Call(scripts.IS_OUTDATED, self.keys.pair(*of), flat(scores)) for of, scores in dates.items()
			]
			return [
				of
				for of, is_outdated in zip(dates, scripts.run_scripts(client, calls), strict=True)
				if is_outdated
			]

		def check(client: redis.Redis) -> None:
			outdated = find(client, {of: truth(of) for of in find(client, items)})
			unlink(client, chain.from_iterable(self.keys.pair(*of) for of in outdated))

		return self.gateway.try_write(check)

	def remove(self, learner: str, season: str, question_id: str) -> bool:
		"""Removes one question from the schedule; returns True also if the question was not there."""
		keys = self.keys.pair(learner, season)
		return self.gateway.try_write(
			lambda client: client.zrem(keys[0], question_id), keys, [(learner, season)]
		)

	def clear_learner(self, learner: str, season: str) -> bool:
		"""Drops a learner's schedule; her next read loads it from MariaDB. A schedule under an address, as once, is nobody's."""
		keys = self.keys.pair(learner, season)
		missed = [(learner, season)] if is_learner_id(learner) else []
		return self.gateway.try_write(lambda client: client.delete(*keys), missed=missed)

	def drop_pairs(self, pairs: Sequence[Sequence[str]]) -> bool:
		"""Drops schedules by their [schedule, marker]."""
		return self.gateway.try_write(lambda client: unlink(client, chain.from_iterable(pairs)))

	def clear_season(self, season: str) -> bool:
		"""Drops the schedules of all learners in a season. Walks through the keys without blocking Redis.

		Takes two round trips for SCAN_KEYS keys of Redis.
		"""

		def clear(client: redis.Redis) -> None:
			found = client.scan_iter(match=self.keys.pattern_of_season(season), count=SCAN_KEYS)
			unlink(client, (key for key in found if self.keys.is_of_season(key, season)))

		return self.gateway.try_write(clear)

	def clear_of_users(self) -> bool:
		"""Drops schedules from before learners had ids. Walks through all keys without blocking Redis."""

		def clear(client: redis.Redis) -> None:
			found = client.scan_iter(match=self.keys.pattern, count=SCAN_KEYS)
			unlink(client, filter(self.keys.is_of_user, found))

		return self.gateway.try_write(clear)

	# Reads

	def read_due(self, learner: str, season: str, limit: int, changes: Changes) -> DueItems:
		"""Returns what is due now, in one round trip. Renews the schedule's lifetime.

		`changes` are those of what is asked, up to now. What was withdrawn lately is taken out of the schedule first.
		"""
		keys = self.keys.pair(learner, season)
		first, withdrawn = changes.withdrawals
		arguments = [site_time.epoch_now(), limit, lifetime_seconds(), first, changes.version, *withdrawn]
		calls = [
			Call(scripts.READ_DUE, keys, arguments),
			self.gateway.epoch_call(),
		]

		def read(client: redis.Redis) -> tuple[list[Any], str]:
			found, epoch = scripts.run_scripts(client, calls)
			return found, self.gateway.accept_epoch(epoch)

		(history, marker, is_there, question_ids, total), epoch = self.gateway.ask(read, keys)
		present = f"{history}.{epoch}"
		generation, version, is_empty = parts(marker)
		is_loaded = generation == present and (is_empty or bool(is_there))
		return DueItems(
			question_ids=question_ids,
			total_due=total,
			is_loaded=is_loaded,
			generation=generation,
			version=version,
		)

	def catch_up(
		self,
		learner: str,
		season: str,
		due: DueItems,
		version: int,
		withdrawn: Sequence[str],
		items: dict[str, float],
	) -> bool:
		"""Brings a whole schedule to a content version; says whether Redis did it.

		`due` is what was read of it, `withdrawn` and `items`, {question_id: next_review_ts}, what has changed since.
		"""
		keys = self.keys.pair(learner, season)
		marker = [due["generation"], due["version"], version]
		arguments = [*marker, lifetime_seconds(), len(withdrawn), *withdrawn, *flat(items)]
		return bool(
			self.gateway.ask(
				lambda client: scripts.run_script(client, scripts.CATCH_UP, keys, arguments), keys
			)
		)

	def read_all(self, learner: str, season: str) -> dict[str, float]:
		"""Returns the dates that Redis has for a learner, {question_id: next_review_ts}, whole or not."""
		keys = self.keys.pair(learner, season)
		return dict(self.gateway.ask(lambda client: client.zrange(keys[0], 0, -1, withscores=True), keys))

	def count_due(self, learner: str, season: str) -> int:
		"""Returns how many questions are due now by the dates that Redis has, whole or not."""
		keys = self.keys.pair(learner, season)
		return self.gateway.ask(lambda client: client.zcount(keys[0], "-inf", site_time.epoch_now()), keys)

	def measure(self, learner: str, season: str) -> ScheduleSize:
		"""Returns the size of a learner's schedule; 0 bytes if Redis may not tell."""
		key, _marker = keys = self.keys.pair(learner, season)

		def read(client: redis.Redis) -> list[Any]:
			pipeline = client.pipeline(transaction=False)
			pipeline.zcard(key)
			pipeline.zcount(key, "-inf", site_time.epoch_now())
			return [*pipeline.execute(), rights.unless_refused(lambda: client.memory_usage(key))]

		total, due, size = self.gateway.ask(read, keys)
		return ScheduleSize(total_items=total, due_items=due, memory_usage_bytes=size or 0)


def unlink(client: redis.Redis, keys: Iterable[str]) -> None:
	"""Removes keys, SCAN_KEYS in a round trip. A command that names several keys would fail on a cluster."""
	rest = iter(keys)
	while batch := list(islice(rest, SCAN_KEYS)):
		pipeline = client.pipeline(transaction=False)
		for key in batch:
			pipeline.unlink(key)
		pipeline.execute()


def lifetime_seconds(ttl: int | None = None) -> int:
	"""Returns how long an unused schedule stays in Redis."""
	return int(ttl or get_settings().cache_ttl_days * SECONDS_PER_DAY)


def parts(marker: str) -> tuple[str, int, bool]:
	"""Returns (generation, content version, whether nothing is scheduled) of a marker; ("", -1, False) without a whole schedule."""
	found = MARKER.fullmatch(marker)
	return (found[1], int(found[2]), bool(found[3])) if found else ("", -1, False)


def flat(scores: dict[str, float]) -> list[Any]:
	"""Returns ZADD's arguments: score before member."""
	return [part for question_id, score in scores.items() for part in (score, question_id)]
