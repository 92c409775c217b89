"""Safe Mode Incidents: MariaDB's notes of each time that Redis could not be used.

An incident is open as long as some process meets the outage. It is closed by a process that reaches Redis again after it
had failed, or, if all who met the outage have died, by a job as soon as nobody has met it for WITNESS_SECONDS.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import frappe
from frappe import _
from frappe.utils import format_duration
from typing_extensions import TypedDict

from memora.services import alerts, site_time
from memora.services.store import database, failures, incident_rows

# A process that can't reach Redis tries every five seconds, if it has anything to do. At night a host may have nothing to do for
# minutes: if its outage ended with each pause, managers would be told of an outage and of its end all night.
WITNESS_SECONDS = 300
FLAP_SECONDS = 60  # an outage that begins so soon after the last has ended continues the last incident
COUNT_SECONDS = 5  # at least, between two writes of a process's counts


class OpenIncident(TypedDict):
	"""The incident that is open: since when Redis can't be used (naive site time), and why."""

	name: str
	started_at: datetime
	reason: str


@dataclass
class _Counts:
	"""Requests that a process has counted and not written down yet."""

	served: int = 0
	limited: int = 0
	due_at: float = 0.0
	lock: threading.Lock = field(default_factory=threading.Lock)

	def take(self) -> dict[str, int] | None:
		with self.lock:
			taken = {"served": self.served, "limited": self.limited}
			self.served = self.limited = 0
			self.due_at = time.monotonic() + COUNT_SECONDS
		return taken if any(taken.values()) else None

	def add(self, served: int, limited: int) -> bool:
		"""Says whether the counts are due to be written down."""
		with self.lock:
			self.served += served
			self.limited += limited
			return time.monotonic() >= self.due_at


_counts: dict[str, _Counts] = {}


def open_incident(reason: str) -> None:
	"""Notes that this process can't use Redis. Never raises: the caller handles a failure."""
	_try(lambda: incident_rows.open_incident(reason, site_time.naive_now(), FLAP_SECONDS))
	frappe.flags.memora_incident_noted = True


def close_incidents() -> None:
	"""Notes that Redis can be used again. Never raises."""
	write_counts()
	_try(lambda: incident_rows.close_incidents(site_time.naive_now()))


def close_forgotten() -> None:
	"""Closes incidents that nobody has met for WITNESS_SECONDS. Never raises. For a caller that has just reached Redis."""
	now = site_time.naive_now()
	_try(lambda: incident_rows.close_incidents(now, met_before=now - timedelta(seconds=WITNESS_SECONDS)))


def get_open() -> OpenIncident | None:
	"""Returns the incident that is open; None if there is none."""
	row = incident_rows.get_open()
	return {"name": row.name, "started_at": row.started_at, "reason": row.reason} if row else None


def count(served: int, limited: int) -> None:
	"""Adds to the requests of the latest incident. A process writes its counts down every COUNT_SECONDS."""
	if _counts.setdefault(frappe.local.site, _Counts()).add(served, limited):
		write_counts()


def write_counts() -> None:
	"""Writes down what this process has counted. Never raises.

	Keeps what can't be written yet: others may still be noting the incident.
	"""
	if not (counts := _counts.get(frappe.local.site)) or not (taken := counts.take()):
		return
	if not _try(partial(incident_rows.add_counts, taken)):
		counts.add(**taken)


@alerts.in_error_log()
@alerts.in_site_language()
def tell() -> None:
	"""Tells managers of each incident twice: when it has begun, and when it has been over for FLAP_SECONDS.

	Managers are told once of each, however many processes call this. Commits. Runs every minute, and at the
	end of a request that noted an incident.
	"""
	database.new_snapshot()
	over_since = site_time.naive_now() - timedelta(seconds=FLAP_SECONDS)
	for incident in incident_rows.claim_untold(incident_rows.OPENING_IS_TO_TELL):
		message = _("Host {0} can't use the Redis for schedules: {1}").format(incident.host, incident.reason)
		_tell(incident.name, "opening_told", _("Safe Mode is on"), message, is_error=True)
	for incident in incident_rows.claim_untold(incident_rows.CLOSING_IS_TO_TELL, over_since=over_since):
		_tell(incident.name, "closing_told", _("Safe Mode is over"), _summary(incident), is_error=False)


def _tell(name: str, told: str, subject: str, message: str, is_error: bool) -> None:
	"""Tells managers, and notes in the same transaction that they have been told. Commits."""
	frappe.db.set_value("Safe Mode Incident", name, told, 1, update_modified=False)
	alerts.tell_managers(subject, message, ("Safe Mode Incident", name), is_error=is_error, by_mail=True)


def _summary(incident: frappe._dict) -> str:
	return _(
		"Safe Mode began at {1} and lasted {0}. Reads allowed: {2}. Reads put off: {3}. All answers were saved."
	).format(
		format_duration(max(int(incident.duration or 0), 1)),
		incident.started_at.replace(microsecond=0),
		incident.requests_served,
		incident.requests_limited,
	)


def _try(action: Callable[[], Any]) -> Any:
	"""Returns what the action returns; None if it fails."""
	try:
		return action()
	except failures.ERRORS as error:
		frappe.logger("memora").error(f"an incident could not be written down: {error}")
