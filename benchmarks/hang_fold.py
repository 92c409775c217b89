"""Of section `hang`: what others notice of a worker's process that stops in the middle of a fold, with rows in its hands.

The worker has a queue of its own. Its fold holds the rows of many learners. Meanwhile some of these learners have sent more answers,
others go on answering and reading over HTTP, and the site's worker folds.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import frappe

from benchmarks import accounts, perf_data, perf_drain, perf_workers, season_data, site
from benchmarks.background import repeating
from benchmarks.perf_data import Learner
from benchmarks.perf_endpoints import SUBMIT, Client, check
from benchmarks.perf_hostile import READERS, read_for
from benchmarks.report import percentile
from devtools import processes
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.folding import folds, queueing
from memora.services.store import outbox, row_names
from memora.services.store.records import pack_records

BEFORE_SECONDS = 25  # of reading before
READ_SECONDS = 5  # of reading between two looks at what waits
SECONDS_BETWEEN_ANSWERS = 1.5
SECONDS_BETWEEN_LOOKS = 0.1
SETTLE_SECONDS = 0.5
MOST_SECONDS = 120  # then nobody folds any more
CATCH_SECONDS = 20
TRIES = 5

FOLDING_SQL = """
	SELECT COUNT(*) FROM information_schema.PROCESSLIST
	WHERE INFO LIKE '%INSERT INTO `tabPlayer Memory Tracker`%' AND LENGTH(INFO) > 50000 AND ID != CONNECTION_ID()"""
WAITING_SQL = "SELECT COUNT(*) FROM `tabReview Outbox` WHERE season = %s AND parked_at IS NULL"


def measure() -> dict[str, float]:
	held = [season_data.learner(number) for number in range(folds.FOLD_SUBMISSIONS)]
	with perf_data.prepared() as (season, learners):
		readers, writer = learners[:READERS], learners[READERS]
		try:
			return _measure(season, held, readers, writer)
		finally:
			_remove(season, held)


def _measure(season: str, held: list[str], readers: list[Learner], writer: Learner) -> dict[str, float]:
	read_for(0, site.url(), readers)
	with step("Reading and answering"), _answering(writer):
		before = read_for(BEFORE_SECONDS, site.url(), readers)
	site.wait_until_folded(season, [writer.id])
	with _hung_worker(season, held):
		begin = time.monotonic()
		_write(season, held[::10], "later")
		with step("Reading and answering while a fold hangs"), _answering(writer):
			during, delay = _read_until_folded(season, readers, begin)
	return {
		"hung_worker_fold_delay_s": delay,
		"hung_worker_read_p99_ratio": percentile(during, 0.99) / percentile(before, 0.99),
		"hung_worker_read_p99_ms_before": percentile(before, 0.99),
		"hung_worker_read_p99_ms_during": percentile(during, 0.99),
	}


def _read_until_folded(season: str, readers: list[Learner], begin: float) -> tuple[list[float], float]:
	"""Reads on until no submission waits that waited when the fold was stopped. Returns (milliseconds of reads, seconds)."""
	folded: list[float] = []

	def watch() -> None:
		with site.own_connection():
			names = [found.name for found in outbox.get_of_season(season, 10 * folds.FOLD_SUBMISSIONS)]
			while outbox.get_waiting(names) and time.monotonic() < begin + MOST_SECONDS:
				frappe.db.rollback()  # the next look is to see what has been folded since
				time.sleep(SECONDS_BETWEEN_LOOKS)
			folded.append(time.monotonic() - begin)

	watcher = threading.Thread(target=watch)
	watcher.start()
	ms: list[float] = []
	while not folded:
		ms += read_for(READ_SECONDS, site.url(), readers)
	watcher.join()
	if folded[0] >= MOST_SECONDS:
		raise Failure(f"Submissions still wait after {MOST_SECONDS} s")
	return ms, folded[0]


@contextmanager
def _answering(writer: Learner) -> Iterator[None]:
	"""Has a learner answer over HTTP during the block, as others do in a school."""
	client = Client([writer], site.url())

	def answer() -> None:
		_ms, status, content = client.request(writer, SUBMIT)
		check(SUBMIT, writer, status, content)

	with repeating(answer, SECONDS_BETWEEN_ANSWERS):
		yield


def _remove(season: str, held: list[str]) -> None:
	"""Deletes what was written of learners who have no User, and so no schedule in Redis."""
	frappe.db.rollback()  # of the looks before, whose snapshot is old
	for doctype in ("Review Outbox", "Player Memory Tracker"):
		frappe.db.delete(doctype, {"season": season, "player": ("in", held)})
		frappe.db.commit()  # no request of Frappe's ends this transaction


# The worker that hangs


@contextmanager
def _hung_worker(season: str, held: list[str]) -> Iterator[None]:
	"""Runs a worker whose process stops in the middle of a fold of these learners' submissions, for the block."""
	with perf_workers.own_queue() as env, processes.worker(env=env) as worker:
		horse = _stop_in_fold(worker.pid, season, held)
		# from here on, this process queues nothing
		try:
			yield
		finally:
			with suppress(ProcessLookupError):
				os.kill(horse, signal.SIGKILL)


def _stop_in_fold(worker: int, season: str, held: list[str]) -> int:
	"""Stops the worker's process while it holds the rows of a fold. Returns its process id."""
	for number in range(TRIES):
		with step("Stopping a worker in the middle of a fold"):
			names = _write(season, held, f"held {number}")
			queueing.enqueue_job(names[0], held[0], season)
			horse = _catch(worker)
			if _are_held(names[1:]):  # the job folds its own submission first
				return horse
			os.kill(horse, signal.SIGCONT)
			site.wait_until_folded(season, held)
	raise Failure(f"No fold could be stopped in the middle, in {TRIES} tries")


def _catch(worker: int) -> int:
	"""Stops the process that the worker has started for its job, as soon as MariaDB is writing records. Returns its id."""
	deadline = time.monotonic() + CATCH_SECONDS
	while time.monotonic() < deadline:
		if frappe.db.sql(FOLDING_SQL)[0][0] and (horses := accounts.children_of(worker)):
			os.kill(horses[0], signal.SIGSTOP)
			return horses[0]
	raise Failure(f"The worker has not folded in {CATCH_SECONDS} s")


def _are_held(names: list[str]) -> bool:
	"""Says whether another connection has locked all of these outbox rows, also some moments later."""
	time.sleep(SETTLE_SECONDS)  # a statement that was under way when the process stopped comes to its end
	frappe.db.rollback()  # a new snapshot
	free = outbox.take(names)
	frappe.db.rollback()  # lets go of what was free
	return not free and len(outbox.get_waiting(names)) == len(names)


def _write(season: str, learners: list[str], submission: str) -> list[str]:
	"""Writes a submission for each learner, of the same questions each time, and returns their names."""
	now = site_time.naive_now()
	payload = pack_records(list(perf_drain.records(0, now)))
	keys = [row_names.submission_key(learner, season, submission) for learner in learners]
	perf_drain.insert([(key, key[:16], season, payload, "[]", now, now) for key in keys])
	return keys
