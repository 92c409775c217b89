"""Checks how the system is, against the thresholds in Memora Settings. The worst check gives the status."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import background_jobs, format_duration, get_datetime
from redis.exceptions import RedisError
from typing_extensions import TypedDict

from memora.services import alerts, site_time
from memora.services.cache import incidents, survey
from memora.services.cache.breaker import Unavailable
from memora.services.cache.schedules import Schedules
from memora.services.cache.status import MB
from memora.services.folding.queueing import get_queue, reach_queue
from memora.services.operations import clocks, hosts, latency
from memora.services.settings import get_settings
from memora.services.store import database, outbox, runs, seasons

DOCTYPE = "Memora Health"
Status = Literal["ok", "warning", "critical"]
OK: Final = "ok"
WARNING: Final = "warning"
CRITICAL: Final = "critical"
RANK: dict[Status, int] = {OK: 0, WARNING: 1, CRITICAL: 2}

# A better status is told when it has lasted for three looks, or, a fifth or less below the limit, for an hour.
QUIET_SECONDS = 14 * 60
CLOSE_SECONDS = 60 * 60
CLOSE = 0.8

ENOUGH_REQUESTS = 100  # with fewer, the slowest hundredth says nothing


class Check(NamedTuple):
	"""A check's result. `strict` is the status by limits that are a fifth lower: it is the same far from a limit."""

	status: Status
	value: Any
	message: str
	strict: Status | None = None


class CheckResult(TypedDict):
	"""A check's result. `value` is a figure in the unit that `message` names, or several figures by name."""

	status: Status
	value: bool | float | str | dict[str, float | None] | None
	message: str


class HealthReport(TypedDict):
	"""All checks by name. `status` is that of the worst check."""

	status: Status
	checks: dict[str, CheckResult]


def get_health() -> HealthReport:
	"""Returns {status, checks: {name: {status, value, message}}}; `status` is that of the worst check."""
	checks = _look()
	results = {name: _result(check) for name, check in checks.items()}
	return {"status": _worst(check.status for check in checks.values()), "checks": results}


def _look() -> dict[str, Check]:
	with latency.reading_once():
		return {name: check() for name, check in CHECKS.items()}


def _worst(statuses: Iterable[Status]) -> Status:
	return max(statuses, key=RANK.__getitem__)


def _result(check: Check) -> CheckResult:
	return {"status": check.status, "value": check.value, "message": check.message}


@alerts.in_error_log()
@alerts.in_site_language()
def watch() -> None:
	"""Tells managers if the status has changed since they were told last. Commits. Runs every five minutes.

	A worse status is told at once. A better one is told when it has lasted, so that a figure at its limit tells nobody
	twice.
	"""
	clocks.watch()
	checks, told = list(_look().values()), frappe.get_doc(DOCTYPE)
	status = _worst(check.status for check in checks)
	if RANK[status] < RANK[told.status]:
		if not told.better_since:
			_note_better(told, site_time.naive_now())
		if not _has_lasted(told, _worst(check.strict or check.status for check in checks)):
			return
	elif status == told.status:
		if told.better_since:
			_note_better(told, None)
		return
	_tell(told, status, [check.message for check in checks if check.status != OK])


def _note_better(told: Document, since: datetime | None) -> None:
	told.better_since = since
	frappe.db.set_single_value(DOCTYPE, "better_since", since, update_modified=False)
	frappe.db.commit()


def _has_lasted(told: Document, strict: Status) -> bool:
	"""Says whether a better status than that told has lasted; a figure that stays close to its limit takes longer."""
	seconds = (site_time.naive_now() - get_datetime(told.better_since)).total_seconds()
	return seconds >= (QUIET_SECONDS if RANK[strict] < RANK[told.status] else CLOSE_SECONDS)


def _tell(told: Document, status: Status, wrong: list[str]) -> None:
	message = " ".join(wrong) or _("All checks passed.")
	now = site_time.naive_now()
	told.update({"status": status, "since": now, "message": message, "better_since": None})
	told.save(ignore_permissions=True)
	alerts.tell_managers(  # commits, the new status included
		_("Memora is healthy again") if status == OK else _("Memora: {0}").format(_(status, context=DOCTYPE)),
		message,
		(DOCTYPE, DOCTYPE),
		is_error=status == CRITICAL,
		by_mail=True,
	)


def _unused() -> Check:
	return Check(OK, None, _("No season uses the Redis for schedules."))


def _schedules_redis() -> Check:
	if not seasons.uses_redis():
		return _unused()
	if Schedules().is_available():
		return Check(OK, True, _("The Redis for schedules answers."))
	return Check(CRITICAL, False, _("The Redis for schedules can't be reached. Safe Mode is on."))


def _safe_mode() -> Check:
	database.new_snapshot()  # the check of Redis may have opened an incident
	incident = incidents.get_open()
	if not incident:
		return Check(OK, None, _("No incident is open."))
	since = incident["started_at"].replace(microsecond=0)
	return Check(CRITICAL, incident["name"], _("Safe Mode since {0}: {1}").format(since, incident["reason"]))


