"""The Lua scripts that read or change a schedule in one step of Redis, and the way to run them.

All keys of a script are in one slot of a cluster. A script that has to know whether a schedule is whole also
reads the history of its own server: the replication id, which changes at each restart and at each promotion
of a replica. So the history is always that of the server that holds the ZSET, whichever node has taken over
meanwhile.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoScriptError


class Script:
	"""A script's text, and the hash by which a server knows a script that it has run before."""

	def __init__(self, text: str) -> None:
		self.text = text
		self.sha = hashlib.sha1(text.encode()).hexdigest()


class Call(NamedTuple):
	"""A script with its KEYS and its ARGV."""

	script: Script
	keys: Sequence[str]
	arguments: Sequence[Any] = ()


def run_script(
	client: redis.Redis, script: Script, keys: Sequence[str], arguments: Sequence[Any] = ()
) -> Any:
	"""Runs one script and returns its result. Raises what Redis raises."""
	return run_scripts(client, [Call(script, keys, arguments)])[0]


def run_scripts(client: redis.Redis, calls: Sequence[Call]) -> list[Any]:
	"""Runs scripts and returns their results. Raises what Redis raises.

	Takes one round trip; on a cluster, one to each node that holds keys of the scripts.
	"""
	pipeline = client.pipeline(transaction=False)
	for script, keys, arguments in calls:
		pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
	answers = pipeline.execute(raise_on_error=False)
	return [_accepted(client, call, answer) for call, answer in zip(calls, answers, strict=True)]


def _accepted(client: redis.Redis, call: Call, answer: Any) -> Any:
	if isinstance(answer, NoScriptError):  # this server has not seen the script yet, or has forgotten it
		return client.execute_command("EVAL", call.script.text, len(call.keys), *call.keys, *call.arguments)
	if isinstance(answer, Exception):
		raise answer
	return answer


_HISTORY = """
local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local history = string.sub(id, 1, 12)
"""

_GENERATION = f"""{_HISTORY}
local generation = history .. '.' .. ARGV[1]
"""

# Parts a marker into its generation, its content version, and ':empty' or ''.
_PARTS = """
local function parts(marker)
	local generation, version, rest = string.match(marker or '', '^([^#]+)#(%d+)(.*)$')
	return generation, tonumber(version), rest
end
"""

# Returns the epoch: the history of the server that counts the outages, and the count. First sees to it that the caller
# owns the keys; see ownership.
# KEYS: count, owner. ARGV: database, server, site, now, seconds until a claim is renewed, seconds until a claim lapses,
# server by which the caller was the owner before.
# Returns the epoch; '' if the keys are another's; then database, server, site and last claim of the owner.
EPOCH = Script(f"""{_HISTORY}
local database, server, site, seen = unpack(redis.call('HMGET', KEYS[2], 'database', 'server', 'site', 'seen'))
local age = math.abs(ARGV[4] - (seen or 0))
local is_mine = server == ARGV[2] or server == ARGV[7] or age > tonumber(ARGV[6])
if not is_mine or (database and database ~= ARGV[1]) then return {{'', database or '', server or '', site or '', seen or '0'}} end
if server ~= ARGV[2] or site ~= ARGV[3] or age >= tonumber(ARGV[5]) then
	redis.pcall('HSET', KEYS[2], 'database', ARGV[1], 'server', ARGV[2], 'site', ARGV[3], 'seen', ARGV[4])
end
return {{history .. '.' .. (redis.call('GET', KEYS[1]) or '0')}}
""")

# Counts an outage. KEYS: count. Returns the new epoch.
DECLARE_STALE = Script(f"""{_HISTORY}
return history .. '.' .. redis.call('INCR', KEYS[1])
""")

# Reads what is due, and what tells whether the schedule can be believed. Renews the lifetime of both keys.
# First takes out what was withdrawn since the marker's content version, if that version lies between `first`, from which on
# the caller knows all changes as withdrawals, and `last`. Then the marker gets the version `last`. Does so only while Redis holds
# what the marker says: a ZSET that was lost is not taken for an empty one.
# KEYS: zset, marker. ARGV: now, limit, ttl seconds, first, last, then version and question id of each withdrawal.
# Returns history, marker, 1 if the ZSET exists (else 0), question ids, how many questions are due in all.
READ_DUE = Script(f"""{_HISTORY}{_PARTS}
local generation, version, rest = parts(redis.call('GET', KEYS[2]))
local is_behind = version and version >= tonumber(ARGV[4]) and version < tonumber(ARGV[5])
if is_behind and (rest == ':empty' or redis.call('EXISTS', KEYS[1]) == 1) then
	for i = 6, #ARGV, 2 do
		if tonumber(ARGV[i]) > version then redis.call('ZREM', KEYS[1], ARGV[i + 1]) end
	end
	if redis.call('EXISTS', KEYS[1]) == 0 then rest = ':empty' end
	redis.call('SET', KEYS[2], generation .. '#' .. ARGV[5] .. rest)
end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local total = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[1])
local is_there = redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return {{history, redis.call('GET', KEYS[2]) or '', is_there, ids, total}}
""")

# Reads all dates of a schedule. KEYS: zset, marker.
# Returns history, marker, members and scores in turn. A key of another type counts as empty.
READ_ALL = Script(f"""{_HISTORY}
local marker, items = redis.pcall('GET', KEYS[2]), redis.pcall('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
return {{history, type(marker) == 'string' and marker or '', items.err and {{}} or items}}
""")

