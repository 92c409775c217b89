"""The seeds' door to schedules in Redis; the rooms behind it are cache/schedules and cache/loading."""

from typing import Any

from redis import Redis

from memora.services.cache import connections, loading, rebuild
from memora.services.cache.breaker import Unavailable
from memora.services.cache.schedules import Schedules, ScheduleSize
from memora.services.learning.learners import identify
from memora.services.store import question_status


class SRSRedisManager:
	"""Manages Redis Sorted Sets for SRS scheduling.

	Methods that return a bool never raise because of Redis: False means that Redis did not do what was asked. The other
	methods raise Unavailable when Redis can't be asked, unless they say otherwise. All raise UnknownLearner for nobody. `user` is a learner's e-mail or id. Dates are
	Unix epochs in seconds. `ttl` is in seconds and defaults to `cache_ttl_days` of Memora Settings.
	"""

	DEFAULT_TTL = 30 * 24 * 60 * 60  # 30 days, which is what Memora Settings start with
	DEFAULT_REDIS_URL = connections.DEFAULT_REDIS_URL

	def __init__(self) -> None:
		self.schedules = Schedules()

	@property
	def redis(self) -> Redis:
		"""The client of the schedules' Redis, for commands of a caller's own, which no breaker guards.

		Raises redis.RedisError while Redis can't be reached. What is changed in a schedule this way, Memora does not notice.
		"""
		return self._get_redis_connection()

	def _get_redis_connection(self) -> Redis:
		return self.schedules.gateway.server.client

	def _make_key(self, user: str, season: str) -> str:
		return self.schedules.keys.schedule(identify(user), season)

	def is_available(self) -> bool:
		"""Says whether Redis takes writes. While Redis takes none, it is asked at most once per breaker period."""
		return self.schedules.is_available()

	def add_item(
		self, user: str, season: str, question_id: str, next_review_ts: float, ttl: int | None = None
	) -> bool:
		"""Adds or updates the date of one question."""
		return self.schedules.add(identify(user), season, {question_id: next_review_ts}, ttl)

	def add_batch(self, user: str, season: str, items: dict[str, float], ttl: int | None = None) -> bool:
		"""Adds or updates the dates of questions, {question_id: next_review_ts}.

		This does not make a schedule whole: the next read merges what MariaDB holds into it.
		"""
		return self.schedules.add(identify(user), season, items, ttl)

	def remove_item(self, user: str, season: str, question_id: str) -> bool:
		"""Removes one question from a schedule. True also if the question was not there."""
		return self.schedules.remove(identify(user), season, question_id)

	def clear_user_cache(self, user: str, season: str) -> bool:
		"""Drops a learner's schedule; her next read loads it from MariaDB."""
		return self.schedules.clear_learner(identify(user), season)

	def clear_season_cache(self, season: str) -> bool:
		"""Drops the schedules of all learners in a season. Walks through the keys without blocking Redis."""
		return self.schedules.clear_season(season)

	def get_due_items(self, user: str, season: str, limit: int = 20) -> list[str]:
		"""Returns the question ids that Redis has due now, oldest first; none when Redis can't be asked."""
		try:
			changes = question_status.get_changes(question_status.get_version())
			return self.schedules.read_due(identify(user), season, limit, changes)["question_ids"]
		except Unavailable:
			return []

	def get_due_items_with_rehydration(
		self, user: str, season: str, limit: int = 20
	) -> tuple[list[str], bool]:
		"""Returns the question ids due now, oldest first, and whether the schedule had to be loaded from MariaDB."""
		due, was_rehydrated = loading.load_due(self.schedules, identify(user), season, limit)
		return due.question_ids, was_rehydrated

	def get_cache_stats(self, user: str, season: str) -> ScheduleSize:
		"""Returns the size of a learner's schedule: {total_items, due_items, memory_usage_bytes}."""
		return self.schedules.measure(identify(user), season)


def rebuild_season_cache(season_name: str, batch_size: int = 1000) -> dict[str, Any]:
	"""Loads the schedules of all learners of a season into Redis; see cache/rebuild.rebuild_cache."""
	return rebuild.rebuild_cache(season_name, batch_size)
