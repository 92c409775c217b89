"""Which keys in Redis are a site's schedules, and whose."""

import pytest

from memora.services.cache.keys import ScheduleKeys

LEARNER, OTHERS_ID = "0123456789abcdef", "fedcba9876543210"
SEASON = "2026: a/b *?"


@pytest.fixture(params=[None, "school a", "srs"])
def keys(request) -> ScheduleKeys:
	return ScheduleKeys(request.param)


def test_the_keys_of_a_schedule_tell_its_season_and_no_other(keys):
	schedule, marker = keys.pair(LEARNER, SEASON)
	assert keys.season_of(schedule) == SEASON
	assert keys.season_of(marker) is None
	for key in (schedule, marker):
		assert keys.is_of_season(key, SEASON)
		assert not keys.is_of_season(key, "2026")
	for key in (keys.generation, keys.owner, f"other:{schedule}", f"{schedule}:more"):
		assert keys.season_of(key) is None and not keys.is_of_season(key, SEASON)


def test_keys_that_name_their_learner_otherwise_than_by_id(keys):
	by_address = keys.pair("anna@school.example", SEASON)
	assert [keys.is_of_user(key) for key in by_address] == [True, True]
	own = [*keys.pair(LEARNER, SEASON), *keys.pair(OTHERS_ID, SEASON), keys.generation, keys.owner]
	assert not any(map(keys.is_of_user, own))
	others = [
		f"other:{by_address[0]}",
		"{other:" + by_address[1].removeprefix("{"),
		"rq:queue:x:y",
		"srs",
		"",
	]
	assert not any(map(keys.is_of_user, others))


def test_sites_that_share_a_redis_know_their_own_keys_alone():
	sites = [ScheduleKeys(namespace) for namespace in ("a", "b", "a:srs", None)]
	for site in sites:
		for other in (other for other in sites if other is not site):
			assert not any(site.is_of_user(key) for key in other.pair("anna@school.example", SEASON))
			assert not any(site.is_of_season(key, SEASON) for key in other.pair(LEARNER, SEASON))
