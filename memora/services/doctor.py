"""Looks at a site's surroundings for what is known to go wrong, and says how to mend each."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import frappe
import redis
from frappe import _
from frappe.utils import background_jobs, get_sites, scheduler
from redis.exceptions import RedisError

from memora.services import memory_store, partition_manager, site_time
from memora.services.srs_persistence import QUEUE
from memora.services.srs_redis_manager import redis_url

OLDEST_MARIADB = (10, 6)
CLOCK_SECONDS = 2  # by which two machines may differ
FOLD_SECONDS = 300  # after which waiting answers mean that nobody folds
PING_SECONDS = 2

WHERE_SRS, WHERE_QUEUE = "srs_redis_cache", "redis_queue"


class Finding(NamedTuple):
	"""Something that is wrong. `check` is a word for programs."""

	check: str
	problem: str
	mend: str


def examine() -> list[Finding]:
	"""All that is wrong, in the order of the checks; empty when nothing is. Changes nothing."""
	return [Finding(check, *found) for check, look in CHECKS.items() for found in look()]


Findings = Iterator[tuple[str, str]]


def _queue_configured() -> Findings:
	if QUEUE not in background_jobs.get_queues_timeout():
		yield (
			_("common_site_config.json has no queue {0}: answers share a queue with everything else.").format(
				QUEUE
			),
			f'bench set-config -gp workers \'{{"{QUEUE}": {{"timeout": 300}}}}\'',
		)


def _queue_worked() -> Findings:
	backlog = memory_store.get_backlog()
	now = site_time.to_naive(site_time.now())
	if backlog.oldest and (now - backlog.oldest).total_seconds() > FOLD_SECONDS:
		yield (
			_("{0} submissions wait to be folded, the oldest since {1}.").format(
				backlog.waiting, backlog.oldest
			),
			_("Start a worker: bench worker --queue {0}. At once: bench memora drain").format(QUEUE),
		)
	if backlog.parked:
		yield (
			_("{0} submissions are parked: they could not be folded.").format(backlog.parked),
			_("Look at the errors in Review Outbox, mend their cause, then: bench memora drain --parked"),
		)


def _redis_reachable() -> Findings:
	for where, url in _servers().items():
		try:
			_connect(url).ping()
		except (RedisError, OSError) as error:
			yield (
				_("{0} does not answer at {1}: {2}").format(where, _shown(url), error),
				_("Start that Redis."),
			)


def _redis_evicts() -> Findings:
	for where, url in _servers().items():
		if where != "redis_cache" and (policy := _setting(url, "maxmemory-policy")) not in (
			None,
			"noeviction",
		):
			yield (
				_("{0} evicts keys ({1}).").format(where, policy),
				f"redis-cli -u {_shown(url)} CONFIG SET maxmemory-policy noeviction",
			)


def _redis_persists() -> Findings:
	for where, url in _servers().items():
		if where != "redis_cache" and _setting(url, "appendonly") == "no":
			yield (
				_("{0} forgets everything when it restarts.").format(where),
				f"redis-cli -u {_shown(url)} CONFIG SET appendonly yes",
			)


def _redis_own_instance() -> Findings:
	if _place(redis_url(frappe.conf)) == _place(frappe.conf.redis_cache or ""):
		yield (
			_("Schedules share a Redis with Frappe's cache, which bench build empties."),
			_("Start a Redis of its own and name it: bench set-config -g {0} redis://…").format(WHERE_SRS),
		)


def _redis_namespace() -> Findings:
	own = redis_url(frappe.conf)
	for site in get_sites():
		conf = frappe.get_site_config(site_path=site) if site != frappe.local.site else {}
		is_same = conf and redis_url(conf) == own
		if is_same and conf.get("srs_redis_namespace") == frappe.conf.get("srs_redis_namespace"):
			yield (
				_("Site {0} keeps its schedules in the same Redis under the same names.").format(site),
				f"bench --site {frappe.local.site} set-config srs_redis_namespace {frappe.local.site}",
			)


def _socket_timeouts() -> Findings:
	for where in ("redis_cache", "redis_queue"):
		if "socket_timeout" not in parse_qs(urlsplit(frappe.conf.get(where) or "").query):
			yield (
				_("{0} has no socket_timeout: while that Redis hangs, so does every request.").format(where),
				f"bench set-config -g {where} '…?socket_timeout=0.5&socket_connect_timeout=0.5'",
			)


def _scheduler() -> Findings:
	if scheduler.is_scheduler_disabled(verbose=False):
		yield _("The scheduler is off."), f"bench --site {frappe.local.site} enable-scheduler"
	elif scheduler.is_dormant() and memory_store.has_answers():
		yield (
			_(
				"Frappe takes the site for dormant, as nobody has signed in for days, and runs jobs once a day."
			),
			_("System Settings, 'Run Jobs only Daily if Inactive For (Days)', and sign in once."),
		)


def _mariadb_version() -> Findings:
	version = frappe.db.sql("SELECT VERSION()")[0][0]
	if "MariaDB" not in version or tuple(map(int, version.split(".")[:2])) < OLDEST_MARIADB:
		yield (
			_("The database is {0}.").format(version),
			_("Memora needs MariaDB {0}.{1} or later.").format(*OLDEST_MARIADB),
		)


def _mariadb_durable() -> Findings:
	if frappe.db.sql("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")[0][0] != 1:
		yield (
			_("MariaDB may lose the answers of the last second in a power cut."),
			"SET GLOBAL innodb_flush_log_at_trx_commit = 1",
		)


def _partitions() -> Findings:
	for name, created in frappe.db.sql("SELECT name, partition_created FROM `tabGame Subscription Season`"):
		if bool(created) != partition_manager.has_partitions(name):
			yield _("Season {0} lacks partitions, or says so.").format(name), "bench memora partitions --heal"
	if partition_manager.lacks_layout():
		yield (
			_("The tables are not partitioned as they should be."),
			f"bench --site {frappe.local.site} migrate",
		)


def _clocks() -> Findings:
	clocks = {"MariaDB": float(frappe.db.sql("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])}
	for where, url in _servers().items():
		if where == WHERE_SRS:
			seconds, microseconds = _ask(url, lambda client: client.time()) or (time.time(), 0)
			clocks[where] = seconds + microseconds / 1e6
	for name, clock in clocks.items():
		if abs(off := clock - time.time()) > CLOCK_SECONDS:
			yield (
				_("The clock of {0} is {1} s off this machine's.").format(name, round(off)),
				_("Let all machines take the time from NTP, for instance with chrony."),
			)


def _time_zone() -> Findings:
	name = frappe.db.get_single_value("System Settings", "time_zone")
	try:
		ZoneInfo(name or "")
	except (ValueError, OSError, KeyError):
		yield (
			_("System Settings have the time zone {0}.").format(name or _("nothing")),
			_("Choose the schools' time zone in System Settings: learning days begin by it."),
		)


CHECKS: dict[str, Callable[[], Findings]] = {
	"redis_reachable": _redis_reachable,
	"redis_evicts": _redis_evicts,
	"redis_persists": _redis_persists,
	"redis_own_instance": _redis_own_instance,
	"redis_namespace": _redis_namespace,
	"socket_timeouts": _socket_timeouts,
	"queue_configured": _queue_configured,
	"queue_worked": _queue_worked,
	"scheduler": _scheduler,
	"mariadb_version": _mariadb_version,
	"mariadb_durable": _mariadb_durable,
	"partitions": _partitions,
	"clocks": _clocks,
	"time_zone": _time_zone,
}


# Redis, asked apart from breakers and pools: whoever examines wants to know how it is now


def _servers() -> dict[str, str]:
	conf = frappe.conf
	return {WHERE_SRS: redis_url(conf), WHERE_QUEUE: conf.redis_queue, "redis_cache": conf.redis_cache}


def _connect(url: str) -> redis.Redis:
	options = {"socket_timeout": PING_SECONDS, "socket_connect_timeout": PING_SECONDS}
	return redis.Redis.from_url(url.partition("?")[0], decode_responses=True, **options)


def _ask(url: str, question: Callable[[redis.Redis], object]):
	"""The answer; None where there is none, which _redis_reachable says."""
	try:
		return question(_connect(url))
	except (RedisError, OSError):
		return None


def _setting(url: str, name: str) -> str | None:
	return (_ask(url, lambda client: client.config_get(name)) or {}).get(name)


def _place(url: str) -> tuple[str | None, int | None]:
	parts = urlsplit(url)
	return parts.hostname, parts.port


def _shown(url: str) -> str:
	"""The URL without its password and options."""
	parts = urlsplit(url)
	return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
