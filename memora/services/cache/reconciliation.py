"""Compares learners' schedules in Redis with MariaDB, and mends the schedules that differ.

Only schedules that Redis claims to hold whole are compared: any other schedule is loaded before it is
believed. There are four kinds of discrepancy, counted in records:

	cache_misses   Redis has lost a whole schedule that it claims to hold
	stale          Redis has another date, by more than SCORE_SECONDS
	orphaned       MariaDB has the record, Redis does not
	ghosts         Redis has the question, MariaDB does not

A schedule that differs is compared again under the learner's lock, while no answer of hers can be stored. If
the schedule still differs, it is loaded again. So no learner who answers meanwhile is set back.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import frappe
from frappe import _

from memora.exceptions import InvalidLimit, JournalUnavailable, quoting
from memora.services import alerts, site_time
from memora.services.cache import loading
from memora.services.cache.breaker import Unavailable
from memora.services.cache.loading import Comparison
from memora.services.cache.schedules import Schedules
from memora.services.settings import get_settings
from memora.services.store import database, seasons, tables, whole_schedules

DOCTYPE, TRACKER = "Cache Reconciliation", "Player Memory Tracker"
SCORE_SECONDS = 1
SAMPLE_SIZE = 10_000
MAX_SAMPLE_SIZE = 100_000_000
BATCH_LEARNERS = 20
MISSES = 5  # draws in a row without a new learner: then hardly any learner is left
EXAMPLES = 20  # of differences, in the log


Progress = Callable[["ReconciliationReport"], None]


@dataclass
class ReconciliationReport:
	"""The findings of a reconciliation. `error` says why the reconciliation stopped early."""

	season: str
	is_complete: bool
	started_at: datetime
	seconds: float = 0.0
	learners: int = 0
	sample_size: int = 0
	cache_misses: int = 0
	stale: int = 0
	orphaned: int = 0
	ghosts: int = 0
	auto_corrected: int = 0
	error: str | None = None
	examples: list[str] = field(default_factory=list)

	@property
	def discrepancies_found(self) -> int:
		return self.cache_misses + self.stale + self.orphaned + self.ghosts

	@property
	def discrepancy_rate(self) -> float:
		"""Discrepancies per compared record: 0 to 1, even if there are more ghosts than records."""
		return self.discrepancies_found / max(self.sample_size, self.discrepancies_found, 1)

	@property
	def alert_triggered(self) -> bool:
		return self.discrepancy_rate * 100 > get_settings().discrepancy_alert_percent

	def as_dict(self) -> dict[str, Any]:
		names = ("discrepancies_found", "discrepancy_rate", "alert_triggered")
		return {**asdict(self), **{name: getattr(self, name) for name in names}}


def reconcile(
	sample_size: int | None = SAMPLE_SIZE,
	season: str | None = None,
	learner: str | None = None,
	progress: Progress | None = None,
) -> dict[str, Any]:
	"""Compares records of a season in Redis with MariaDB, and mends the schedules that differ.

	Returns the report: {sample_size, discrepancies_found, discrepancy_rate, auto_corrected, alert_triggered,
	cache_misses, stale, orphaned, ghosts, learners, seconds, season, error?, …}.

	Compares whole schedules of random learners, until `sample_size` records are compared. If `sample_size` is
	None or not below the season's size, all learners are compared; if `learner` is given, only her schedule.
	The default season is the active one. Managers are told when the rate is above the limit in Memora
	Settings. `progress`, if given, is called with the report after each batch. Raises UnknownSeason and
	InvalidLimit. Commits. Runs daily.
	"""
	_check_size(sample_size)
	found = seasons.get_season(season) if season else seasons.get_active_season()
	if found and sample_size and sample_size >= tables.estimate_rows(TRACKER, found.name):
		sample_size = None
	report = ReconciliationReport(
		found.name if found else "", sample_size is None and not learner, site_time.naive_now()
	)
	if not found or not found.enable_redis:
		report.error = (
			_("Season {0} does not use Redis.").format(season) if season else _("No season is active.")
		)
		return report.as_dict()
	begin = time.monotonic()
	try:
		_reconcile(
			report, [[learner]] if learner else _batches(found.name, sample_size), sample_size, progress
		)
	except Unavailable as error:
		report.error = _("The Redis for schedules can't be reached: {0}").format(error)
	report.seconds = round(time.monotonic() - begin, 3)
	_note(report)
	return report.as_dict()


def _check_size(sample_size: Any) -> None:
	"""Raises InvalidLimit for a value that is neither None nor a whole number from 1 to MAX_SAMPLE_SIZE."""
	is_number = isinstance(sample_size, int) and not isinstance(sample_size, bool)
	if sample_size is None or (is_number and 1 <= sample_size <= MAX_SAMPLE_SIZE):
		return
	frappe.throw(
		quoting(
			_("sample_size must be a whole number from 1 to {0}, not {1}."), MAX_SAMPLE_SIZE, sample_size
		),
		InvalidLimit,
	)


def _reconcile(
	report: ReconciliationReport,
	batches: Iterable[list[str]],
	sample_size: int | None,
	progress: Progress | None,
) -> None:
	schedules = Schedules()
	for learners in batches:
		compared = loading.compare(schedules, report.season, learners)
		for learner, comparison in compared.items():
			report.learners += 1
			report.sample_size += len(comparison.stored)
			if _differs(comparison):
				_mend(schedules, learner, report)
		if progress:
			progress(report)
		if sample_size is not None and report.sample_size >= sample_size:
			return


def _batches(season: str, sample_size: int | None) -> Iterator[list[str]]:
	"""Yields all learners in alphabetical order; with a sample size, random learners, each once.

	Random learners end when MISSES draws in a row have found nobody new.
	"""
	if sample_size is None:
		after = ""
		while page := whole_schedules.get_learners(season, after, BATCH_LEARNERS):
			learners = [learner for learner, _records in page]
			yield learners
			after = learners[-1]
		return
	seen: set[str] = set()
	misses = 0
	while misses < MISSES:
		fresh = whole_schedules.pick_learners(season, BATCH_LEARNERS) - seen
		misses = 0 if fresh else misses + 1
		seen |= fresh
		yield list(fresh)


def _mend(schedules: Schedules, learner: str, report: ReconciliationReport) -> None:
	"""Compares a learner's schedule again while no answer of hers can be stored.

	If the schedule still differs, loads it again.
	"""
	try:
		with database.learner_lock(learner):
			comparison = loading.compare(schedules, report.season, [learner]).get(learner)
			if not comparison or not _differs(comparison):
				return
			found = _count(comparison, learner, report)
			_records, stored = loading.reload(schedules, report.season, [learner])
			report.auto_corrected += found if stored else 0
	except JournalUnavailable:
		frappe.logger("memora").warning(
			f"reconciliation: {learner} answers without pause; left to the next run"
		)


def _differs(comparison: Comparison) -> bool:
	cached, stored = comparison
	if cached == stored:  # the usual case, and the fastest test
		return False
	return cached.keys() != stored.keys() or any(
		abs(cached[q] - score) > SCORE_SECONDS for q, score in stored.items()
	)


def _count(comparison: Comparison, learner: str, report: ReconciliationReport) -> int:
	"""Adds a learner's discrepancies to the report; returns how many."""
	cached, stored = comparison
	before = report.discrepancies_found
	if not cached:
		report.cache_misses += len(stored)
	else:
		report.orphaned += len(stored.keys() - cached.keys())
	report.ghosts += len(cached.keys() - stored.keys())
	both = cached.keys() & stored.keys()
	report.stale += sum(abs(cached[q] - stored[q]) > SCORE_SECONDS for q in both)
	wrong = [q for q in cached.keys() | stored.keys() if cached.get(q) != stored.get(q)]
	room = EXAMPLES - len(report.examples)
	report.examples += [f"{learner}, {q}: {cached.get(q)} for {stored.get(q)}" for q in sorted(wrong)[:room]]
	return report.discrepancies_found - before


@alerts.in_site_language()
def _note(report: ReconciliationReport) -> None:
	"""Stores the report, and tells managers if the rate is above the limit."""
	values = report.as_dict()
	examples = values.pop("examples")
	if values.pop("error") is None:
		with database.transaction():
			frappe.get_doc({"doctype": DOCTYPE, **values}).insert(ignore_permissions=True)
	if report.discrepancies_found:
		frappe.logger("memora").warning(f"reconciliation: {values}: {'; '.join(examples)}")
	if report.alert_triggered:
		message = _("Records of season {2} compared: {1}. Wrong in Redis: {0}. Corrected: {3}. {4}")
		alerts.tell_managers(
			_("The cache disagreed with the database"),
			message.format(
				report.discrepancies_found,
				report.sample_size,
				report.season,
				report.auto_corrected,
				"; ".join(examples),
			),
		)
