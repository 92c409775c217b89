"""Says in an operator's words why a Redis can't be used."""

import redis
from redis.exceptions import MovedError

from memora.services.cache.addresses import InvalidConfiguration
from memora.services.cache.breaker import describe_failure
from memora.services.cache.rights import MAY_NOT, UNKNOWN

TIMED_OUT = "it does not answer in time"
MISCONFIGURED = "its configuration is wrong"
# Parts of what Redis says, each with the cause it stands for.
CAUSES = {
	"maxmemory": "its memory is full",
	"read only replica": "it is a replica, which takes no writes",
	"previous master": "it is a replica, which takes no writes",
	"loading the dataset": "it is reading its data from disk",
	"Authentication required": "it wants a password that its URL lacks",
	"without any password configured": "it has no password, and its URL has one",
	"WRONGPASS": "it does not know the user or password in its URL",
	"invalid username-password": "it does not know the user or password in its URL",
	"MOVED ": "it is a node of a cluster, and srs_redis_cluster is not set",
	"Cluster mode is not enabled": "it is no cluster, and srs_redis_cluster is set",
	"can only be 0 in cluster mode": MISCONFIGURED,  # the URL ends with the number of a database
	"CLUSTERDOWN": "its cluster is down",
	"The cluster is down": "its cluster is down",
	"Hash slot not served": "its cluster is down",
	"No master found": "no Sentinel knows a master that is up",
	"MISCONF": "it can't write to its disk",
	**dict.fromkeys(("may not use", *MAY_NOT), "it does not let its user do what Memora needs"),
	**dict.fromkeys(UNKNOWN, "it lacks a command that Memora needs, or a proxy before it does"),
	"refused": "no server listens at this address",
}


def cause(error: BaseException) -> str:
	"""Returns what an operator reads: the cause, if known, and the words of Redis or of the system."""
	# leave the command out: it names a learner
	_command, _separator, said = describe_failure(error).rpartition("caused error: ")
	if isinstance(error, MovedError) and not said.startswith("MOVED "):
		said = f"MOVED {said}"  # which redis-py 7 leaves out
	if isinstance(error, InvalidConfiguration):
		return f"{MISCONFIGURED}: {said}"
	if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
		return f"{TIMED_OUT}: {said}"
	known = next((cause for part, cause in CAUSES.items() if part in said), "")
	return f"{known}: {said}" if known else said
