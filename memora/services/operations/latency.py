"""Measures how long the learners' requests take, in a histogram of all processes of a host. No request waits for that.

This is prometheus_client's multiprocess mode: each process counts in a file that is mapped into its memory, and a reader
adds the files up. Here a new process goes on with the file of a process that has ended. So there are never more files
than there were processes at once, and no count is lost.
"""

import fcntl
import json
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import frappe
from frappe.utils import get_sites
from prometheus_client import CollectorRegistry, Histogram, Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

NAME = "memora_request_seconds"
HELP = "Time of a request from Frappe's hook before_request to after_request, of all processes of this host"
LABELS = ("site", "endpoint", "code")

READ, SUBMIT = "get_review_session", "submit_review_session"
ENDPOINTS = {
	path: name
	for module, name in (
		("reviews", READ),
		("reviews", SUBMIT),
		("reviews", "get_reviews_safe_mode"),
		("sessions", "get_lesson_session"),
		("sessions", "submit_lesson_session"),
	)
	for path in (f"memora.api.{module}.{name}", f"memora.api.{name}")
}
# In seconds. The default thresholds of Memora Settings are bounds, because a quantile between two bounds is a guess.
BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)

CLIENT_ERROR = "4"  # how codes of refusals begin: a refusal is quick, and would make other requests look fast
WINDOW_SECONDS = 300  # `recent` looks back to the latest snapshot that is at least so old
SNAPSHOT_SECONDS = 60  # the least time between two snapshots
# For each process: room for some 50 series, of which a site has 15 or so, of its endpoints and what they answer
FILE_BYTES, SITE_BYTES = 1 << 18, 1 << 17

_read: ContextVar[list[list[Metric]] | None] = ContextVar("read", default=None)  # see reading_once
_lock = threading.Lock()
_slot: tuple[int, int, int] | None = None  # (process, number, the open file whose lock holds the number)
_histogram: Histogram | None = None
_is_off = False


class Recent(NamedTuple):
	"""Requests to one endpoint in the last `seconds`. p50 and p99 are in milliseconds, and None without requests."""

	requests: int
	seconds: int
	p50_ms: float | None
	p99_ms: float | None


def observe(endpoint: str, code: int, seconds: float) -> None:
	"""Counts a request. If counting is impossible on this host, logs it once and counts nothing from then on."""
	if not _is_off and (histogram := _histogram or _begin()):
		histogram.labels(frappe.local.site, endpoint, str(code)).observe(seconds)


def directory() -> Path:
	"""Returns the folder of this bench's counts: PROMETHEUS_MULTIPROC_DIR, or else a folder in memory for this user."""
	if given := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
		return Path(given)
	memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
	bench = blake2b(os.path.realpath(frappe.local.sites_path).encode(), digest_size=6).hexdigest()
	return Path(memory, f"memora-{os.getuid()}-{bench}")


@contextmanager
def reading_once() -> Iterator[None]:
	"""Reads the files of all processes once during the block, which is most of what a look at the figures costs."""
	if _read.get() is not None:  # a block around this one
		yield
		return
	token = _read.set([])
	try:
		yield
	finally:
		_read.reset(token)


def collect() -> list[Metric]:
	"""Returns this site's histogram, over all processes: one metric, or none if nothing has been counted yet."""
	read = _read.get()
	if read is None:
		return _collect()
	if not read:
		read.append(_collect())
	return read[0]


def _collect() -> list[Metric]:
	if not directory().is_dir():
		return []
	metrics = MultiProcessCollector(None, directory()).collect()
	own = [metric for metric in metrics if metric.name == NAME]
	for metric in own:
		metric.samples = [s for s in metric.samples if s.labels["site"] == frappe.local.site]
	return own


class Window(NamedTuple):
	"""Requests of the last `seconds`: by endpoint how many fell into each of BUCKETS, and how many took longer."""

	seconds: float
	counts: dict[str, list[float]]


def recent() -> dict[str, Recent]:
	"""Returns this host's figures of the last minutes for each of ENDPOINTS, without refused requests."""
	seconds, counts = look_back()
	return {name: figures(counts[name], seconds) for name in ENDPOINTS.values()}


def look_back() -> Window:
	"""Returns this host's requests of the last minutes, without those that were refused.

	Compares with a snapshot that an earlier call has left. The figures reach further back if nobody has called meanwhile.
	"""
	now, counts = time.time(), _read_counts()
	snapshots = _load_snapshots() or [{"at": _begun_at(), "counts": {}}]
	old_enough = [snapshot for snapshot in snapshots if now - snapshot["at"] >= WINDOW_SECONDS]
	kept = snapshots[max(0, len(old_enough) - 1) :]
	if now - kept[-1]["at"] >= SNAPSHOT_SECONDS:
		_save_snapshots([*kept, {"at": now, "counts": counts}])
	base = kept[0]
	names = ENDPOINTS.values()
	new = {name: _new(counts.get(name, []), base["counts"].get(name, [])) for name in names}
	return Window(now - base["at"], new)


