"""Review schedules in Redis sorted sets: the only code that touches `srs:*` keys.

Keys, all of them optional and rebuilt from MariaDB when missing:

	srs:{user}:{season}            ZSET, member question_id, score Unix epoch of next_review_date
	{srs:{user}:{season}}:loaded   STRING, the marker: the generation in which the ZSET was loaded whole, with
	                               `:empty` behind it where nothing was to be loaded; `loading:<token>` while
	                               somebody loads it
	srs:generation                 STRING, counts the outages after which no ZSET is believed any more

User and season are percent-encoded, so that neither can reach another learner's key; the marker's
braces put it into the ZSET's slot of a Redis Cluster. ZSET and marker expire TTL seconds after their
last use. `srs_redis_namespace` in the site's configuration, for sites that share a Redis, stands before
all of them.

A generation is the server's run id and that count. So what a restarted server has read back from its files,
of yesterday maybe, is not believed, nor what it held while processes could not reach it. A ZSET is believed
only if it is there and its marker holds the present generation. Whoever changes a schedule does so
in one script with a look at the marker: a ZSET that is not whole is dropped instead of patched, and with
it the token of a load in flight, whose rows are then older than the change. So a loaded ZSET never misses
an answer, whatever the order in which loads and answers meet.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypedDict
from urllib.parse import quote, unquote
from uuid import uuid4

import frappe
import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.retry import Retry
from redis.utils import str_if_bytes

from memora.services import incidents, memory_store, site_time
from memora.services.circuit_breaker import CircuitBreaker, NotAsked, Unavailable, describe
from memora.services.settings import get_settings

CONNECT_TIMEOUT_SECONDS = 0.25
READ_TIMEOUT_SECONDS = 0.5
SCAN_KEYS = 1000  # looked at in one round trip
SURVEY_KEYS = 50_000  # looked at in all, to count them by season
LOADING_TTL_SECONDS = 30  # after which a load that died no longer keeps others from loading
RUN_ID_DIGITS = 12  # of 40, in a generation
GENERATION_SECONDS = 5  # how long a process may go on with the generation it has read

# Claims the loading of a schedule. A ZSET left from another generation goes.
# KEYS: zset, marker. ARGV: generation, token, seconds until the claim lapses, 1 if whatever is there shall go.
# Returns 1 if the caller shall load, 0 if the schedule is whole or somebody else loads it.
BEGIN_LOAD = """
local marker, is_forced = redis.call('GET', KEYS[2]), ARGV[4] == '1'
if not is_forced then
	if marker == ARGV[1] .. ':empty' or (marker and string.sub(marker, 1, 8) == 'loading:') then return 0 end
	if marker == ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
end
if marker or is_forced then redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
"""

# Stores a loaded schedule if the claim still holds.
# KEYS: zset, marker. ARGV: generation, token, ttl seconds, then score and member of each item.
# Returns 1 if stored, 0 if a change came between (its rows may be missing from these).
FINISH_LOAD = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
for i = 4, #ARGV, 1000 do
	redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
local state = redis.call('EXISTS', KEYS[1]) == 1 and '' or ':empty'
redis.call('SET', KEYS[2], ARGV[1] .. state, 'EX', ARGV[3])
return 1
"""

# Adds dates to a schedule, whole or not. What is being loaded does not know of them: its claim goes.
# KEYS: zset, marker. ARGV: ttl seconds, then score and member of each item.
ADD = """
local marker = redis.call('GET', KEYS[2])
if marker and string.sub(marker, 1, 8) == 'loading:' then redis.call('DEL', KEYS[2]) end
for i = 2, #ARGV, 1000 do
	redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

# Applies an answer's new dates to a schedule that is whole, drops any other, and one that there is no memory for.
# KEYS: zset, marker. ARGV: generation, ttl seconds, then score and member of each item.
# Returns 1 if applied, 0 if dropped (the next read loads it), or the error of ZADD.
RESCHEDULE = """
local marker = redis.call('GET', KEYS[2])
local is_whole = marker == ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1
if not is_whole and marker ~= ARGV[1] .. ':empty' then
	redis.call('DEL', KEYS[1], KEYS[2])
	return 0
