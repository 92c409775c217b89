"""Counts the keys that the schedules' Redis holds, and the memory it uses."""

from collections import Counter
from typing import NamedTuple, cast

import redis

from memora.services.cache import connections, rights
from memora.services.cache.keys import ScheduleKeys
from memora.services.cache.schedules import SCAN_KEYS, Schedules

SURVEY_KEYS = 50_000  # looked at in all, to count schedules by season


class Survey(NamedTuple):
	"""Memory and schedules of all servers that hold schedules, summed up.

	`schedules` counts schedules by season. The counts are estimates if not all keys were looked at
	(`is_exact` is false). There are none if Redis refuses to tell its keys.
	"""

	memory_bytes: int
	schedules: dict[str, int]
	sampled_keys: int
	is_exact: bool


def survey_keys(schedules: Schedules) -> Survey:
	"""Looks at about SURVEY_KEYS keys at most; on a cluster, at keys of each primary. Raises Unavailable."""

	def read(client: redis.Redis) -> list[Survey]:
		servers = connections.primaries(client)
		most_keys = SURVEY_KEYS // len(servers)
		return [_survey_server(server, schedules.keys, most_keys) for server in servers]

	memory, counts, sampled, is_exact = zip(*schedules.gateway.ask(read), strict=True)
	seasons = dict(sorted(sum(counts, Counter()).items()))
	return Survey(sum(memory), seasons, sum(sampled), all(is_exact))


def _survey_server(server: redis.Redis, keys: ScheduleKeys, most_keys: int) -> Survey:
	# the annotations of redis-py also cover its asynchronous client
	memory = cast("dict[str, int]", server.info("memory"))["used_memory"]
	counted = rights.unless_refused(lambda: _count_keys(server, keys, most_keys))
	return Survey(memory, *(counted or (Counter(), 0, False)))


def _count_keys(server: redis.Redis, keys: ScheduleKeys, most_keys: int) -> tuple[Counter[str], int, bool]:
	"""Returns schedules by season, how many keys were looked at, and whether these were all."""
	total = cast(int, server.dbsize())
	seasons: Counter[str] = Counter()
	sampled = cursor = 0
	while True:
		cursor, found = cast("tuple[int, list[str]]", server.scan(cursor, count=SCAN_KEYS))
		sampled += len(found)
		seasons.update(season for key in found if (season := keys.season_of(key)))
		if not cursor or sampled >= most_keys:
			break
	share = sampled / max(total, sampled, 1) if cursor else 1
	counts = Counter({season: round(count / share) for season, count in seasons.items()})
	return counts, sampled, not cursor


def get_memory_use(schedules: Schedules) -> tuple[int, int]:
	"""Returns (bytes used, bytes available) of the schedules' Redis; on a cluster, of its fullest primary.

	The bytes available are `maxmemory`, or the memory of the host if `maxmemory` is not set. Raises
	Unavailable.
	"""
	servers = schedules.gateway.ask(lambda client: [s.info("memory") for s in connections.primaries(client)])
	pairs = [(found["used_memory"], found["maxmemory"] or found["total_system_memory"]) for found in servers]
	return max(pairs, key=lambda pair: pair[0] / pair[1])
