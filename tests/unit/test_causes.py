"""Why a Redis can't be used, in an operator's words; and who else owns the keys in it."""

import pytest
import redis
from redis.exceptions import MovedError

from memora.services import site_time
from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.causes import CAUSES, MISCONFIGURED, TIMED_OUT, cause
from memora.services.cache.ownership import LAPSE_SECONDS, KeysOfAnother, Owner

NOW = 1_700_000_000.0
OTHER = Owner("db", "server-1", "school.example", str(int(NOW)))


@pytest.mark.parametrize("said", CAUSES)
def test_what_redis_says_is_explained_and_quoted(said):
	assert cause(redis.ResponseError(f"ERR {said}…")).endswith(f": ERR {said}…")
	assert cause(redis.ResponseError(f"ERR {said}…")).startswith(CAUSES[said])


@pytest.mark.parametrize(
	("error", "told"),
	[
		(InvalidConfiguration("it must be a URL"), f"{MISCONFIGURED}: it must be a URL"),
		(redis.TimeoutError("Timeout reading from socket"), f"{TIMED_OUT}: Timeout reading from socket"),
		(TimeoutError("timed out"), f"{TIMED_OUT}: timed out"),
		(MovedError("7 h:1"), f"{CAUSES['MOVED ']}: MOVED 7 h:1"),
		(redis.ResponseError("MOVED 7 h:1"), f"{CAUSES['MOVED ']}: MOVED 7 h:1"),
		(redis.ResponseError("something new"), "something new"),
		(redis.ConnectionError(), "ConnectionError"),
		(KeysOfAnother(OTHER), f"its keys belong to {OTHER}"),
		# the command, which names a learner, is left out
		(redis.ResponseError("Command # 1 (GET srs:anna:x) of pipeline caused error: it broke"), "it broke"),
	],
)
def test_what_an_operator_reads(error, told):
	assert cause(error) == told


def test_an_owner_is_named_with_site_and_database():
	assert str(OTHER) == "site school.example (database db on server-1)"
	assert KeysOfAnother(OTHER).owner == OTHER


@pytest.mark.parametrize(
	("age", "has_lapsed"),
	[(0, False), (LAPSE_SECONDS, False), (LAPSE_SECONDS + 0.9, False), (LAPSE_SECONDS + 1, True)],
)
def test_a_claim_lapses_when_the_script_says_so_which_counts_whole_seconds(age, has_lapsed, monkeypatch):
	monkeypatch.setattr(site_time, "epoch_now", lambda: NOW + age)
	assert OTHER.has_lapsed == has_lapsed