end
for i = 3, #ARGV, 1000 do
	local added = redis.pcall('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
	if type(added) == 'table' then
		redis.call('DEL', KEYS[1], KEYS[2])
		return added
	end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
"""

# Whether a schedule lacks one of these dates, or is being loaded from rows that may lack them.
# KEYS: zset, marker. ARGV: score and member of each item. Returns 1 or 0.
IS_OUTDATED = """
if redis.call('EXISTS', KEYS[1]) == 0 then
	local marker = redis.call('GET', KEYS[2]) or ''
	return (string.sub(marker, 1, 8) == 'loading:' or string.sub(marker, -6) == ':empty') and 1 or 0
end
for i = 1, #ARGV, 2 do
	if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i + 1])) ~= tonumber(ARGV[i]) then return 1 end
end
return 0
"""

FAILURES = (RedisError, RedisClusterException, OSError)

# What Redis says, and what that means.
CAUSES = {
	"maxmemory": "its memory is full",
	"read only replica": "it is a replica, which takes no writes",
	"loading the dataset": "it is reading its data from disk",
	"Authentication required": "it wants a password that srs_redis_cache lacks",
	"WRONGPASS": "it does not know the user or password in srs_redis_cache",
	"invalid username-password": "it does not know the user or password in srs_redis_cache",
	"MOVED ": "it is a node of a cluster, and srs_redis_cluster is not set",
	"CLUSTERDOWN": "its cluster is down",
	"MISCONF": "it can't write to its disk",
	"refused": "nobody listens there",
}
TIMED_OUT = "it does not answer in time"

Action = Callable[[redis.Redis], Any]


class CacheStats(TypedDict):
	total_items: int
	due_items: int
	memory_usage_bytes: int


class Comparison(NamedTuple):
	"""One learner's schedule, {question_id: next_review_ts}, in Redis and in MariaDB."""

	cached: dict[str, float]
	stored: dict[str, float]


class Survey(NamedTuple):
	"""Memory and keys of the whole server; `schedules` by season are estimated where not all keys were looked at."""

	memory_bytes: int
	total_keys: int
	schedules: dict[str, int]
	sampled_keys: int
	is_exact: bool


class DueItems(TypedDict):
	"""`question_ids` oldest due first; `total_due` counts beyond the limit; `is_loaded` says whether
	the schedule is whole, without which the other two mean nothing."""

	question_ids: list[str]
	total_due: int
	is_loaded: bool


