"""Looks for known faults in a site's surroundings, and says how to mend each fault."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple
from zoneinfo import ZoneInfo

import frappe
from frappe import _
from frappe.utils import background_jobs, now_datetime, scheduler

from memora.services import site_time
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
	doctor_scheduler,
	doctor_site,
	redis_servers,
)
from memora.services.store import (
	database,
	digits,
	failures,
	hosts,
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
DAY_SECONDS = 86_400
FOLD_SECONDS = 300  # if answers wait longer, nobody folds


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
	"""Returns what is no fault, but good to know."""
	notes = [] if redis_servers.schedules() else [_("No season uses the Redis for schedules.")]
	with suppress(*failures.FAILURES):  # a check tells of it
		notes += [
			_("Each web process on {0} serves one request at a time.").format(host)
			for host in hosts.get_without_threads(DAY_SECONDS)
		]
	return notes


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
			_("Have it set up: {0}. Or by hand: {1}").format(
				doctor_site.setup_command(), f"bench set-config -gp workers '{json.dumps(workers)}'"
			),
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


def _scheduler() -> Findings:
	if frappe.conf.pause_scheduler:
		yield _("The scheduler is paused."), doctor_site.switch_off("pause_scheduler")
	elif scheduler.is_scheduler_disabled(verbose=False):
		yield _("The scheduler is off."), _bench("enable-scheduler")
	elif _is_dormant() and tracker.has_answers():
		yield (
			_(
				"Nobody has signed in or learned for days. Frappe treats the site as dormant and runs scheduled jobs only once a day."
			),
			_(
				"It ends with the next sign-in, and within an hour of a learner's next request. In System Settings, set 'Run Jobs only Daily if Inactive For (Days)' to more days than holidays last."
			),
		)


def _is_dormant() -> bool:
	"""As of now: what it finds without a time Frappe 16 keeps for an hour."""
	return scheduler.is_dormant(check_time=now_datetime())


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
			_("System Settings have no time zone.")
			if not name
			else _("The time zone in System Settings is {0}.").format(name),
			_("Choose the schools' time zone in System Settings. Learning days begin by that zone."),
		)


CHECKS: dict[str, Callable[[], Findings]] = {
	"mariadb_reachable": _mariadb_reachable,
	"redis_reachable": doctor_redis.reachable,
	"redis_rights": doctor_redis.find_lacking_rights,
	"redis_evicts": doctor_redis.evicts,
	"redis_persists": doctor_redis.persists,
	"redis_own_instance": doctor_redis.own_instance,
	"redis_namespace": doctor_redis.namespace,
	"redis_owner": doctor_redis.owner,
	"socket_timeouts": doctor_redis.socket_timeouts,
	"redis_closed": closed_doors.find_open_redis,
	"redis_encrypted": closed_doors.find_plain_redis,
	"queue_configured": _queue_configured,
	"queue_worked": _queue_worked,
	"queue_workers": doctor_scheduler.workers_alive,
	"long_jobs": doctor_jobs.long_jobs,
	"scheduler": _scheduler,
	"scheduled_jobs": doctor_scheduler.scheduled_jobs,
	"maintenance": doctor_site.maintenance,
	"code_version": doctor_site.code_version,
	"assets": doctor_site.assets,
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
