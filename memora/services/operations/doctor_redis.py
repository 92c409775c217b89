"""The doctor's checks of the three Redis. Each yields (problem, how to mend it)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import frappe
from frappe import _
from frappe.utils import get_sites
from redis.exceptions import (
	AuthenticationError,
	BusyLoadingError,
	NoPermissionError,
	ReadOnlyError,
	RedisError,
	ResponseError,
)

from memora.services.cache import causes, connections, settling
from memora.services.cache.addresses import shown, to_write
from memora.services.cache.breaker import Unavailable
from memora.services.cache.connections import SENTINEL, Place
from memora.services.cache.keys import ScheduleKeys
from memora.services.operations import doctor_site, redis_servers
from memora.services.operations.production_bench import is_here
from memora.services.operations.redis_servers import WHERE_CACHE, WHERE_QUEUE, WHERE_SRS
from memora.services.store import failures, frappe_rows

# Of bench's configuration of supervisor, and of ours
PROGRAMS = {
	WHERE_CACHE: "{0}-redis:{0}-redis-cache",
	WHERE_QUEUE: "{0}-redis:{0}-redis-queue",
	WHERE_SRS: "{0}-redis-srs",
}
TIMEOUTS = "socket_timeout=0.5&socket_connect_timeout=0.5"

Findings = Iterator[tuple[str, str]]


def find_lacking_rights() -> Findings:
	"""Yields each server of the schedules that refuses Memora something, or does not know a command."""
	keys = ScheduleKeys(frappe.conf.get("srs_redis_namespace"))
	for where, url in redis_servers.servers():
		if where != WHERE_SRS or not (lacking := redis_servers.find_lacking(url, keys)):
			continue
		if lacking.rules:
			yield (
				_("The user {0} of {1} lacks rights at {2}.").format(lacking.user, where, shown(url)),
				_("Run this as an administrator of that Redis: {0}").format(lacking.mend),
			)
		if lacking.unknown:
			commands = ", ".join(lacking.unknown).upper()
			yield (
				_("{0} does not know these commands at {1}: {2}").format(where, shown(url), commands),
				_(
					"If a proxy stands before that Redis, let it pass them on, or name the Redis itself in {0}."
				).format(where),
			)


def reachable() -> Findings:
	sentinels = [(SENTINEL, url) for url in redis_servers.sentinel_urls()]
	servers = redis_servers.servers()
	if sentinels and WHERE_SRS not in dict(servers):
		yield (
			_("No Sentinel of {0} names a master that is up.").format(SENTINEL),
			_("Ask a Sentinel: redis-cli -u {0} SENTINEL MASTERS").format(shown(sentinels[0][1])),
		)
	for where, url in (*servers, *sentinels):
		try:
			redis_servers.connect(url).ping()
		except NoPermissionError:
			continue  # it answers; redis_rights tells the rest
		except (RedisError, OSError) as error:
			yield (
				_("{0} can't be used at {1}: {2}").format(where, shown(url), causes.cause(error)),
				_mend(where, url, error),
			)


def _mend(where: str, url: str, error: Exception) -> str:
	"""A Redis that says no is there: to start it would mend nothing."""
	if "without any password configured" in str(error):
		return _("Take user and password out of its URL: bench set-config -g {0} '{1}'").format(
			where, to_write(url, "")
		)
	if isinstance(error, AuthenticationError) or "Authentication required" in str(error):
		return _("Write user and password of that Redis into its URL: bench set-config -g {0} '{1}'").format(
			where, to_write(url, "<user>:<password>")
		)
	if isinstance(error, ResponseError | BusyLoadingError | ReadOnlyError):
		return _("Mend that Redis. docs/operations.md says for each reason what to do.")
	if where in PROGRAMS and is_here(url):
		return _("Start that Redis. If supervisor runs it: {0}").format(
			doctor_site.start_command(PROGRAMS[where])
		)
	return _("Start that Redis.")


def evicts() -> Findings:
	for where, url in redis_servers.servers():
		policy = redis_servers.setting(url, "maxmemory-policy") or "noeviction"
		if where != WHERE_CACHE and policy != "noeviction":
			yield (
				_("{0} evicts keys ({1}): {2}").format(where, policy, shown(url)),
				redis_servers.lasting(url, "maxmemory-policy noeviction"),
			)


def persists() -> Findings:
	for where, url in redis_servers.servers():
		if where != WHERE_CACHE and redis_servers.setting(url, "appendonly") == "no":
			yield (
				_("{0} loses its latest or all data when it restarts: {1}").format(where, shown(url)),
				redis_servers.lasting(url, "appendonly yes"),
			)


def own_instance() -> Findings:
	cache = connections.identities(Place(frappe.conf.redis_cache or ""))
	place = redis_servers.schedules()
	own = connections.identities(place) if place else set()
	if {identity[:3] for identity in cache} & {identity[:3] for identity in own}:
		yield (
			_("Schedules share a Redis with Frappe's cache. bench build empties that Redis."),
			_(
				"Have one made for schedules alone: {0}. Or start one yourself, and name it: bench set-config -g {1} {2}"
			).format(doctor_site.setup_command(), WHERE_SRS, f"'redis://127.0.0.1:13100?{TIMEOUTS}'"),
		)


def namespace() -> Findings:
	own = _place(frappe.conf) if redis_servers.schedules() else set()
	for site in get_sites():
		if site == frappe.local.site or not _place(frappe.get_site_config(site_path=site)) & own:
			continue
		if _has_memora(site):
			yield (
				_("Site {0} keeps its schedules in the same Redis under the same names.").format(site),
				f"bench --site {frappe.local.site} set-config srs_redis_namespace {frappe.local.site}",
			)


def _has_memora(site: str) -> bool:
	"""Says whether Memora is on another site; yes if nobody knows."""

	def ask(sites_path: str) -> bool:
		frappe.init(site=site, sites_path=sites_path)
		try:
			frappe.connect()
			return frappe_rows.is_installed()
		except failures.ERRORS:
			return True
		finally:
			frappe.destroy()

	with ThreadPoolExecutor(1) as threads:  # with a frappe.local of its own
		return threads.submit(ask, frappe.local.sites_path).result()


def owner() -> Findings:
	try:
		owner = settling.find_owner_in_the_way() if redis_servers.schedules() else None
	except Unavailable:  # redis_reachable or mariadb_reachable tells of it
		return
	if owner:
		site = frappe.local.site
		yield (
			_(
				"The schedules in Redis belong to {0}. This site leaves them alone, and its learners get Safe Mode."
			).format(owner),
			_("Give this site its own: {0}. If that site is gone for good, take these: {1}").format(
				f"bench --site {site} migrate", f"bench --site {site} memora take-keys"
			),
		)


def socket_timeouts() -> Findings:
	for where in (WHERE_CACHE, WHERE_QUEUE):
		url = frappe.conf.get(where) or ""
		query = urlsplit(url).query
		if "socket_timeout" not in parse_qs(query):
			yield (
				_("{0} has no socket_timeout. If that Redis hangs, every request hangs with it.").format(
					where
				),
				f"bench set-config -g {where} '{to_write(url)}{'&' if query else '?'}{TIMEOUTS}'",
			)


def _place(conf: dict[str, Any]) -> set[tuple[Any, ...]]:
	"""Returns the places of a site's schedules. No two sites may have a place in common."""
	places = connections.identities(connections.place(conf))
	return {(*place, conf.get("srs_redis_namespace") or "") for place in places}
