"""What administrators read of the cache, by what was counted."""

import pytest

from memora.services.cache import status, survey
from memora.services.cache.survey import Survey


@pytest.mark.parametrize(
	("found", "memory_used_mb", "total_keys", "sampled_keys"),
	[
		(Survey(0, {}, 0, True), 0.0, 0, 0),
		(Survey(12_845_056, {"a": 3, "b": 4}, 9, True), 12.2, 7, 9),
		(Survey(2**40, {"a": 30}, 10, False), 2.0**20, 30, 10),
		(Survey(2**20, {}, 0, False), 1.0, None, None),  # Redis refuses to tell its keys
	],
)
def test_what_is_not_counted_is_not_told(found, memory_used_mb, total_keys, sampled_keys, monkeypatch):
	monkeypatch.setattr(status, "Schedules", lambda: None)
	monkeypatch.setattr(survey, "survey_keys", lambda schedules: found)
	assert status.get_cache_status() == {
		"redis_connected": True,
		"is_safe_mode": False,
		"memory_used_mb": memory_used_mb,
		"total_keys": total_keys,
		"keys_by_season": found.schedules,
		"is_exact": found.is_exact,
		"sampled_keys": sampled_keys,
	}
