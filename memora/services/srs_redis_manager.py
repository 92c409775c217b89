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

A generation is `history.epoch`, an epoch `history.count`: the first history is that of the server with the ZSET,
the second that of the server with the count, which may be another node of a cluster. A history has another name
after each restart and each promotion of a replica (see srs_scripts). So what a restarted server has read back
from its files, of yesterday maybe, is not believed, nor what a replica holds that may lack the last
answers, nor what any server held while processes could not reach it. A ZSET is believed
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
from redis.exceptions import ResponseError

from memora.services import incidents, memory_store, site_time, srs_connections, srs_scripts
from memora.services.circuit_breaker import CircuitBreaker, NotAsked, Unavailable
from memora.services.settings import get_settings
from memora.services.srs_connections import Place
from memora.services.srs_scripts import Call

SCAN_KEYS = 1000  # looked at in one round trip
SURVEY_KEYS = 50_000  # looked at in all, to count them by season
LOADING_TTL_SECONDS = 30  # after which a load that died no longer keeps others from loading
EPOCH_SECONDS = 5  # how long a process may go on with the epoch it has read

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
	"""Memory and keys of all servers with schedules, summed up. `schedules` by season are estimated where not
	all keys were looked at."""

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
	DEFAULT_REDIS_URL = srs_connections.DEFAULT_REDIS_URL

	def __init__(self) -> None:
		namespace = frappe.conf.get("srs_redis_namespace")
		self.prefix = f"{quote(namespace, safe='')}:" if namespace else ""
		self.server = _server(frappe.local.site, srs_connections.place(frappe.conf))

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
		"""A write that changes nothing: a Redis that is full or read-only answers PING, but refuses this. Of a
		cluster each node is asked: while one is gone, its learners would open the breaker for all others."""
		pipeline = client.pipeline(transaction=False)
		for key in srs_connections.a_key_on_each(client, self.generation_key):
			pipeline.setrange(key, 0, "")
		pipeline.execute()

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
		return self._try(lambda client: srs_scripts.run(client, srs_scripts.ADD, keys, arguments), keys)

	def reschedule(self, user: str, season: str, items: dict[str, float]) -> bool:
		"""Applies the dates that follow from a learner's answers, {question_id: next_review_ts}.

		To be called after they are committed. One round trip. A schedule that was not whole is dropped.
		"""

		keys = self._keys(user, season)

		def apply(client: redis.Redis) -> None:
			arguments = [self._epoch(client), self._ttl(), *_flat(items)]
			srs_scripts.run(client, srs_scripts.RESCHEDULE, keys, arguments)

		return self._try(apply, keys)

	def drop_outdated(
		self, user: str, season: str, items: dict[str, float], truth: Callable[[], dict[str, float]]
	) -> bool:
		"""Drops a learner's schedule that lacks one of these dates, {question_id: next_review_ts}.

		Unless a newer answer has replaced them meanwhile: `truth` gives the present ones, if need be.
		"""
		keys = self._keys(user, season)

		def check(client: redis.Redis) -> None:
			if srs_scripts.run(client, srs_scripts.IS_OUTDATED, keys, _flat(items)):
				if srs_scripts.run(client, srs_scripts.IS_OUTDATED, keys, _flat(truth())):
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
		keys = self._keys(user, season)
		calls = [
			Call(srs_scripts.READ_DUE, keys, [time.time(), limit, self._ttl()]),
			Call(srs_scripts.EPOCH, [self.generation_key]),
		]
		(history, marker, is_there, question_ids, total), epoch = self._ask(
			lambda client: srs_scripts.run_all(client, calls), keys
		)
		generation = f"{history}.{self.server.remember_epoch(epoch)}"
		is_loaded = marker == f"{generation}:empty" or (marker == generation and bool(is_there))
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

		def begin(client: redis.Redis) -> str:
			claim = [self._epoch(client), token, LOADING_TTL_SECONDS, 0]
			return srs_scripts.run(client, srs_scripts.BEGIN_LOAD, keys, claim)

		generation = self._ask(begin, keys)
		if not generation:
			return None
		memory_store.new_snapshot()
		zone = site_time.site_zone()
		records = memory_store.get_all_records(user, season)
		scores = {q: site_time.to_epoch(r.next_review_date, zone) for q, r in records.items()}
		# under the generation of the claim: what was missed since then is not in these rows
		arguments = [generation, token, self._ttl(), *_flat(scores)]
		self._try(lambda client: srs_scripts.run(client, srs_scripts.FINISH_LOAD, keys, arguments), keys)
		return scores

	def reload(self, season: str, players: Sequence[str]) -> tuple[int, int]:
		"""Loads these learners' schedules anew, whatever is there: (records read, schedules stored).

		One who answers meanwhile is not stored; her next reading loads hers. Raises Unavailable.
		"""
		token, keys = f"loading:{uuid4()}", [self._keys(player, season) for player in players]

		def begin(client: redis.Redis) -> list[str]:
			claim = [self._epoch(client), token, LOADING_TTL_SECONDS, 1]
			return srs_scripts.run_all(client, [Call(srs_scripts.BEGIN_LOAD, pair, claim) for pair in keys])

		generations = self._ask(begin)
		schedules = self._read_schedules(season, players)
		calls = [
			Call(srs_scripts.FINISH_LOAD, pair, [generation, token, self._ttl(), *_flat(schedules[player])])
			for player, pair, generation in zip(players, keys, generations, strict=True)
		]
		stored = self._ask(lambda client: srs_scripts.run_all(client, calls))
		return sum(map(len, schedules.values())), sum(stored)

	def compare(self, season: str, players: Sequence[str]) -> dict[str, Comparison]:
		"""The schedules that Redis says to hold whole beside what MariaDB says, by learner; raises Unavailable.

		Redis is read first: what differs may be an answer that came between.
		"""
		calls = [Call(srs_scripts.READ_ALL, self._keys(player, season)) for player in players]
		count = Call(srs_scripts.EPOCH, [self.generation_key])
		*answers, epoch = self._ask(lambda client: srs_scripts.run_all(client, [*calls, count]))
		self.server.remember_epoch(epoch)
		cached = {
			player: {q: float(score) for q, score in zip(items[::2], items[1::2], strict=True)}
			for player, (history, marker, items) in zip(players, answers, strict=True)
			if marker in (f"{history}.{epoch}", f"{history}.{epoch}:empty")
		}
		stored = self._read_schedules(season, list(cached))
		return {player: Comparison(items, stored[player]) for player, items in cached.items()}

	def survey(self) -> Survey:
		"""What Redis holds, of a cluster all primaries; looks at no more than SURVEY_KEYS keys. Raises Unavailable."""

		def read(client: redis.Redis) -> list[Survey]:
			servers = srs_connections.primaries(client)
			return [self._survey_server(server, SURVEY_KEYS // len(servers)) for server in servers]

		memory, total, schedules, sampled, is_exact = zip(*self._ask(read), strict=True)
		seasons = dict(sorted(sum(schedules, Counter()).items()))
		return Survey(sum(memory), sum(total), seasons, sum(sampled), all(is_exact))

	def _survey_server(self, server: redis.Redis, most_keys: int) -> Survey:
		memory, total = server.info("memory")["used_memory"], server.dbsize()
		seasons, sampled, cursor = Counter(), 0, 0
		while True:
			cursor, keys = server.scan(cursor, count=SCAN_KEYS)
			sampled += len(keys)
			seasons.update(season for key in keys if (season := self._season_of(key)))
			if not cursor or sampled >= most_keys:
				break
		share = sampled / max(total, sampled, 1) if cursor else 1
		schedules = Counter({season: round(count / share) for season, count in seasons.items()})
		return Survey(memory, total, schedules, sampled, is_exact=not cursor)

	def get_memory(self) -> tuple[int, int]:
		"""(bytes used, bytes there are: maxmemory, or without one those of the host), of a cluster those of its fullest
		primary. Raises Unavailable."""
		servers = self._ask(lambda client: [s.info("memory") for s in srs_connections.primaries(client)])
		pairs = [
			(found["used_memory"], found["maxmemory"] or found["total_system_memory"]) for found in servers
		]
		return max(pairs, key=lambda pair: pair[0] / pair[1])

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
			count = srs_scripts.run(client, srs_scripts.DECLARE_STALE, [self.generation_key])
			self.server.remember_epoch(count)
		except BaseException:  # whatever it was, the outage is not counted
			self.server.has_missed_writes = True
			raise
		incidents.close_incidents()

	def _epoch(self, client: redis.Redis) -> str:
		"""The epoch, at most EPOCH_SECONDS old. An older one does no harm: what it leads to is
		a schedule that the next read loads again."""
		if self.server.epoch:
			return self.server.epoch
		return self.server.remember_epoch(srs_scripts.run(client, srs_scripts.EPOCH, [self.generation_key]))


class _Server:
	"""One site's Redis as this process sees it: connections, breaker, and the epoch.

	`has_missed_writes` is None while the process has not looked whether others have.
	"""

	def __init__(self, place: Place) -> None:
		self.place = place
		failures = srs_connections.CLUSTER_FAILURES if place.is_cluster else srs_connections.FAILURES
		self.breaker = CircuitBreaker(failures, describe=srs_connections.cause)
		self.has_missed_writes: bool | None = None
		self._epoch = (0.0, "")
		self._nodes: list[tuple[str, int]] = []  # of a cluster, as last seen

	@cached_property
	def client(self) -> redis.Redis:
		"""To be asked for behind the breaker only: a cluster's client connects as soon as it is made."""
		return srs_connections.connect(self.place, self._nodes)

	def run(self, action: Action, probe: Action) -> Any:
		"""Runs action(client) behind the breaker; raises Unavailable. A failure opens an incident; what ends
		one is a success after the probe."""
		srs_connections.begin_action()
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

	def _drop_connections(self) -> None:
		"""Those that wait in the pool lead to the same dead server, and each would open the breaker anew. A
		cluster's client goes as a whole: it forgets nodes that failed, and would end up with none."""
		client = self.__dict__.get("client")
		if not client:
			return
		if self.place.is_cluster:
			self._nodes = srs_connections.nodes_of(client) or self._nodes
			self.__dict__.pop("client", None)
		else:
			client.connection_pool.disconnect(inuse_connections=False)

	@property
	def epoch(self) -> str | None:
		"""The epoch, if it was read a moment ago."""
		read_at, epoch = self._epoch
		return epoch if time.monotonic() - read_at < EPOCH_SECONDS else None

	def remember_epoch(self, epoch: str) -> str:
		self._epoch = (time.monotonic(), epoch)
		return epoch


@lru_cache(maxsize=32)
def _server(site: str, place: Place) -> _Server:
	return _Server(place)


def redis_url(conf: dict) -> str:
	"""The URL that a site with this configuration has for its schedules."""
	return srs_connections.place(conf).url


def _flat(scores: dict[str, float]) -> list:
	"""ZADD's arguments, score before member."""
	return [part for question_id, score in scores.items() for part in (score, question_id)]


def rebuild_season_cache(season_name: str, batch_size: int = 1000) -> dict[str, Any]:
	"""Loads the schedules of all learners of a season into Redis; see cache_rebuild.rebuild."""
	from memora.services import cache_rebuild  # which stands on this module

	return cache_rebuild.rebuild(season_name, batch_size)
