"""Request times of all hosts. Each host that serves learners notes its own in MariaDB, and whoever judges adds them up.

A worker on another host can't read the files in which web processes count. Frappe's cache would carry the figures, too,
but not while it hangs, which is what makes requests slow.
"""

import json
import os
import socket
import time
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import frappe

from memora.services.operations import latency
from memora.services.operations.latency import Recent, Window
from memora.services.store import failures, hosts

NOTE_SECONDS = 60  # at least, between two notes of a host
FAILURES: tuple[type[BaseException], ...] = (*failures.ERRORS, OSError)


class Total(NamedTuple):
	"""Requests to one endpoint: of all hosts, and of each host with its name, which several may have."""

	all: Recent
	by_host: list[tuple[str, Recent]]


def note_if_due() -> None:
	"""Notes the figures of this host, if nobody has done so for NOTE_SECONDS. Never raises: a request is waiting."""
	if not _take_turn(time.time()):
		return
	try:
		hosts.note(_row(latency.look_back()))
	except FAILURES as error:
		frappe.logger("memora").error(f"request times could not be noted: {error}")


def look_back(endpoint: str) -> Total:
	"""Returns the figures of the last minutes, with this host's up to now."""
	own_name, (host, own) = _name(), (_host(), latency.look_back())
	others = [seen for seen in hosts.get_seen(latency.WINDOW_SECONDS) if seen.name != own_name]
	windows = [(seen.host, Window(seen.seconds, json.loads(seen.counts))) for seen in others]
	return _add_up([(host, own), *windows], endpoint)


def _add_up(windows: list[tuple[str, Window]], endpoint: str) -> Total:
	found = [(host, seconds, counts.get(endpoint, [])) for host, (seconds, counts) in windows]
	usable = [
		one for one in found if len(one[2]) == len(latency.BUCKETS) + 1
	]  # another release may have others
	sums = [sum(numbers) for numbers in zip(*(counts for *_rest, counts in usable), strict=True)]
	longest = max(seconds for _host, seconds, _counts in found)
	by_host = [(host, latency.figures(counts, seconds)) for host, seconds, counts in usable]
	return Total(latency.figures(sums, longest), by_host)


def _row(window: Window) -> dict[str, str | float]:
	figures = {name: latency.figures(counts, window.seconds) for name, counts in window.counts.items()}
	read, submit = figures[latency.READ], figures[latency.SUBMIT]
	return {
		"name": _name(),
		"host": _host(),
		"seconds": round(window.seconds),
		"read_requests": read.requests,
		"read_p99_ms": read.p99_ms or 0,
		"submit_requests": submit.requests,
		"submit_p99_ms": submit.p99_ms or 0,
		"is_threaded": int(_has_threads()),
		"counts": json.dumps({name: counts for name, counts in window.counts.items() if counts}),
	}


def _has_threads() -> bool:
	"""Says whether the web server runs several requests of a process at once, as WSGI servers tell each request."""
	request = getattr(frappe.local, "request", None)
	return bool(request and request.environ.get("wsgi.multithread"))


def _host() -> str:
	return socket.gethostname()


def _name() -> str:
	"""Returns what tells these counts from all others: two benches of a machine count in different folders."""
	return blake2b(f"{_host()}:{latency.directory()}".encode(), digest_size=8).hexdigest()


def _take_turn(now: float) -> bool:
	"""Says whether the caller is to note the figures; if so, no other process of this host is for NOTE_SECONDS."""
	path = _turn_file()
	try:
		if 0 <= now - path.stat().st_mtime < NOTE_SECONDS:  # a clock may be set back
			return False
	except FileNotFoundError:
		if not path.parent.is_dir():
			return False  # nothing is counted here
		path.touch()
	os.utime(path, (now, now))
	return True


def _turn_file() -> Path:
	return latency.directory() / f"noted-{frappe.local.site}"
