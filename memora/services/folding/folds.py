"""Folds: moves submissions from the outbox into the tracker, outside the learner's request.

A fold is one transaction: it locks outbox rows, upserts their records, counts their answers, and deletes the
rows. In the upsert the newest answer wins, so a fold that is repeated or comes late changes nothing. If a
submission can't be folded and waiting does not help, it is parked: its row stays, with the reason, and does
not hold up other submissions.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

import frappe
from frappe import _
from rq.timeouts import JobTimeoutException

from memora.services import alerts, site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import counting
from memora.services.store import database, failures, outbox, question_status, tracker
from memora.services.store.limits import Limits, limited
from memora.services.store.records import MemoryRecord, OutboxRow

T = TypeVar("T")

FOLD_SUBMISSIONS = 250  # in one transaction: some 5,000 answers, a few tenths of a second
DRAIN_SECONDS = 60  # in one job or sweep; a job may take 300
SWEEP_AFTER_SECONDS = 60  # by then a worker has had its chance

# A fold holds its locks for tenths of a second, and its longest statement takes hundredths. Whoever keeps it waiting
# for longer hangs. If it hangs itself, MariaDB takes its locks away, for other folds wait for them.
LIMITS = Limits(innodb_lock_wait_timeout=5, max_statement_time=30, idle_transaction_timeout=20)

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


def fold(key: str) -> OutboxRow | None:
	"""Moves one submission from outbox to tracker in one transaction and returns it.

	Returns None if another process has folded the submission or is folding it.
	"""
	with limited(LIMITS):
		rows = fold_or_park([key])
	return rows[0] if rows else None


def drain(
	before: datetime, seconds: float = DRAIN_SECONDS, progress: Callable[[int], None] | None = None
) -> list[Folded]:
	"""Folds the submissions accepted up to a naive site time, oldest first, and returns them.

	Stops after so many seconds, or when none is left that no other process is folding. A submission that
	can't be folded is parked. `progress`, if given, is called after each transaction with how many
	submissions are folded so far.
	"""
	return _drain(lambda: outbox.get_oldest(before, FOLD_SUBMISSIONS), seconds, progress)


def drain_season(season: str) -> list[Folded]:
	"""Folds the submissions of one season, oldest first, for at most DRAIN_SECONDS, and returns them."""
	return _drain(lambda: outbox.get_of_season(season, FOLD_SUBMISSIONS), DRAIN_SECONDS)


def _drain(
	next_names: Callable[[], list[str]], seconds: float, progress: Callable[[int], None] | None = None
) -> list[Folded]:
	folded: list[Folded] = []
	deadline = time.monotonic() + seconds
	with limited(LIMITS), database.read_committed():
		while time.monotonic() < deadline:
			names = next_names()
			rows = fold_or_park(names)
			folded += [Folded(row.name, row.season, len(row.records)) for row in rows]
			if progress:
				progress(len(folded))
			if len(names) < FOLD_SUBMISSIONS or not rows:
				return folded
	return folded


@alerts.in_error_log()
def sweep_outbox() -> int:
	"""Folds the submissions that no worker has folded within SWEEP_AFTER_SECONDS; returns how many.

	Runs every minute.
	"""
	Schedules().is_available()  # notices the end of an outage, even when no request comes
	return len(drain(site_time.naive_now() - timedelta(seconds=SWEEP_AFTER_SECONDS)))


def unpark() -> int:
	"""Puts parked submissions back among the waiting submissions; returns how many. Commits."""
	with database.transaction():
		return outbox.unpark()


def fold_or_park(names: list[str], attempt: int = 0) -> list[OutboxRow]:
	"""Folds submissions in one transaction, and returns the submissions that were folded.

	If the transaction fails for good, each submission is folded by itself, and a submission that still fails
	is parked. Raises errors whose reason may pass (failures.may_pass), and JobTimeoutException when the job's
	time is over. `attempt` counts the tries that have failed already, as in with_retries.
	"""
	try:
		return with_retries(lambda: _fold(names), attempt)
	except JobTimeoutException:
		raise  # the job's time is over; the submission at hand is not to blame
	except Exception as error:  # any error: one bad submission must not stop the others
		if failures.may_pass(error):
			raise
		if len(names) == 1:
			_park(names[0], error)
			return []
	return [row for name in names for row in fold_or_park([name])]


def _fold(names: list[str]) -> list[OutboxRow]:
	with database.transaction():
		rows = outbox.take(names)
		tracker.upsert_submissions(rows)
		outbox.delete(rows)
		counting.count_folded(rows)
	_check_cache(rows)
	return rows


def _check_cache(rows: list[OutboxRow]) -> None:
	"""Drops the schedule of a learner if Redis lacks the dates of her folded answers.

	A web process can die between its commit and its Redis update; then nobody tells Redis of the new dates.
	"""
	schedules, zone = Schedules(), site_time.site_zone()

	def scores(records: Iterable[MemoryRecord]) -> dict[str, float]:
		return {r.question_id: site_time.to_epoch(r.next_review_date, zone) for r in records}

	def present(row: OutboxRow) -> dict[str, float]:
		ids = [r.question_id for r in row.records]
		records = tracker.get_records(row.player, row.season, ids)
		return scores(records[q] for q in question_status.select(records.values()))

	for row in rows:
		if not schedules.drop_outdated(row.player, row.season, scores(row.records), partial(present, row)):
			return  # Redis does not answer. When it does again, no schedule from before is believed


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
