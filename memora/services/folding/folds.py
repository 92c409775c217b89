"""Folds: moves submissions from the outbox into the tracker, outside the learner's request.

A fold is one transaction: it locks outbox rows, upserts their records, counts their answers, and deletes the
rows. In the upsert the newest answer wins, so a fold that is repeated or comes late changes nothing. If a
submission can't be folded and waiting does not help, it is parked: its row stays, with the reason, and does
not hold up other submissions.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

import frappe
from frappe import _
from frappe.utils import create_batch
from rq.timeouts import JobTimeoutException

from memora.services import alerts, site_time
from memora.services.folding import counting
from memora.services.folding.cache_check import check_cache
from memora.services.store import database, failures, outbox, row_names, tracker
from memora.services.store.limits import Limits, limited
from memora.services.store.outbox import Place
from memora.services.store.records import OutboxRow

T = TypeVar("T")

FOLD_SUBMISSIONS = 250  # in one transaction: some 5,000 answers, a few tenths of a second
DRAIN_SECONDS = 60  # in one job or sweep; a job may take 300
SWEEP_AFTER_SECONDS = 60  # by then a worker has had its chance

# A fold holds its locks for tenths of a second, and its longest statement takes hundredths. Whoever keeps it waiting
# for longer hangs. If it hangs itself, MariaDB takes its locks away, for other folds wait for them.
LIMITS = Limits(innodb_lock_wait_timeout=1, max_statement_time=30, idle_transaction_timeout=20)
# Not for a statement with SKIP LOCKED, which fails then (1180, seen with MariaDB 10.11)
NO_WAIT = LIMITS._replace(innodb_lock_wait_timeout=0)
LOCK_WAITS = 5  # that a drain waits out, in all; after them it waits for no row

WORKER_SECONDS, LOOK_SECONDS = 5, 0.2  # how long a command waits for workers that fold, and between two looks

MAX_RETRIES = 3  # of a transaction that others were in the way of
RETRY_DELAY_BASE = 1  # seconds before the first retry; each further one waits twice as long
RETRY_DELAY_MAX = 60  # seconds


class Folded(NamedTuple):
	"""A submission that reached the tracker.

	`name` is its name in the outbox; `answers` counts its records.
	"""

	name: str
	season: str
	answers: int


@dataclass(frozen=True)
class Drained:
	"""What a drain did: the submissions that it folded, and how many it left because other processes hold rows of theirs."""

	folded: list[Folded]
	held: int


def fold(key: str) -> OutboxRow | None:
	"""Moves one submission from outbox to tracker in one transaction and returns it.

	Returns None if another process has folded the submission or is folding it.
	"""
	with limited(LIMITS), database.read_committed():
		rows = fold_or_park([key])
	return rows[0] if rows else None


def drain(
	before: datetime,
	seconds: float = DRAIN_SECONDS,
	progress: Callable[[int], None] | None = None,
	first: Sequence[str] = (),
) -> Drained:
	"""Folds the submissions accepted up to a naive site time, oldest first, for at most so many seconds.

	Folds those named `first` before all others, even if they are parked. A submission that can't be folded is parked. One
	whose rows another process holds is left. `progress`, if given, is called after each page with how many submissions are
	folded so far.
	"""
	return _Drain(seconds, progress).run(partial(outbox.get_oldest, before, FOLD_SUBMISSIONS), first)


def drain_beside_workers(
	before: datetime, seconds: float, progress: Callable[[int], None] | None = None
) -> Drained:
	"""Folds as drain does, and again while others hold rows, for at most WORKER_SECONDS: a worker soon has folded its own."""
	drained = drain(before, seconds, progress)
	folded, deadline = drained.folded, time.monotonic() + WORKER_SECONDS
	while drained.held and time.monotonic() < deadline:
		time.sleep(LOOK_SECONDS)
		drained = drain(before, seconds)
		folded += drained.folded
	return Drained(folded, drained.held)


def drain_season(season: str) -> Drained:
	"""Folds the submissions of one season, oldest first, for at most DRAIN_SECONDS."""
	return _Drain(DRAIN_SECONDS).run(partial(outbox.get_of_season, season, FOLD_SUBMISSIONS))


class _Drain:
	"""A drain at work.

	A process that hangs keeps its locks until MariaDB takes them away. So a transaction that meets a locked row is split, and
	its parts wait for nobody: all but the learners whose rows are locked are folded at once. What else those learners sent is
	left to the end of the drain, and then to the next one.
	"""

	def __init__(self, seconds: float, progress: Callable[[int], None] | None = None) -> None:
		self.deadline = time.monotonic() + seconds
		self.progress = progress
		self.folded: list[Folded] = []
		self.left: list[str] = []  # submissions passed by
		self.held: set[str] = set()  # learners of whom another process holds rows
		self.waits = LOCK_WAITS

	def run(self, get_page: Callable[[Place | None], list[Place]], first: Sequence[str] = ()) -> Drained:
		"""Folds `first`, then the pages that follow one another."""
		place: Place | None = None
		with limited(LIMITS), database.read_committed():
			self._fold_page(list(first))
			while time.monotonic() < self.deadline:
				page = get_page(place)
				self._fold_page([found.name for found in page])
				if len(page) < FOLD_SUBMISSIONS:
					break
				place = page[-1]
			held = self._try_again()
		return Drained(self.folded, held)

	def _fold_page(self, names: list[str]) -> None:
		before = len(self.folded)
		if names:
			self._fold(names)
		done = {folded.name for folded in self.folded[before:]}
		self.left += [name for name in names if name not in done]
		if self.progress:
			self.progress(len(self.folded))

	def _fold(self, names: list[str]) -> None:
		names = self._free(names)
		if self.waits:
			try:
				return self._transaction(names, LIMITS)
			except failures.ERRORS as error:
				if not failures.is_in_the_way(error):
					raise
				self.waits -= 1
		self._fold_parts(sorted(names))

	def _fold_parts(self, names: list[str]) -> None:
		"""Folds submissions, sorted by learner, in as few transactions as locked rows allow. Waits for no row."""
		if not (names := self._free(names)):
			return
		try:
			return self._transaction(names, NO_WAIT)
		except failures.ERRORS as error:
			if not failures.is_in_the_way(error):
				raise
		if len(learners := {row_names.learner_of(name) for name in names}) == 1:
			self.held |= learners
			return
		self._fold_parts(names[: len(names) // 2])
		self._fold_parts(names[len(names) // 2 :])

	def _free(self, names: list[str]) -> list[str]:
		return [name for name in names if row_names.learner_of(name) not in self.held]

	def _transaction(self, names: list[str], limits: Limits) -> None:
		def fold(part: list[str]) -> list[OutboxRow]:
			rows = _fold(part, limits)
			self.folded += [Folded(row.name, row.season, len(row.records)) for row in rows]
			return rows

		_without_bad(names, fold)

	def _try_again(self) -> int:
		"""Tries again to fold what was passed by. Returns how many submissions still wait because others hold their rows."""
		names, self.left, self.waits = self.left, [], 0
		self.held.clear()
		held = 0
		for page in create_batch(names, FOLD_SUBMISSIONS):
			waiting = outbox.get_waiting(page)
			if waiting and time.monotonic() < self.deadline:
				self._fold_page(waiting)
				waiting = outbox.get_waiting(waiting)
			held += len(waiting)
		if held:
			frappe.logger("memora").warning(
				f"{held} submissions are left: other processes hold rows of theirs"
			)
		return held


@alerts.in_error_log()
def sweep_outbox() -> int:
	"""Folds the submissions that no worker has folded within SWEEP_AFTER_SECONDS; returns how many.

	Runs every minute.
	"""
	return len(drain(site_time.naive_now() - timedelta(seconds=SWEEP_AFTER_SECONDS)).folded)


def unpark() -> int:
	"""Puts parked submissions back among the waiting submissions; returns how many. Commits each page.

	Leaves those that another process has locked, and those that are parked meanwhile.
	"""
	now, count, place = site_time.naive_now(), 0, None
	with limited(LIMITS), database.read_committed():
		while page := outbox.get_page(True, FOLD_SUBMISSIONS, place):
			place = page[-1]
			names = [found.name for found in page if found.parked_at and found.parked_at <= now]
			if not names:
				break
			with database.transaction():
				count += outbox.unpark(names)
	return count


def fold_or_park(names: list[str], attempt: int = 0) -> list[OutboxRow]:
	"""Folds submissions in one transaction, and returns the submissions that were folded.

	If the transaction fails for good, each submission is folded by itself, and a submission that still fails
	is parked. Raises errors whose reason may pass (failures.may_pass), and JobTimeoutException when the job's
	time is over. `attempt` counts the tries that have failed already, as in with_retries.
	"""
	return _without_bad(names, lambda part: with_retries(lambda: _fold(part), attempt))


def _without_bad(names: list[str], fold: Callable[[list[str]], list[OutboxRow]]) -> list[OutboxRow]:
	"""Folds submissions by a function, together if possible; see fold_or_park."""
	try:
		return fold(names)
	except JobTimeoutException:
		raise  # the job's time is over; the submission at hand is not to blame
	except Exception as error:  # any error: one bad submission must not stop the others
		if failures.may_pass(error):
			raise
		if len(names) == 1:
			_park(names[0], error)
			return []
	return [row for name in names for row in _without_bad([name], fold)]


def _fold(names: list[str], limits: Limits | None = None) -> list[OutboxRow]:
	with database.transaction():
		rows = outbox.take(names)
		with limited(limits) if limits else nullcontext():
			tracker.upsert_submissions(rows)
			outbox.delete(rows)
			check_cache(rows)
			counting.count_folded(rows)
	return rows


@alerts.in_site_language()
def _park(name: str, error: Exception) -> None:
	"""Parks a submission with its error. Tells managers if no other submission is parked. Commits."""
	reason = f"{type(error).__name__}: {error}"
	with database.transaction():
		outbox.park(name, reason, site_time.naive_now())
	frappe.logger("memora").error(f"parked {name}: {reason}")
	if outbox.get_parked(limit=2) == [name]:  # the only one: managers are told once, not for each of many
		alerts.tell_managers(
			_("Answers could not be processed"),
			_("Submission {0} is parked in Review Outbox: {1}").format(name, reason),
			("Review Outbox", name),
		)


def with_retries(action: Callable[[], T], attempt: int = 0) -> T:
	"""Runs a transaction, and again if another was in the way (failures.is_in_the_way), up to MAX_RETRIES times.

	Then raises the error. `attempt` counts the tries that have failed already. Frappe's own retry of jobs
	does not work: it misses the errors that Frappe's database layer raises.
	"""
	while True:
		try:
			return action()
		except failures.ERRORS as error:
			if not failures.is_in_the_way(error):
				raise
			if attempt >= MAX_RETRIES:
				frappe.logger("memora").error(f"given up: {error}")
				raise
			delay = min(RETRY_DELAY_BASE * 2**attempt, RETRY_DELAY_MAX)
			attempt += 1
			frappe.logger("memora").warning(f"retry {attempt} of {MAX_RETRIES} in {delay} s: {error}")
			time.sleep(delay)
