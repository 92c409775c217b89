"""What an administrator asks of the cache."""

from typing_extensions import TypedDict

from memora.services.circuit_breaker import Unavailable
from memora.services.srs_redis_manager import SRSRedisManager

MB = 1024**2


class CacheStatus(TypedDict):
	"""`keys_by_season` counts schedules, an estimate from `sampled_keys` where `is_exact` is false."""

	redis_connected: bool
	is_safe_mode: bool
	memory_used_mb: float | None
	total_keys: int | None
	keys_by_season: dict[str, int]
	is_exact: bool
	sampled_keys: int | None


def get() -> CacheStatus:
	"""See api.srs.get_cache_status."""
	try:
		survey = SRSRedisManager().survey()
	except Unavailable:
		nothing = dict.fromkeys(("memory_used_mb", "total_keys", "sampled_keys"))
		return {
			"redis_connected": False,
			"is_safe_mode": True,
			**nothing,
			"keys_by_season": {},
			"is_exact": False,
		}
	return {
		"redis_connected": True,
		"is_safe_mode": False,
		"memory_used_mb": round(survey.memory_bytes / MB, 1),
		"total_keys": survey.total_keys,
		"keys_by_season": survey.schedules,
		"is_exact": survey.is_exact,
		"sampled_keys": survey.sampled_keys,
	}
