"""What an administrator asks of the cache."""

from typing import Any

from memora.services.circuit_breaker import Unavailable
from memora.services.srs_redis_manager import SRSRedisManager, Survey

MB = 1024**2


def get() -> dict[str, Any]:
	"""See api.srs.get_cache_status."""
	try:
		survey, is_connected = SRSRedisManager().survey(), True
	except Unavailable:
		survey, is_connected = Survey(0, 0, {}, 0, is_exact=False), False
	return {
		"redis_connected": is_connected,
		"is_safe_mode": not is_connected,
		"memory_used_mb": round(survey.memory_bytes / MB, 1),
		"total_keys": survey.total_keys,
		"keys_by_season": survey.schedules,
		"is_exact": survey.is_exact,
		"sampled_keys": survey.sampled_keys,
	}
