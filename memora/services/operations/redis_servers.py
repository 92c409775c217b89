"""Asks the three Redis for the doctor, without breakers and pools: these tell how Redis was, and the doctor has to know
how Redis is now."""

from collections.abc import Callable
from typing import Any

import frappe
import redis
from frappe import _
from redis.exceptions import RedisError

from memora.services.cache import addresses, connections, rights
from memora.services.cache.addresses import shown
from memora.services.cache.connections import Place
from memora.services.cache.keys import ScheduleKeys
from memora.services.cache.rights import Lacking
from memora.services.store import failures, seasons

PING_SECONDS = 2

TOLD: dict[str, Callable[[dict[str, Any]], str | None]] = {
	"maxmemory-policy": lambda told: told.get("maxmemory_policy"),
	"appendonly": lambda told: {0: "no", 1: "yes"}.get(told.get("aof_enabled", -1)),
}

WHERE_SRS, WHERE_QUEUE, WHERE_CACHE = connections.URL, "redis_queue", "redis_cache"


def schedules() -> Place | None:
	"""Returns the place of the schedules; None if no season uses it, so that nobody need look at it."""
	try:
		is_used = seasons.uses_redis()
	except failures.ERRORS:  # another check tells of MariaDB
		is_used = True
	return connections.place(frappe.conf) if is_used else None


@addresses.without_variables
def servers() -> list[tuple[str, str]]:
	"""Returns (setting, URL) of each server; for the schedules, of all nodes and of replicas, which may take over."""
	urls = schedule_urls()
	frappes = [(name, addresses.readable(frappe.conf[name], name)) for name in (WHERE_QUEUE, WHERE_CACHE)]
	return [*((WHERE_SRS, url) for url in urls), *frappes]


@addresses.without_variables
def schedule_urls() -> list[str]:
	place = schedules()
	return connections.server_urls(place) if place else []


@addresses.without_variables
def sentinel_urls() -> list[str]:
	place = schedules()
	return connections.sentinel_urls(place) if place else []


def connect(url: str) -> redis.Redis:
	options = {"socket_timeout": PING_SECONDS, "socket_connect_timeout": PING_SECONDS}
	return redis.Redis.from_url(url, decode_responses=True, **options)  # options in the URL override these


def ask(url: str, question: Callable[[redis.Redis], Any]) -> Any:
	"""Returns a server's answer, or None if the server does not answer: the check redis_reachable reports that."""
	try:
		return question(connect(url))
	except (RedisError, OSError):
		return None


def find_lacking(url: str, keys: ScheduleKeys) -> Lacking | None:
	"""Returns what a server refuses of what Memora needs, or None if the server does not answer."""
	return ask(url, lambda client: rights.find_lacking(client, keys))


def setting(url: str, name: str) -> str | None:
	"""Returns a setting, or None if the server does not tell. Few managed servers let anybody ask for settings."""
	return (ask(url, lambda client: client.config_get(name)) or {}).get(name) or _told(url, name)


def _told(url: str, name: str) -> str | None:
	"""Returns a setting that INFO tells, too."""
	told = ask(url, lambda client: client.info()) or {} if name in TOLD else {}
	return TOLD[name](told) if told else None


def lasting(url: str, setting: str) -> str:
	"""Returns a command for a setting that lasts until the server restarts, and the line for its redis.conf."""
	return _(
		"redis-cli -u {0} CONFIG SET {1}, and in its redis.conf: {1}. For a Redis that this bench runs, {2} writes that file."
	).format(shown(url), setting, f"bench --site {frappe.local.site} memora setup-production")
