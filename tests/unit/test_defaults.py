"""The seeds' constants, in one place each."""

from memora.services.settings import Settings
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.srs_redis_manager import SRSRedisManager

SECONDS_A_DAY = 24 * 60 * 60


def test_the_cache_lifetime_of_the_settings_is_that_of_the_manager():
	assert SRSRedisManager.DEFAULT_TTL == 30 * SECONDS_A_DAY
	assert Settings().cache_ttl_days * SECONDS_A_DAY == SRSRedisManager.DEFAULT_TTL


def test_the_constants_of_the_seeds():
	assert SRSRedisManager.DEFAULT_REDIS_URL == "redis://localhost:13000"
	assert SRSPersistenceService.MAX_RETRIES == 3
	assert SRSPersistenceService.RETRY_DELAY_BASE == 1
	assert SRSPersistenceService.RETRY_DELAY_MAX == 60
	assert SRSPersistenceService.IDEMPOTENCY_WINDOW == 300


def test_the_settings_an_operator_starts_with():
	settings = Settings()
	assert (settings.day_start_hour, settings.desired_retention, settings.new_per_day) == (4, 0.9, 20)