# Brings a whole schedule from one content version to another: takes out what was withdrawn, and adds what is asked again,
# unless an answer has added it meanwhile.
# KEYS: zset, marker. ARGV: the marker's generation and version, the new version, ttl seconds, number of withdrawals, their
# question ids, then score and member of each item to add.
# Returns 1 if done, 0 if the schedule has another marker by now, or Redis has lost it.
CATCH_UP = Script(f"""{_PARTS}
local generation, version, rest = parts(redis.call('GET', KEYS[2]))
if generation ~= ARGV[1] or version ~= tonumber(ARGV[2]) then return 0 end
if rest ~= ':empty' and redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local added = 6 + tonumber(ARGV[5])
for i = 6, added - 1 do redis.call('ZREM', KEYS[1], ARGV[i]) end
for i = added, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[4])
local state = redis.call('EXISTS', KEYS[1]) == 1 and '' or ':empty'
redis.call('SET', KEYS[2], generation .. '#' .. ARGV[3] .. state, 'EX', ARGV[4])
return 1
""")

# Claims the loading of a schedule. Deletes a ZSET that is left from another generation.
# A ZSET without a marker stays, unless the load is forced: the load then adds its dates to that ZSET.
# KEYS: zset, marker. ARGV: epoch, token, seconds until the claim lapses, 1 to force the load.
# Returns the generation if the caller is to load; '' if the schedule is whole or another process loads it,
# and the load is not forced.
BEGIN_LOAD = Script(f"""{_GENERATION}{_PARTS}
local marker, is_forced = redis.call('GET', KEYS[2]), ARGV[4] == '1'
if not is_forced then
	if marker and string.sub(marker, 1, 8) == 'loading:' then return '' end
	local of, _, rest = parts(marker)
	if of == generation and (rest == ':empty' or redis.call('EXISTS', KEYS[1]) == 1) then return '' end
end
if marker or is_forced then redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return generation
""")

# Stores a loaded schedule if the claim still holds, and only on the server that granted the claim. Another
# server may not know of a change that ended the claim. Dates that were there before may be of withdrawn questions: then the
# schedule gets the content version 0, so that the next read takes these out.
# KEYS: zset, marker. ARGV: generation, token, ttl seconds, content version, then score and member of each item.
# Returns 1 if stored, 0 if a change came between: the loaded dates may lack that change.
FINISH_LOAD = Script(f"""{_HISTORY}
if redis.call('GET', KEYS[2]) ~= ARGV[2] or string.sub(ARGV[1], 1, 12) ~= history then return 0 end
local version = redis.call('EXISTS', KEYS[1]) == 1 and '0' or ARGV[4]
for i = 5, #ARGV, 1000 do
	redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
local state = redis.call('EXISTS', KEYS[1]) == 1 and '' or ':empty'
redis.call('SET', KEYS[2], ARGV[1] .. '#' .. version .. state, 'EX', ARGV[3])
return 1
""")

# Adds dates to a schedule, whole or not. Ends the claim of a load in flight, which does not know of these
# dates.
# KEYS: zset, marker. ARGV: ttl seconds, then score and member of each item.
ADD = Script("""
local marker = redis.call('GET', KEYS[2])
if marker and string.sub(marker, 1, 8) == 'loading:' then redis.call('DEL', KEYS[2]) end
for i = 2, #ARGV, 1000 do
	redis.call('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")

# Applies an answer's new dates to a whole schedule. Drops a schedule that is not whole, and a schedule for
# which ZADD fails because Redis has no memory left: the next read loads the schedule. Drops a schedule of a newer content
# version, too: a question that was answered may have been withdrawn since.
# KEYS: zset, marker. ARGV: epoch, ttl seconds, content version, then score and member of each item.
# Returns nothing, or the error of ZADD.
RESCHEDULE = Script(f"""{_GENERATION}{_PARTS}
local of, version, rest = parts(redis.call('GET', KEYS[2]))
local is_whole = of == generation and (rest == ':empty' or redis.call('EXISTS', KEYS[1]) == 1)
if not is_whole or version > tonumber(ARGV[3]) then
	redis.call('DEL', KEYS[1], KEYS[2])
	return
end
for i = 4, #ARGV, 1000 do
	local added = redis.pcall('ZADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
	if type(added) == 'table' then
		redis.call('DEL', KEYS[1], KEYS[2])
		return added
	end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], generation .. '#' .. version, 'EX', ARGV[2])
""")

# Gives questions that a whole schedule holds other dates. Adds none: the schedule leaves out those that are withdrawn. Drops
# a schedule that is not whole.
# KEYS: zset, marker. ARGV: epoch, then score and member of each item.
MOVE = Script(f"""{_GENERATION}{_PARTS}
local of, version, rest = parts(redis.call('GET', KEYS[2]))
if of ~= generation then
	redis.call('DEL', KEYS[1], KEYS[2])
	return
end
for i = 2, #ARGV, 1000 do
	redis.call('ZADD', KEYS[1], 'XX', unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
""")

# Says whether a schedule lacks one of these dates, or is being loaded from rows that may lack one. A schedule
# that Redis does not hold at all lacks nothing. A key of another type, which is no schedule, lacks everything.
# KEYS: zset, marker. ARGV: score and member of each item. Returns 1 or 0.
IS_OUTDATED = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then
	local marker = redis.pcall('GET', KEYS[2]) or ''
	if type(marker) == 'table' then return 1 end
	return (string.sub(marker, 1, 8) == 'loading:' or string.sub(marker, -6) == ':empty') and 1 or 0
end
for i = 1, #ARGV, 2 do
	local score = redis.pcall('ZSCORE', KEYS[1], ARGV[i + 1])
	if type(score) == 'table' or tonumber(score) ~= tonumber(ARGV[i]) then return 1 end
end
return 0
""")
