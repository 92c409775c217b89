"""The names of the schedules' keys in Redis: this page is the whole key layout.

Any key may be missing: Memora makes it again, and loads a missing schedule from MariaDB.

	srs:{learner}:{season}             ZSET, the schedule: member question_id, score the Unix epoch of
	                                   next_review_date
	{srs:{learner}:{season}}:loaded    STRING, the marker. It holds `generation#version`: the generation in which
	                                   the schedule was loaded whole, and the version of what is asked that the
	                                   schedule agrees with; followed by `:empty` where there is nothing in it.
	                                   Or `loading:<token>` while a process loads the schedule
	srs:generation                     STRING, counts how often all schedules were declared stale. None from before
	                                   the last time is believed
	{srs:generation}:owner             HASH, whose keys these are; see ownership

A learner is her id. The season is percent-encoded, so that no name can reach another learner's key. The braces put a
marker into the slot of its schedule on a Redis Cluster. Schedule and marker expire `cache_ttl_days` (Memora
Settings) after their last use. `srs_redis_namespace`, in the site's configuration, stands before every key:
so sites can share a Redis.

**Generation.** A generation is `history.epoch`, and an epoch is `history.count.database`. The first history is that of
the server which holds the schedule. The second history is that of the server which holds the count; on a
cluster that may be another server. A server's history gets a new name at each restart and at each promotion
of a replica (see scripts). `database` stands for the MariaDB from which schedules are loaded: its name, its server,
when its files were made, and the site's time zone. So three kinds of schedule are not believed: one that a restarted
server has read back from its files, one on a replica that may lack the last answers, and one from before a backup was
restored, MariaDB failed over, or the site moved. A schedule that lacks a change, because some process could not reach
Redis, is noted in MariaDB and dropped; see outdated.

**When a schedule is believed.** The ZSET must exist, and its marker must hold the present generation. The
script that stores an answer's dates looks at the marker first. If the schedule is not whole, the script drops
the schedule instead of changing it. The script also drops the token of a load in flight, because that load
read its rows before the answer. So a loaded schedule never misses an answer, in whichever order loads and
answers arrive.

**What is asked** (store/question_status). A schedule holds no question that is withdrawn in the version of its marker. The
script that reads it gets the newest withdrawals along, and takes out those of later versions. If a question is asked
again, or more was withdrawn than goes along with a read, the reader brings the schedule up to date from MariaDB: by the
records of these questions, or, if there are too many, by a new load.
"""

from urllib.parse import quote, unquote

from memora.services.store.row_names import is_learner_id


class ScheduleKeys:
	"""The keys of one site's schedules."""

	def __init__(self, namespace: str | None) -> None:
		self.prefix = f"{quote(namespace, safe='')}:" if namespace else ""

	def schedule(self, learner: str, season: str) -> str:
		return f"{self.prefix}srs:{quote(learner, safe='')}:{quote(season, safe='')}"

	def marker(self, learner: str, season: str) -> str:
		return f"{{{self.schedule(learner, season)}}}:loaded"

	def pair(self, learner: str, season: str) -> list[str]:
		"""[schedule, marker] of a learner: the KEYS of most scripts."""
		return [self.schedule(learner, season), self.marker(learner, season)]

	@property
	def generation(self) -> str:
		return f"{self.prefix}srs:generation"

	@property
	def owner(self) -> str:
		return f"{{{self.generation}}}:owner"

	def pattern_of_season(self, season: str) -> str:
		"""A SCAN pattern that matches all schedules and markers of a season, and others' keys."""
		return f"*{self.prefix}srs:*:{quote(season, safe='')}*"

	def is_of_season(self, key: str, season: str) -> bool:
		"""Says whether a key is the schedule's or the marker's of a learner in a season."""
		schedule = key.removeprefix("{").removesuffix("}:loaded") if key.startswith("{") else key
		return self.season_of(schedule) == season

	@property
	def own_patterns(self) -> list[str]:
		"""Patterns that match all keys of the site, as an ACL names them, and others' keys."""
		return [f"{self.prefix}srs:*", f"{{{self.prefix}srs:*"]

	@property
	def pattern(self) -> str:
		"""A SCAN pattern that matches all schedules and markers, and others' keys."""
		return f"*{self.prefix}srs:*:*"

	def is_of_user(self, key: str) -> bool:
		"""Says whether a key is a schedule's or marker's that names its learner otherwise than by id."""
		if key == self.owner:
			return False
		own, colon, rest = key.removeprefix("{").partition(f"{self.prefix}srs:")
		return bool(colon and not own) and ":" in rest and not is_learner_id(rest.partition(":")[0])

	def is_own(self, key: str) -> bool:
		"""Says whether a key is this site's, whatever it holds."""
		is_here = key.removeprefix("{").startswith(f"{self.prefix}srs:")
		return is_here and key.removeprefix("{").removeprefix(self.prefix).split("}")[0].count(":") <= 2

	def season_of(self, key: str) -> str | None:
		"""Returns the season of a schedule's key; None for any other key."""
		parts = key.removeprefix(self.prefix).split(":")
		is_schedule = key.startswith(f"{self.prefix}srs:") and len(parts) == 3
		return unquote(parts[2]) if is_schedule else None
