"""The rights that Memora's user needs in the schedules' Redis, and how to find those that it lacks.

A managed Redis may keep commands from its users, and a proxy may not know a command. A script that is refused often does
not say which command it was. So each command is tried on the keys of nobody's schedule, which is gone afterwards.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from memora.services.cache import connections
from memora.services.cache.keys import ScheduleKeys

MAY_NOT = ("no permissions", "No permissions", "The user executing the script can't")  # Redis 6 to 8, Valkey
UNKNOWN = (
	"unknown command",
	"Unknown command",
	"Unknown Redis command",
	"unsupported",
	"not supported",
)  # Redis and proxies
KEYS_REFUSED = ("access a key", "access one of the keys", "access at least one", "to access the")
NOBODY = "-"  # no learner's id, no season's name
NO_SCRIPT = "0" * 40

# Each command, named as ACL SETUSER names it, with arguments that do no harm. KEY is nobody's schedule.
KEY = object()
COMMANDS: dict[str, tuple[Any, ...]] = {
	"info": ("INFO", "replication"),
	"eval": ("EVAL", "return 1", 1, KEY),
	"evalsha": ("EVALSHA", NO_SCRIPT, 1, KEY),
	"incr": ("INCR", KEY),
	"hset": ("HSET", KEY, NOBODY, ""),  # which fails, if the INCR did not
	"expire": ("EXPIRE", KEY, 1),
	"del": ("DEL", KEY),
	"unlink": ("UNLINK", KEY),
	"get": ("GET", KEY),
	"set": ("SET", KEY, "", "XX"),
	"setrange": ("SETRANGE", KEY, 0, ""),
	"exists": ("EXISTS", KEY),
	"hmget": ("HMGET", KEY, NOBODY),
	"zadd": ("ZADD", KEY, "XX", 0, NOBODY),
	"zrem": ("ZREM", KEY, NOBODY),
	"zscore": ("ZSCORE", KEY, NOBODY),
	"zrange": ("ZRANGE", KEY, 0, -1),
	"zrangebyscore": ("ZRANGEBYSCORE", KEY, 0, 1),
	"zcount": ("ZCOUNT", KEY, 0, 1),
	"zcard": ("ZCARD", KEY),
	"scan": ("SCAN", 0, "COUNT", 1),
	"dbsize": ("DBSIZE",),
	"memory|usage": ("MEMORY", "USAGE", KEY),
	"ping": ("PING",),
	"time": ("TIME",),
}


class Lacking(NamedTuple):
	"""What a server refuses: rules for ACL SETUSER that `user` lacks, and commands that the server does not know."""

	user: str
	rules: list[str]
	unknown: list[str]

	def __bool__(self) -> bool:
		return bool(self.rules or self.unknown)

	@property
	def mend(self) -> str:
		"""The command that gives the user its rights."""
		return f"ACL SETUSER {self.user} {' '.join(self.rules)}"

	def __str__(self) -> str:
		if self.rules:
			return f"user {self.user} may not use {_named(self.rules)}: {self.mend}"
		return f"unknown command {_named(self.unknown)}"


class RightMissing(ResponseError):
	"""The schedules' Redis refuses a command. The text says what is missing."""


def rules(keys: ScheduleKeys) -> list[str]:
	"""Returns all that Memora's user needs, as ACL SETUSER takes it."""
	return [*_key_rules(keys), *(f"+{name}" for name in COMMANDS)]


def find_lacking(client: redis.Redis, keys: ScheduleKeys) -> Lacking:
	"""Tries each command on one server. Raises what Redis raises, but for refusals."""
	answers = _try(client, [_arguments(command, keys) for command in COMMANDS.values()])
	refused = [name for name, answer in zip(COMMANDS, answers, strict=True) if _is_refused(answer)]
	unknown = [name for name, answer in zip(COMMANDS, answers, strict=True) if _says(answer, UNKNOWN)]
	rules = [f"+{name}" for name in refused]
	if _are_keys_refused(client, keys):
		rules = [*_key_rules(keys), *rules]
	return Lacking(_user(client) if rules else "", rules, unknown)


def explain(client: redis.Redis, keys: ScheduleKeys, error: ResponseError) -> ResponseError:
	"""Returns an error that names what is missing, if `error` is a refusal; else returns `error`."""
	if not is_refusal(error):
		return error
	try:
		for server in connections.primaries(client):
			if found := find_lacking(server, keys):
				return RightMissing(str(found))
	except connections.CLUSTER_FAILURES:
		pass  # the first error tells enough
	return error


def explaining(keys: ScheduleKeys, action: Callable[[redis.Redis], Any]) -> Callable[[redis.Redis], Any]:
	"""Returns an action that raises RightMissing in place of a refusal."""

	def run(client: redis.Redis) -> Any:
		try:
			return action(client)
		except ResponseError as error:
			raise explain(client, keys, error) from error

	return run


def unless_refused(ask: Callable[[], Any]) -> Any:
	"""Returns what a server answers, or None if it refuses. For what no learner needs: it is no outage."""
	try:
		return ask()
	except ResponseError as error:
		if not is_refusal(error):
			raise
		return None


def is_refusal(error: BaseException) -> bool:
	"""Says whether a server refused a command because of its user's rights, or because it does not know the command."""
	return _says(error, (*MAY_NOT, *UNKNOWN))


def _arguments(command: Sequence[Any], keys: ScheduleKeys) -> list[Any]:
	return [keys.schedule(NOBODY, NOBODY) if part is KEY else part for part in command]


def _try(client: redis.Redis, commands: Sequence[Sequence[Any]]) -> list[Any]:
	pipeline = client.pipeline(transaction=False)
	for command in commands:
		pipeline.execute_command(*command)
	try:
		return pipeline.execute(raise_on_error=False)
	except RedisConnectionError as error:
		if not connections.was_closed(error):
			raise
		return [_try_alone(client, command) for command in commands]


def _try_alone(client: redis.Redis, command: Sequence[Any]) -> Any:
	"""Returns the answer to one command. A proxy may close the connection instead of an answer."""
	try:
		return client.execute_command(*command)
	except ResponseError as error:
		return error
	except RedisConnectionError as error:
		if not connections.was_closed(error):
			raise
		return ResponseError("unknown command, to which the connection was closed")


def _are_keys_refused(client: redis.Redis, keys: ScheduleKeys) -> bool:
	"""Says whether one of the kinds of keys is refused, for instance because the user may only read it.

	None of these commands finds what it is to delete: count and owner are of other types.
	"""
	names = [*keys.pair(NOBODY, NOBODY), keys.generation, keys.owner]
	answers = _try(client, [("ZREM", name, NOBODY) for name in names])
	return any(_says(answer, KEYS_REFUSED) for answer in answers)


def _is_refused(answer: Any) -> bool:
	return _says(answer, MAY_NOT) and not _says(answer, KEYS_REFUSED)


def _says(answer: Any, parts: Sequence[str]) -> bool:
	return isinstance(answer, RedisError) and any(part in str(answer) for part in parts)


def _user(client: redis.Redis) -> str:
	"""Returns the name by which the client has signed in: as Redis says, or else as the configuration says."""
	(answer,) = _try(client, [("ACL", "WHOAMI")])
	if isinstance(answer, str):
		return answer
	return client.connection_pool.connection_kwargs.get("username") or "default"


def _key_rules(keys: ScheduleKeys) -> list[str]:
	return [f"~{pattern}" for pattern in keys.own_patterns]


def _named(rules: Sequence[str]) -> str:
	names = [rule if rule.startswith("~") else rule.lstrip("+").replace("|", " ").upper() for rule in rules]
	return ", ".join(names)