def figures(counts: list[float], seconds: float) -> Recent:
	in_ms = [value and round(value * 1000, 1) for value in (quantile(counts, 0.5), quantile(counts, 0.99))]
	return Recent(round(sum(counts)), round(seconds), *in_ms)


def quantile(counts: Sequence[float], share: float) -> float | None:
	"""Returns the value below which `share` (0 to 1) of all measurements lie; None without measurements.

	`counts` are the numbers in BUCKETS, and the number above the last bound. Linear within a bucket, like Prometheus'
	https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
	"""
	rank, below = share * sum(counts), 0.0
	for low, high, number in zip((0.0, *BUCKETS), BUCKETS, counts, strict=False):
		if number and below + number >= rank:
			return low + (high - low) * (rank - below) / number
		below += number
	return BUCKETS[-1] if sum(counts) else None


def _new(counts: list[float], before: list[float]) -> list[float]:
	if len(before) != len(counts):  # no snapshot yet, or a snapshot of a release with other buckets
		before = [0.0] * len(counts)
	return [max(0.0, now - then) for now, then in zip(counts, before, strict=True)]


def _read_counts() -> dict[str, list[float]]:
	"""Returns by endpoint how many requests fell into each of BUCKETS, and how many took longer."""
	up_to: dict[str, defaultdict[float, float]] = {}
	for metric in collect():
		for name, labels, value, *_ in metric.samples:
			if name.endswith("_bucket") and not labels["code"].startswith(CLIENT_ERROR):
				up_to.setdefault(labels["endpoint"], defaultdict(float))[float(labels["le"])] += value
	bounds = (*BUCKETS, float("inf"))
	return {
		endpoint: [c[high] - c[low] for low, high in zip((0.0, *BUCKETS), bounds, strict=True)]
		for endpoint, c in up_to.items()
	}


# Snapshots: [{at: Unix epoch, counts}], oldest first


def _snapshots_file() -> Path:
	return directory() / f"snapshots-{frappe.local.site}.json"


def _begun_at() -> float:
	"""Returns when the first process began to count, as a Unix epoch; the present moment if none has."""
	first = directory() / "0.lock"
	return first.stat().st_mtime if first.exists() else time.time()


def _load_snapshots() -> list[dict[str, Any]]:
	try:
		return json.loads(_snapshots_file().read_text())
	except FileNotFoundError:
		return []


def _save_snapshots(snapshots: list[dict[str, Any]]) -> None:
	if not directory().is_dir():
		return
	part = _snapshots_file().with_suffix(f".{os.getpid()}-{threading.get_ident()}")
	part.write_text(json.dumps(snapshots))
	part.replace(_snapshots_file())


# The file of a process


def _begin() -> Histogram | None:
	"""Makes the histogram of this process. Returns None if there is no place for its file."""
	global _histogram, _is_off
	with _lock:
		if _histogram or _is_off:
			return _histogram
		try:
			_prepare(directory())
			values.ValueClass = values.MultiProcessValue(_own_slot)
			_histogram = Histogram(NAME, HELP, LABELS, registry=CollectorRegistry(), buckets=BUCKETS)
		except OSError as error:
			_is_off = True
			frappe.logger("memora").error(f"request times are not counted in {directory()}: {error}")
	return _histogram


def _prepare(path: Path) -> None:
	"""Makes a folder that only this user may enter. Raises PermissionError if somebody else has made one there."""
	path.mkdir(mode=0o700, parents=True, exist_ok=True)
	if path.is_symlink() or path.stat().st_uid != os.getuid():
		raise PermissionError(f"{path} belongs to somebody else")
	os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)  # prometheus_client reads it with each new series


def _own_slot() -> int:
	"""Returns the number of this process' file: the lowest that no living process holds. A fork gets another number."""
	global _slot
	if not _slot or _slot[0] != os.getpid():
		_slot = (os.getpid(), *_claim(directory()))
	return _slot[1]


def _claim(path: Path) -> tuple[int, int]:
	number = 0
	while (held := _try_lock(path / f"{number}.lock")) is None:
		number += 1
	_allocate(path / f"histogram_{number}.db")
	return number, held


def _try_lock(path: Path) -> int | None:
	"""Opens and locks a file; returns None if another process holds the lock. A fork does not inherit the lock."""
	file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
	try:
		fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
	except (BlockingIOError, PermissionError):
		os.close(file)
		return None
	return file


def _allocate(path: Path) -> None:
	"""Takes the room for a file now. Writing to a mapped page for which the disk has no room kills the process."""
	if path.exists():
		return
	part = path.with_suffix(".part")
	with part.open("wb") as file:
		os.posix_fallocate(file.fileno(), 0, max(FILE_BYTES, SITE_BYTES * len(get_sites())))
	part.replace(path)