def _queue_depth() -> Check:
	try:
		reach_queue()
		depth = background_jobs.get_queue(get_queue()).count
	except RedisError as error:
		return Check(CRITICAL, None, _("The Redis for the queue can't be reached: {0}").format(error))
	limits = get_settings()
	message = _("1 job waits.") if depth == 1 else _("{0} jobs wait.").format(depth)
	return _judge(depth, limits.queue_warning_jobs, limits.queue_critical_jobs, depth, message)


def _outbox() -> Check:
	backlog = outbox.get_backlog()
	now = site_time.naive_now()
	age = (now - backlog.oldest).total_seconds() if backlog.oldest else 0
	message = _waiting(backlog.waiting, format_duration(max(round(age), 1)))
	limits = get_settings()
	return _judge(age, limits.outbox_warning_seconds, limits.outbox_critical_seconds, round(age), message)


def _waiting(submissions: int, age: str) -> str:
	if not submissions:
		return _("No submission waits to be processed.")
	if submissions == 1:
		return _("1 submission has waited {0} to be processed.").format(age)
	return _("{0} submissions wait to be processed, the oldest for {1}.").format(
		outbox.as_text(submissions), age
	)


def _parked() -> Check:
	parked = outbox.count_parked()
	message = _("{0} submissions are parked.").format(outbox.as_text(parked))
	message = _("1 submission is parked.") if parked == 1 else message
	return Check(WARNING if parked else OK, parked, message)


def _discrepancy_rate() -> Check:
	rate = runs.get_last_discrepancy_rate()
	if rate is None:
		return Check(OK, None, _("The cache has not been compared with the database yet."))
	percent = rate * 100
	status: Status = WARNING if percent > get_settings().discrepancy_alert_percent else OK
	message = _("In the last comparison {0} % of the records were wrong in Redis.").format(f"{percent:g}")
	return Check(status, rate, message)


def _read_latency() -> Check:
	limits = get_settings()
	return _latency(latency.READ, limits.read_p99_warning_ms, limits.read_p99_critical_ms)


def _submit_latency() -> Check:
	limits = get_settings()
	return _latency(latency.SUBMIT, limits.submit_p99_warning_ms, limits.submit_p99_critical_ms)


def _latency(endpoint: str, warning_ms: int, critical_ms: int) -> Check:
	"""Judges all hosts together, and each host by itself: a slow one among many is slow for its learners."""
	recent, by_host = hosts.look_back(endpoint)
	if recent.p99_ms is None or recent.requests < ENOUGH_REQUESTS:
		message = _("{0}: too few requests to judge by ({1} in the last {2} s).")
		return Check(OK, recent._asdict(), message.format(endpoint, recent.requests, recent.seconds))
	message = _("{0}: p99 {1} ms, p50 {2} ms ({3} requests in the last {4} s).").format(
		endpoint, recent.p99_ms, recent.p50_ms, recent.requests, recent.seconds
	)
	judged = [(host.p99_ms or 0, name) for name, host in by_host if host.requests >= ENOUGH_REQUESTS]
	slowest_ms, slowest = max(judged, default=(0, ""))
	if len(by_host) > 1 and slowest:
		message += " " + _("The slowest host is {0}: p99 {1} ms.").format(slowest, slowest_ms)
	worst_ms = max(recent.p99_ms, slowest_ms)
	return _judge(worst_ms, warning_ms, critical_ms, recent._asdict(), message)


def _redis_memory() -> Check:
	if not seasons.uses_redis():
		return _unused()
	try:
		used, limit = survey.get_memory_use(Schedules())
	except Unavailable:
		return Check(OK, None, _("Unknown while the Redis for schedules can't be reached."))
	percent = round(100 * used / limit, 1)
	limits = get_settings()
	message = _("The Redis for schedules uses {0} % of its {1} MB.").format(percent, limit // MB)
	value = {"percent": percent, "used_bytes": used, "limit_bytes": limit}
	warning, critical = limits.redis_memory_warning_percent, limits.redis_memory_critical_percent
	return _judge(percent, warning, critical, value, message)


def _judge(figure: float, warning: float, critical: float, value: Any, message: str) -> Check:
	strict = _rank(figure, CLOSE * warning, CLOSE * critical)
	return Check(_rank(figure, warning, critical), value, message, strict)


def _rank(value: float, warning: float, critical: float) -> Status:
	return CRITICAL if value > critical else WARNING if value > warning else OK


CHECKS: dict[str, Callable[[], Check]] = {
	"read_latency": _read_latency,
	"submit_latency": _submit_latency,
	"schedules_redis": _schedules_redis,
	"redis_memory": _redis_memory,
	"safe_mode": _safe_mode,
	"queue_depth": _queue_depth,
	"outbox": _outbox,
	"parked": _parked,
	"discrepancy_rate": _discrepancy_rate,
}