class SRSRedisManager:
	"""Manages Redis Sorted Sets for SRS scheduling.

	Methods that return a bool never raise because of Redis: False means that it did not do it. Reading
	methods raise Unavailable when Redis can't be asked. Timestamps are Unix epochs in seconds, `ttl`
	is in seconds and defaults to Memora Settings' cache lifetime.
	"""

	DEFAULT_TTL = 30 * 24 * 60 * 60  # 30 days, which is what Memora Settings start with
	DEFAULT_REDIS_URL = "redis://localhost:13000"

	def __init__(self) -> None:
		namespace = frappe.conf.get("srs_redis_namespace")
		self.prefix = f"{quote(namespace, safe='')}:" if namespace else ""
		is_cluster = bool(frappe.conf.get("srs_redis_cluster"))
		self.server = _server(frappe.local.site, redis_url(frappe.conf), is_cluster)

	# Keys

	def _make_key(self, user: str, season: str) -> str:
		return f"{self.prefix}srs:{quote(user, safe='@+')}:{quote(season, safe='')}"

	def _make_marker(self, user: str, season: str) -> str:
		return f"{{{self._make_key(user, season)}}}:loaded"

	def _keys(self, user: str, season: str) -> list[str]:
		return [self._make_key(user, season), self._make_marker(user, season)]

	@property
	def generation_key(self) -> str:
		return f"{self.prefix}srs:generation"

	# Availability

	def is_available(self) -> bool:
		"""Whether Redis takes writes; asks it at most once per breaker period while it does not."""
		try:
			self._ask(self._probe)
		except Unavailable:
			return False
		return True

	def _probe(self, client: redis.Redis) -> None:
		"""A write that changes nothing: a Redis that is full or read-only answers PING, but refuses this."""
		client.setrange(self.generation_key, 0, "")

	# Writes

	def add_item(
		self, user: str, season: str, question_id: str, next_review_ts: float, ttl: int | None = None
	) -> bool:
		"""Adds or updates one question's date."""
		return self.add_batch(user, season, {question_id: next_review_ts}, ttl)

	def add_batch(self, user: str, season: str, items: dict[str, float], ttl: int | None = None) -> bool:
		"""Adds or updates the dates of questions {question_id: next_review_ts}.

		Does not make a schedule whole: what MariaDB holds is merged into it at the next read.
		"""
		if not items:
			return True
		keys, arguments = self._keys(user, season), [self._ttl(ttl), *_flat(items)]
		return self._try(lambda client: self.server.add(keys=keys, args=arguments), keys)

	def reschedule(self, user: str, season: str, items: dict[str, float]) -> bool:
		"""Applies the dates that follow from a learner's answers, {question_id: next_review_ts}.

		To be called after they are committed. One round trip. A schedule that was not whole is dropped.
		"""

		keys = self._keys(user, season)

		def apply(client: redis.Redis) -> None:
			arguments = [self._generation(client), self._ttl(), *_flat(items)]
			self.server.reschedule(keys=keys, args=arguments)

		return self._try(apply, keys)

	def drop_outdated(
		self, user: str, season: str, items: dict[str, float], truth: Callable[[], dict[str, float]]
	) -> bool:
		"""Drops a learner's schedule that lacks one of these dates, {question_id: next_review_ts}.

		Unless a newer answer has replaced them meanwhile: `truth` gives the present ones, if need be.
		"""
		keys = self._keys(user, season)

		def check(client: redis.Redis) -> None:
			if self.server.is_outdated(keys=keys, args=_flat(items)):
				if self.server.is_outdated(keys=keys, args=_flat(truth())):
					client.delete(*keys)

		return self._try(check, keys)

	def remove_item(self, user: str, season: str, question_id: str) -> bool:
		"""Removes one question from the schedule; True also when it was not there."""
		keys = self._keys(user, season)
		return self._try(lambda client: client.zrem(keys[0], question_id), keys)

	def clear_user_cache(self, user: str, season: str) -> bool:
		"""Drops a learner's schedule; the next read loads it from MariaDB."""
		return self._try(lambda client: client.delete(*self._keys(user, season)))

	def clear_season_cache(self, season: str) -> bool:
		"""Drops the schedules of all learners in a season; walks through the keys without blocking Redis."""
		pattern = f"{self.prefix}srs:*:{quote(season, safe='')}"

		def clear(client: redis.Redis) -> None:
			for match in (pattern, f"{{{pattern}}}:loaded"):
				for key in client.scan_iter(match=match, count=SCAN_KEYS):
					client.unlink(key)

		return self._try(clear)

	# Reads

	def get_due_items(self, user: str, season: str, limit: int = 20) -> list[str]:
		"""The question ids due now, oldest first, of what is in Redis; empty when it can't be asked."""
		try:
			return self.read_due(user, season, limit)["question_ids"]
		except Unavailable:
			return []

	def get_due_items_with_rehydration(
		self, user: str, season: str, limit: int = 20
	) -> tuple[list[str], bool]:
		"""(question ids due now, oldest first; whether the schedule had to be loaded from MariaDB).

		Raises Unavailable when Redis can't be asked.
		"""
		due, was_rehydrated = self.load_due(user, season, limit)
		return due["question_ids"], was_rehydrated

	def read_due(self, user: str, season: str, limit: int = 20) -> DueItems:
		"""What is due now, in one round trip. Renews the schedule's lifetime."""
		key, marker = keys = self._keys(user, season)
		now = time.time()

		def read(client: redis.Redis) -> list:
			pipeline = client.pipeline(transaction=False)
			pipeline.get(marker)
			pipeline.get(self.generation_key)
			pipeline.zrangebyscore(key, "-inf", now, start=0, num=limit)
			pipeline.zcount(key, "-inf", now)
			pipeline.expire(key, self._ttl())
			pipeline.expire(marker, self._ttl())
			return pipeline.execute()

		loaded, count, question_ids, total, is_there, _renewed = self._ask(read, keys)
		generation = self.server.remember_generation(count)
		is_loaded = loaded == f"{generation}:empty" or (loaded == generation and bool(is_there))
		return DueItems(question_ids=question_ids, total_due=total, is_loaded=is_loaded)

	def load_due(self, user: str, season: str, limit: int = 20) -> tuple[DueItems, bool]:
		"""As read_due, but loads a schedule that is not whole; (what is due, whether it was loaded)."""
		due = self.read_due(user, season, limit)
		if due["is_loaded"]:
			return due, False
		scores = self.rehydrate(user, season)
		if scores is None:
			return self._due_in_database(user, season, limit), False
		now = time.time()
		ids = sorted((q for q, score in scores.items() if score <= now), key=lambda q: (scores[q], q))
		return DueItems(question_ids=ids[:limit], total_due=len(ids), is_loaded=True), True

	def _due_in_database(self, user: str, season: str, limit: int) -> DueItems:
		"""For whoever finds another process loading the schedule: few rows instead of all of them."""
		now = site_time.naive_now()
		records, total = memory_store.get_due(user, season, now, limit)
		return DueItems(question_ids=[r.question_id for r in records], total_due=total, is_loaded=True)

	def rehydrate(self, user: str, season: str) -> dict[str, float] | None:
		"""Loads a learner's schedule from MariaDB and returns it as {question_id: next_review_ts}.

		None, without a look at MariaDB, where it is whole already or another process is loading it. Right also
		while answers of hers are being stored: then the schedule is returned but not kept, and the next
		read loads it again. Ends the current transaction's view of the past.
		"""
		keys, token = self._keys(user, season), f"loading:{uuid4()}"

		def begin(client: redis.Redis) -> tuple[str, bool]:
			generation = self._generation(client)
			claim = [generation, token, LOADING_TTL_SECONDS, 0]
			return generation, bool(self.server.begin_load(keys=keys, args=claim))

		generation, is_mine = self._ask(begin, keys)
		if not is_mine:
			return None
		memory_store.new_snapshot()
		zone = site_time.site_zone()
		records = memory_store.get_all_records(user, season)
		scores = {q: site_time.to_epoch(r.next_review_date, zone) for q, r in records.items()}
		# under the generation of the claim: what was missed since then is not in these rows
		arguments = [generation, token, self._ttl(), *_flat(scores)]
		self._try(lambda client: self.server.finish_load(keys=keys, args=arguments), keys)
		return scores

	def reload(self, season: str, players: Sequence[str]) -> tuple[int, int]:
		"""Loads these learners' schedules anew, whatever is there: (records read, schedules stored).

		One who answers meanwhile is not stored; her next reading loads hers. Raises Unavailable.
		"""
		token, keys = f"loading:{uuid4()}", {player: self._keys(player, season) for player in players}

		def begin(client: redis.Redis) -> str:
			generation = self._generation(client)
			claim = [generation, token, LOADING_TTL_SECONDS, 1]
			self.server.run_each(self.server.begin_load, [(pair, claim) for pair in keys.values()])
			return generation

		generation = self._ask(begin)
		schedules = self._read_schedules(season, players)

		def finish(client: redis.Redis) -> list[int]:
			head = [generation, token, self._ttl()]
			calls = [(keys[player], [*head, *_flat(scores)]) for player, scores in schedules.items()]
			return self.server.run_each(self.server.finish_load, calls)

		return sum(map(len, schedules.values())), sum(self._ask(finish))

	def compare(self, season: str, players: Sequence[str]) -> dict[str, Comparison]:
		"""The schedules that Redis says to hold whole beside what MariaDB says, by learner; raises Unavailable.

		Redis is read first: what differs may be an answer that came between.
		"""
		keys = {player: self._keys(player, season) for player in players}

		def read(client: redis.Redis) -> list:
			pipeline = client.pipeline(transaction=False)
			pipeline.get(self.generation_key)
			for key, marker in keys.values():
				pipeline.get(marker)
				pipeline.zrange(key, 0, -1, withscores=True)
			count, *answers = pipeline.execute(raise_on_error=False)
			if isinstance(count, Exception):
				raise count
			return [count, *answers]

		count, *answers = self._ask(read)
		generation = self.server.remember_generation(count)
		cached = {
			player: dict(items) if isinstance(items, list) else {}  # an error: the key holds no ZSET
			for player, marker, items in zip(players, answers[::2], answers[1::2], strict=True)
			if marker in (generation, f"{generation}:empty")
		}
		stored = self._read_schedules(season, list(cached))
		return {player: Comparison(items, stored[player]) for player, items in cached.items()}

	def survey(self) -> Survey:
		"""What Redis holds; looks at no more than SURVEY_KEYS keys. Raises Unavailable."""

		def read(client: redis.Redis) -> Survey:
			memory, total = client.info("memory")["used_memory"], client.dbsize()
			seasons, sampled, cursor = Counter(), 0, 0
			while True:
				cursor, keys = client.scan(cursor, count=SCAN_KEYS)
				sampled += len(keys)
				seasons.update(season for key in keys if (season := self._season_of(key)))
				if not cursor or sampled >= SURVEY_KEYS:
					break
			share = sampled / max(total, sampled, 1) if cursor else 1
			schedules = {season: round(count / share) for season, count in sorted(seasons.items())}
			return Survey(memory, total, schedules, sampled, is_exact=not cursor)

		return self._ask(read)

	def get_memory(self) -> tuple[int, int]:
		"""(bytes used, bytes there are: maxmemory, or without one those of the host). Raises Unavailable."""
		found = self._ask(lambda client: client.info("memory"))
		return found["used_memory"], found["maxmemory"] or found["total_system_memory"]

	def _season_of(self, key: str) -> str | None:
		"""The season of a schedule's key, None for any other key."""
		parts = key.removeprefix(self.prefix).split(":")
		is_own = key.startswith(f"{self.prefix}srs:") and len(parts) == 3
		return unquote(parts[2]) if is_own else None

	def _read_schedules(self, season: str, players: Sequence[str]) -> dict[str, dict[str, float]]:
		memory_store.new_snapshot()
		zone = site_time.site_zone()
		return {
			player: {q: site_time.text_to_epoch(due, zone) for q, due in dates.items()}
			for player, dates in memory_store.get_schedules(season, players).items()
		}

	def get_all_scores(self, user: str, season: str) -> dict[str, float]:
		"""A learner's whole schedule in Redis, {question_id: next_review_ts}; raises Unavailable."""
		keys = self._keys(user, season)
		return dict(self._ask(lambda client: client.zrange(keys[0], 0, -1, withscores=True), keys))

	def count_due_items(self, user: str, season: str) -> int:
		"""How many questions are due now, of what is in Redis; raises Unavailable."""
		keys = self._keys(user, season)
		return self._ask(lambda client: client.zcount(keys[0], "-inf", time.time()), keys)

	def get_cache_stats(self, user: str, season: str) -> CacheStats:
		"""Size of a learner's schedule: items, items due now, bytes; raises Unavailable."""
		key, _marker = keys = self._keys(user, season)

		def read(client: redis.Redis) -> list:
			pipeline = client.pipeline(transaction=False)
			pipeline.zcard(key)
			pipeline.zcount(key, "-inf", time.time())
			pipeline.memory_usage(key)
			return pipeline.execute()

		total, due, size = self._ask(read, keys)
		return CacheStats(total_items=total, due_items=due, memory_usage_bytes=size or 0)

	# How it is done

	def _ttl(self, ttl: int | None = None) -> int:
		return int(ttl or get_settings().cache_ttl_days * 24 * 60 * 60)

	def _try(self, action: Action, keys: Sequence[str] = ()) -> bool:
		"""Runs a write. One that fails is remembered: before Redis is trusted again, all it holds from
		before is declared stale."""
		try:
			self._ask(action, keys)
		except Unavailable as error:
			if not self.server.has_missed_writes:
				frappe.logger("memora").warning(f"srs Redis: a write was missed: {error}")
				incidents.open_incident(str(error))
				self.server.has_missed_writes = True
			return False
		return True

	def _ask(self, action: Action, keys: Sequence[str] = ()) -> Any:
		"""Runs action(client), preceded by a new generation if this process, or one before it, has missed a
		write. A value of another type at one of the learner's keys is no schedule: both go, and the
		action is run again. Raises Unavailable."""

		def run(client: redis.Redis) -> Any:
			if self.server.has_missed_writes is None:
				self.server.has_missed_writes = incidents.is_open()
			if self.server.has_missed_writes:
				self._declare_stale(client)
			try:
				return action(client)
			except ResponseError as error:
				if not keys or "WRONGTYPE" not in str(error):
					raise
				client.delete(*keys)
				return action(client)

		return self.server.run(run, self._probe)

	def _declare_stale(self, client: redis.Redis) -> None:
		"""Counts an outage: no schedule from before it is believed any more."""
		self.server.has_missed_writes = False  # first: what another thread misses meanwhile stays noted
		try:
			self.server.remember_generation(client.incr(self.generation_key))
		except BaseException:  # whatever it was, the outage is not counted
			self.server.has_missed_writes = True
			raise
		incidents.close_incidents()

	def _generation(self, client: redis.Redis) -> str:
		"""The generation, at most GENERATION_SECONDS old. An older one does no harm: what it leads to is
		a schedule that the next read loads again."""
		return self.server.generation or self.server.remember_generation(client.get(self.generation_key))


