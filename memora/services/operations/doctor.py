"""Looks for known faults in a site's surroundings, and says how to mend each fault."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import background_jobs, get_sites, scheduler
from redis.exceptions import NoPermissionError, RedisError

from memora.services import site_time
from memora.services.cache import connections, settling
from memora.services.cache.addresses import shown
from memora.services.cache.breaker import Unavailable
from memora.services.cache.connections import SENTINEL, Place
from memora.services.folding.queueing import QUEUE
from memora.services.operations import (
	clocks,
	closed_doors,
	doctor_access,
	doctor_files,
	doctor_jobs,
	doctor_locks,
	doctor_redis,
	doctor_retention,
	redis_servers,
)
from memora.services.operations.redis_servers import WHERE_CACHE, WHERE_QUEUE, WHERE_SRS
from memora.services.store import (
	database,
	digits,
	failures,
	layout,
	outbox,
	partitions,
	surroundings,
	tables,
	tracker,
)

OLDEST_MARIADB = (10, 6)
JOB_SECONDS = 300
ACCEPTED = "memora_doctor_accepts"
FOLD_SECONDS = 300  # if answers wait longer, nobody folds
TIMEOUTS = "socket_timeout=0.5&socket_connect_timeout=0.5"


class Finding(NamedTuple):
	"""A fault. `check` is a word for programs; `mend` says what to do."""

	check: str
	problem: str
	mend: str


def examine() -> list[Finding]:
	"""Returns all faults, in the order of the checks, but for checks that the configuration accepts. Changes nothing."""
	accepted = frappe.conf.get(ACCEPTED) or ()
	return [finding for check in CHECKS if check not in accepted for finding in _look(check)]


def get_notes() -> list[str]:
	"""Returns what is no fault, but was not looked at."""
	return [] if redis_servers.schedules() else [_("No season uses the Redis for schedules.")]


def _look(check: str) -> list[Finding]:
	try:
		return [Finding(check, *found) for found in CHECKS[check]()]
	except Exception as error:  # any fault may break a check; another check names the fault
		return [
			Finding(
				check,
				_("This could not be checked: {0}: {1}").format(type(error).__name__, error),
				_("Mend the other findings, then run the doctor again."),
			)
		]


def _bench(command: str) -> str:
	return f"bench --site {frappe.local.site} {command}"


Findings = Iterator[tuple[str, str]]


def _queue_configured() -> Findings:
	if QUEUE not in background_jobs.get_queues_timeout():
		workers = {**(frappe.conf.workers or {}), QUEUE: {"timeout": JOB_SECONDS}}
		yield (
			_("common_site_config.json has no queue {0}. Answers share a queue with all other jobs.").format(
				QUEUE
			),
			f"bench set-config -gp workers '{json.dumps(workers)}'",
		)


def _queue_worked() -> Findings:
	backlog = outbox.get_backlog()
	now = site_time.naive_now()
	if backlog.oldest and (now - backlog.oldest).total_seconds() > FOLD_SECONDS:
		oldest = backlog.oldest.replace(microsecond=0)
		yield (
			_("1 submission has waited since {0} to be processed.").format(oldest)
			if backlog.waiting == 1
			else _("{0} submissions wait to be processed, the oldest since {1}.").format(
				outbox.as_text(backlog.waiting), oldest
			),
			_("Start a worker: bench worker --queue {0}. To process the answers at once: {1}").format(
				QUEUE, _bench("memora drain")
			),
		)
	if backlog.parked:
		yield (
			_("1 submission is parked because it could not be processed.")
			if backlog.parked == 1
			else _("{0} submissions are parked because they could not be processed.").format(
				outbox.as_text(backlog.parked)
			),
			_("Look at the errors in Review Outbox, mend their cause, then run: {0}").format(
				_bench("memora drain --parked")
			),
		)


def _redis_reachable() -> Findings:
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
				_("{0} does not answer at {1}: {2}").format(where, shown(url), error),
				_("Start that Redis."),
			)


def _redis_evicts() -> Findings:
	for where, url in redis_servers.servers():
		policy = redis_servers.setting(url, "maxmemory-policy") or "noeviction"
		if where != WHERE_CACHE and policy != "noeviction":
			yield (
				_("{0} evicts keys ({1}): {2}").format(where, policy, shown(url)),
				redis_servers.lasting(url, "maxmemory-policy noeviction"),
			)


def _redis_persists() -> Findings:
	for where, url in redis_servers.servers():
		if where != WHERE_CACHE and redis_servers.setting(url, "appendonly") == "no":
			yield (
				_("{0} loses its latest or all data when it restarts: {1}").format(where, shown(url)),
				redis_servers.lasting(url, "appendonly yes"),
			)


def _redis_own_instance() -> Findings:
	cache = connections.identities(Place(frappe.conf.redis_cache or ""))
	place = redis_servers.schedules()
	own = connections.identities(place) if place else set()
	if {identity[:3] for identity in cache} & {identity[:3] for identity in own}:
		yield (
			_("Schedules share a Redis with Frappe's cache. bench build empties that Redis."),
			_("Start a Redis for schedules alone, and name it: bench set-config -g {0} {1}").format(
				WHERE_SRS, f"'redis://127.0.0.1:13100?{TIMEOUTS}'"
			),
		)


def _redis_namespace() -> Findings:
	own = _place(frappe.conf) if redis_servers.schedules() else set()
	for site in get_sites():
		if site != frappe.local.site and _place(frappe.get_site_config(site_path=site)) & own:
			yield (
				_("Site {0} keeps its schedules in the same Redis under the same names.").format(site),
				_bench(f"set-config srs_redis_namespace {frappe.local.site}"),
			)


def _redis_owner() -> Findings:
	try:
		owner = settling.find_other_owner() if redis_servers.schedules() else None
	except Unavailable:  # redis_reachable or mariadb_reachable tells of it
		return
	if owner:
		yield (
			_(
				"The schedules in Redis belong to {0}. This site leaves them alone, and its learners get Safe Mode."
			).format(owner),
			_("Give this site its own: {0}. If that site is gone for good, take these: {1}").format(
				_bench("migrate"), _bench("memora take-keys")
			),
		)


def _socket_timeouts() -> Findings:
	for where in (WHERE_CACHE, WHERE_QUEUE):
		url = frappe.conf.get(where) or ""
		if "socket_timeout" not in parse_qs(urlsplit(url).query):
			mend = f"bench set-config -g {where} '{shown(url)}?{TIMEOUTS}'"
			if where == WHERE_QUEUE:
				mend += _(", and start workers with FRAPPE_REDIS_QUEUE={0}").format(shown(url))
			yield (
				_("{0} has no socket_timeout. If that Redis hangs, every request hangs with it.").format(
					where
				),
				mend,
			)


def _scheduler() -> Findings:
	if frappe.conf.pause_scheduler:
		yield _("The scheduler is paused."), _bench("scheduler resume")
	elif scheduler.is_scheduler_disabled(verbose=False):
		yield _("The scheduler is off."), _bench("enable-scheduler")
	elif scheduler.is_dormant() and tracker.has_answers():
		yield (
			_(
				"Nobody has signed in or learned for days. Frappe treats the site as dormant and runs scheduled jobs only once a day."
			),
			_(
				"It ends with the next sign-in, and within an hour of a learner's next request. In System Settings, set 'Run Jobs only Daily if Inactive For (Days)' to more days than holidays last."
			),
		)


def _mariadb_reachable() -> Findings:
	try:
		database.ping()
	except failures.FAILURES as error:
		yield (
			_("MariaDB does not answer: {0}").format(error),
			_("Start MariaDB. db_host and db_port say where Memora looks for it."),
		)


def _mariadb_version() -> Findings:
	version = surroundings.get_version()
	if not is_supported(version):
		yield (
			_("The database is {0}.").format(version),
			_("Memora needs MariaDB {0}.{1} or later.").format(*OLDEST_MARIADB),
		)


def is_supported(version: str) -> bool:
	"""Says whether Memora supports a version of the database, such as `10.11.6-MariaDB-0+deb12u1`."""
	numbers = re.match(r"(\d+)\.(\d+)\D.*MariaDB", version)
	return numbers is not None and tuple(map(int, numbers.groups())) >= OLDEST_MARIADB


def _mariadb_durable() -> Findings:
	if not surroundings.is_durable():
		yield (
			_("MariaDB may lose the answers of the last second in a power cut."),
			_("Run this as MariaDB's root user, and put it into MariaDB's configuration: {0}").format(
				"SET GLOBAL innodb_flush_log_at_trx_commit = 1"
			),
		)


def _partitions() -> Findings:
	for name in partitions.find_wrong_seasons():
		yield (
			_("Season {0} lacks partitions, or is marked wrongly as lacking them.").format(name),
			_bench("memora partitions --heal"),
		)
	if layout.lacks_layout():
		yield (
			_("The tables are not partitioned as they should be."),
			_bench("migrate"),
		)


def _digits() -> Findings:
	narrow = _("Column {0} of {1} is {2}: what learners know is stored rounded.")
	customized = _("On Frappe 16 the customization {0} rounds what is stored.")
	for doctype in tables.INDEXES:
		for column, kind in digits.find_rounding_columns(doctype).items():
			yield narrow.format(column, doctype, kind), _bench("migrate")
		for setter in digits.find_setters(doctype):
			yield customized.format(setter), _bench("migrate")


def _time_zone() -> Findings:
	name = frappe.db.get_single_value("System Settings", "time_zone")
	try:
		ZoneInfo(name or "")
	except (ValueError, OSError, KeyError):
		yield (
			_("The time zone in System Settings is {0}.").format(name or _("nothing")),
			_("Choose the schools' time zone in System Settings. Learning days begin by that zone."),
		)


CHECKS: dict[str, Callable[[], Findings]] = {
	"mariadb_reachable": _mariadb_reachable,
	"redis_reachable": _redis_reachable,
	"redis_rights": doctor_redis.find_lacking_rights,
	"redis_evicts": _redis_evicts,
	"redis_persists": _redis_persists,
	"redis_own_instance": _redis_own_instance,
	"redis_namespace": _redis_namespace,
	"redis_owner": _redis_owner,
	"socket_timeouts": _socket_timeouts,
	"redis_closed": closed_doors.find_open_redis,
	"redis_encrypted": closed_doors.find_plain_redis,
	"queue_configured": _queue_configured,
	"queue_worked": _queue_worked,
	"long_jobs": doctor_jobs.long_jobs,
	"scheduler": _scheduler,
	"mariadb_version": _mariadb_version,
	"open_files": doctor_files.open_files,
	"mariadb_durable": _mariadb_durable,
	"mariadb_locks": doctor_locks.find_refused_locks,
	"mariadb_one_writer": doctor_locks.find_writers,
	"mariadb_encrypted": closed_doors.find_plain_mariadb,
	"partitions": _partitions,
	"digits": _digits,
	"clocks": clocks.find_wrong,
	"time_zone": _time_zone,
	"sign_up": doctor_access.sign_up,
	"retention": doctor_retention.retention,
}


def _place(conf: dict[str, Any]) -> set[tuple[Any, ...]]:
	"""Returns the places of a site's schedules. No two sites may have a place in common."""
	places = connections.identities(connections.place(conf))
	return {(*place, conf.get("srs_redis_namespace") or "") for place in places}
