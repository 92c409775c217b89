"""Loads the schedules of a whole season into Redis, so that no learner's first read has to load her schedule.

A run goes from learner to learner in alphabetical order. Each schedule is claimed before its rows are
read: a learner who answers meanwhile has her schedule loaded at her next read. The Cache Rebuild document
notes how far the run is. If the run dies or is cancelled, the next run goes on from there.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from memora.exceptions import InvalidLimit, SeasonStateError, quoting
from memora.services import site_time
from memora.services.cache import loading
from memora.services.cache.breaker import Unavailable
from memora.services.cache.schedules import Schedules
from memora.services.store import database, runs, seasons, tables, whole_schedules

DOCTYPE = "Cache Rebuild"
MAX_BATCH_SIZE = 100_000  # records
PAGE_LEARNERS = 1000
REPORT_SECONDS = 1  # between two reports of progress; each also looks whether the run was cancelled
RESUME_HOURS = 1  # an older run is not resumed: too much of what it stored may have left Redis

Progress = Callable[[Document], None]


def rebuild_cache(
	season_name: str, batch_size: int = 1000, restart: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
	"""Loads all schedules of a season and returns {total_records, total_users, total_keys, status, error?}.

	`status` is completed, failed or cancelled; `total_keys` counts the schedules stored. `batch_size` counts
	records; a learner's records are never split. Without `restart`, a run of the last RESUME_HOURS that did
	not complete is resumed. `progress`, if given, is called with the Cache Rebuild document about every
	second. Commits. Raises UnknownSeason and InvalidLimit; SeasonStateError if the season has no cache or is
	being rebuilt already.
	"""
	if not isinstance(batch_size, int) or not 1 <= batch_size <= MAX_BATCH_SIZE:
		frappe.throw(
			quoting(
				_("batch_size must be a whole number from 1 to {0}, not {1}."), MAX_BATCH_SIZE, batch_size
			),
			InvalidLimit,
		)
	season_name = require_cache(season_name)
	with database.named_lock(lock_name(season_name), wait_seconds=0) as is_mine:
		if not is_mine:
			frappe.throw(
				quoting(_("The cache of season {0} is being rebuilt."), season_name), SeasonStateError
			)
		run = _Run(_resumed(season_name, restart) or _new(season_name), batch_size, progress)
		return run.go()


def lock_name(season_name: str) -> str:
	"""Returns the name of the lock that a rebuild of this season holds."""
	return f"rebuild {season_name}"


def cancel_rebuild(season_name: str) -> bool:
	"""Tells the rebuild of a season to stop within seconds; says whether there was one.

	Raises UnknownSeason. Commits.
	"""
	season_name = seasons.get_season(season_name).name
	with database.transaction():
		running = {"season": season_name, "status": "Running"}
		names = frappe.get_all(DOCTYPE, filters=running, pluck="name")
		for name in names:
			frappe.db.set_value(DOCTYPE, name, "cancel_requested", 1)
	return bool(names)


class _Run:
	"""A run through a season. Its Cache Rebuild document holds the figures."""

	def __init__(self, doc: Document, batch_size: int, progress: Progress | None) -> None:
		self.doc, self.batch_size, self.progress = doc, batch_size, progress
		self.schedules_in_redis = Schedules()
		self.report_at = 0.0

	def go(self) -> dict[str, Any]:
		try:
			self._end(self._load_all())
		except Unavailable as error:
			self._end("Failed", _("The Redis for schedules can't be reached: {0}").format(error))
		except BaseException as error:  # also Ctrl-C: the next run goes on where this run stopped
			self._end("Failed", f"{type(error).__name__}: {error}")
			raise
		doc = self.doc
		result = {
			"total_records": doc.records,
			"total_users": doc.learners,
			"total_keys": doc.schedules,
			"status": doc.status.lower(),
		}
		return {**result, "error": doc.error} if doc.error else result

	def _load_all(self) -> str:
		doc = self.doc
		for learners in self._batches():
			records, stored = loading.reload(self.schedules_in_redis, doc.season, learners)
			doc.records += records
			doc.learners += len(learners)
			doc.schedules += stored
			doc.position = learners[-1]
			if time.monotonic() >= self.report_at and self._report():
				return "Cancelled"
		return "Completed"

	def _batches(self) -> Iterator[list[str]]:
		"""Yields groups of learners who have at most `batch_size` records in all.

		A learner who alone has more records is a group of her own.
		"""
		learners: list[str] = []
		size = 0
		for learner, records in _learners(self.doc.season, self.doc.position or ""):
			if learners and size + records > self.batch_size:
				yield learners
				learners, size = [], 0
			learners.append(learner)
			size += records
		if learners:
			yield learners

	def _report(self) -> bool:
		"""Reports how far the run is; says whether the run was cancelled."""
		self._save()
		self.report_at = time.monotonic() + REPORT_SECONDS
		return bool(frappe.db.get_value(DOCTYPE, self.doc.name, "cancel_requested"))

	def _end(self, status: str, error: str | None = None) -> None:
		self.doc.status, self.doc.error, self.doc.ended_at = status, error, site_time.naive_now()
		self._save()

	def _save(self) -> None:
		"""Notes how far the run is, and tells the desk and the caller. Commits."""
		doc = self.doc
		names = ("status", "error", "ended_at", "records", "learners", "schedules", "position")
		with database.transaction():
			frappe.db.set_value(DOCTYPE, doc.name, {name: doc.get(name) for name in names})
		state = {
			name: doc.get(name) for name in ("season", "status", "records", "estimated_records", "error")
		}
		frappe.publish_realtime("memora_rebuild", state)
		if self.progress:
			self.progress(doc)


def _learners(season: str, after: str) -> Iterator[tuple[str, int]]:
	while page := whole_schedules.get_learners(season, after, PAGE_LEARNERS):
		yield from page
		after = page[-1][0]


def require_cache(season_name: str) -> str:
	"""Returns the season's name as it is stored.

	Raises UnknownSeason; SeasonStateError if the season does not use Redis, is being archived or is archived.
	"""
	season = seasons.get_document(season_name)
	if not season.enable_redis:
		frappe.throw(quoting(_("Season {0} does not use Redis."), season.name), SeasonStateError)
	if season.archive_started_at:
		frappe.throw(
			quoting(_("Season {0} is being archived or is archived."), season.name), SeasonStateError
		)
	return season.name


def _resumed(season_name: str, restart: bool) -> Document | None:
	since = site_time.naive_now() - timedelta(hours=RESUME_HOURS)
	name = None if restart else runs.find_resumable_rebuild(season_name, since)
	if not name:
		return None
	doc = frappe.get_doc(DOCTYPE, name)
	with database.transaction():
		doc.db_set({"status": "Running", "cancel_requested": 0, "error": None, "ended_at": None})
	return doc


def _new(season_name: str) -> Document:
	values = {
		"season": season_name,
		"status": "Running",
		"started_at": site_time.naive_now(),
		"estimated_records": tables.estimate_rows("Player Memory Tracker", season_name),
		**dict.fromkeys(("records", "learners", "schedules"), 0),
	}
	with database.transaction():
		return frappe.get_doc({"doctype": DOCTYPE, **values}).insert(ignore_permissions=True)