class _Server:
	"""One site's Redis as this process sees it: connections, breaker, scripts, and the generation.

	`has_missed_writes` is None while the process has not looked whether others have.
	"""

	def __init__(self, url: str, is_cluster: bool) -> None:
		self.run_id = ""
		self.url, self.is_cluster = url, is_cluster
		self.breaker = CircuitBreaker(FAILURES, describe=_cause)
		self.has_missed_writes: bool | None = None
		self._generation = (0.0, "")

	begin_load = cached_property(lambda self: self.client.register_script(BEGIN_LOAD))
	finish_load = cached_property(lambda self: self.client.register_script(FINISH_LOAD))
	reschedule = cached_property(lambda self: self.client.register_script(RESCHEDULE))
	add = cached_property(lambda self: self.client.register_script(ADD))
	is_outdated = cached_property(lambda self: self.client.register_script(IS_OUTDATED))

	@cached_property
	def client(self) -> redis.Redis:
		"""To be asked for behind the breaker only: a cluster's client connects as soon as it is made."""
		timeouts = {
			"socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
			"socket_timeout": READ_TIMEOUT_SECONDS,
		}
		if self.is_cluster:
			return redis.RedisCluster.from_url(self.url, decode_responses=True, **timeouts)
		client = redis.Redis.from_url(
			self.url,
			decode_responses=True,
			redis_connect_func=self._greet,
			retry=Retry(NoBackoff(), 0),  # newer clients try three times
			**timeouts,
		)
		options = client.connection_pool.connection_kwargs
		options.update(
			{name: min(seconds, options[name]) for name, seconds in timeouts.items()}
		)  # or the URL's
		return client

	def _greet(self, connection: redis.Connection) -> None:
		"""What a new connection begins with: who is there now. A restarted server has another run id."""
		connection.on_connect()
		connection.send_command("INFO", "server")
		lines = str_if_bytes(connection.read_response()).splitlines()
		run_id = next((line[7:] for line in lines if line.startswith("run_id:")), "")
		if run_id != self.run_id:
			self.run_id, self._generation = run_id, (0.0, "")

	def run(self, action: Action, probe: Action) -> Any:
		"""Runs action(client) behind the breaker; raises Unavailable. A failure opens an incident; what ends
		one is a success after the probe."""
		try:
			with self.breaker.guard() as is_trial:
				if is_trial:
					probe(self.client)
				result = action(self.client)
		except NotAsked:
			raise
		except Unavailable as error:
			self._drop_connections()
			incidents.open_incident(str(error))
			raise
		if is_trial:
			incidents.close_incidents()
		return result

	def run_each(self, script: Script, calls: list[tuple[list[str], list]]) -> list:
		"""Runs a script once for each (keys, arguments), in one round trip where the keys are on one server."""
		if self.is_cluster:
			return [script(keys=keys, args=arguments) for keys, arguments in calls]
		pipeline = self.client.pipeline(transaction=False)
		for keys, arguments in calls:
			script(keys=keys, args=arguments, client=pipeline)
		return pipeline.execute()

	def _drop_connections(self) -> None:
		"""Those that wait in the pool lead to the same dead server, and each would open the breaker anew."""
		if not self.is_cluster:
			self.client.connection_pool.disconnect(inuse_connections=False)

	@property
	def generation(self) -> str | None:
		"""The generation, if it was read a moment ago."""
		read_at, generation = self._generation
		return generation if time.monotonic() - read_at < GENERATION_SECONDS else None

	def remember_generation(self, count: str | int | None) -> str:
		"""The generation of a count of outages as read from Redis, None while there was none."""
		generation = f"{self.run_id[:RUN_ID_DIGITS]}.{count or 0}"
		self._generation = (time.monotonic(), generation)
		return generation


@lru_cache(maxsize=32)
def _server(site: str, url: str, is_cluster: bool) -> _Server:
	return _Server(url, is_cluster)


def redis_url(conf: dict) -> str:
	"""Where a site with this configuration keeps its schedules."""
	return conf.get("srs_redis_cache") or conf.get("redis_cache") or SRSRedisManager.DEFAULT_REDIS_URL


def _cause(error: BaseException) -> str:
	"""What an operator reads: a cause that is known, and what Redis or the system says of it."""
	said = describe(error).rpartition("caused error: ")[2]  # without the command, which names a learner
	if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
		return f"{TIMED_OUT}: {said}"
	cause = next((cause for part, cause in CAUSES.items() if part in said), "")
	return f"{cause}: {said}" if cause else said


def _flat(scores: dict[str, float]) -> list:
	"""ZADD's arguments, score before member."""
	return [part for question_id, score in scores.items() for part in (score, question_id)]


def rebuild_season_cache(season_name: str, batch_size: int = 1000) -> dict[str, Any]:
	"""Loads the schedules of all learners of a season into Redis; see cache_rebuild.rebuild."""
	from memora.services import cache_rebuild  # which stands on this module

	return cache_rebuild.rebuild(season_name, batch_size)
