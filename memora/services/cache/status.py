"""The state of the cache, for administrators."""

from typing_extensions import TypedDict

from memora.services.cache import survey
from memora.services.cache.breaker import Unavailable
from memora.services.cache.schedules import Schedules

MB = 1024**2


class CacheStatus(TypedDict):
	"""The state of the schedules' Redis.

	`total_keys` and `keys_by_season` count schedules; the counts are estimates from `sampled_keys` if `is_exact` is false, and missing if Redis refuses to tell its keys.
	"""

	redis_connected: bool
	is_safe_mode: bool
	memory_used_mb: float | None
	total_keys: int | None
	keys_by_season: dict[str, int]
	is_exact: bool
	sampled_keys: int | None


def get_cache_status() -> CacheStatus:
	"""Returns the state of the schedules' Redis, also if Redis is not there; see api.srs.get_cache_status."""
	try:
		found = survey.survey_keys(Schedules())
	except Unavailable:
		return {
			"redis_connected": False,
			"is_safe_mode": True,
			"memory_used_mb": None,
			"total_keys": None,
			"keys_by_season": {},
			"is_exact": False,
			"sampled_keys": None,
		}
	is_counted = found.is_exact or found.sampled_keys
	return {
		"redis_connected": True,
		"is_safe_mode": False,
		"memory_used_mb": round(found.memory_bytes / MB, 1),
		"total_keys": sum(found.schedules.values()) if is_counted else None,
		"keys_by_season": found.schedules,
		"is_exact": found.is_exact,
		"sampled_keys": found.sampled_keys if is_counted else None,
	}
