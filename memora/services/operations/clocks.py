"""Finds clocks that are off, and tells managers of a host whose clock is. MariaDB's clock decides there, so that nobody would notice otherwise."""

import socket
import time
from collections.abc import Iterator
from datetime import timedelta

import frappe
from frappe import _
from frappe.utils import now_datetime

from memora.services import alerts, site_time
from memora.services.cache.addresses import shown
from memora.services.operations import redis_servers
from memora.services.operations.redis_servers import WHERE_SRS
from memora.services.store import database, surroundings

LOOK_SECONDS = 600  # between two looks of one process while its host's clock is off
TELL_AGAIN = timedelta(days=1)

_next_looks: dict[str, float] = {}  # by site, of the monotonic clock


def is_to_look() -> bool:
	"""Says whether this host's clock is off, and this process has not looked lately whether managers know."""
	is_due = time.monotonic() >= _next_looks.get(frappe.local.site, 0.0)
	return is_due and bool(site_time.clock_is_off()) and not database.only_reads()


@alerts.in_site_language()
def watch() -> None:
	"""Tells managers that this host's clock is off, once a day as long as it is. Commits.

	Runs every five minutes on workers' hosts, and at the end of requests on web servers'.
	"""
	if not is_to_look():
		return
	_next_looks[frappe.local.site] = time.monotonic() + LOOK_SECONDS
	host = socket.gethostname()
	subject = _("The clock of {0} is off").format(host)
	with database.named_lock(f"clock of {host}", 0) as is_mine:
		database.new_snapshot()
		if is_mine and not _was_told(subject):
			alerts.tell_managers(subject, _message(host), by_mail=True)


def _was_told(subject: str) -> bool:
	"""Says whether managers know already: by an Error Log, which has the time of the same clock."""
	since = now_datetime() - TELL_AGAIN
	return bool(frappe.db.exists("Error Log", {"method": subject, "creation": (">", since)}))


def _message(host: str) -> str:
	return _(
		"The clock of {0} differs from MariaDB's by {1} s. Memora goes by MariaDB's clock there; Frappe, its logs and its scheduler do not. Let all machines set their clocks by NTP, for instance with chrony."
	).format(host, round(site_time.clock_is_off()))


def find_wrong() -> Iterator[tuple[str, str]]:
	"""Yields each server whose clock and this machine's differ, for the doctor."""
	off = [("MariaDB", surroundings.get_clock() - time.time())]
	for url in redis_servers.schedule_urls():
		if answer := redis_servers.ask(url, lambda client: client.time()):
			seconds, microseconds = answer
			off.append((f"{WHERE_SRS} ({shown(url)})", seconds + microseconds / 1e6 - time.time()))
	for name, by in off:
		if abs(by) > site_time.CLOCK_SECONDS:
			yield (
				_("The clock of {0} differs from this machine's by {1} s.").format(name, round(by)),
				_("Let all machines set their clocks by NTP, for instance with chrony."),
			)
