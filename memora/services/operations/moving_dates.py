"""Moves the dates of a season's records after its end, or the hour at which a learning day starts, has changed.

The season notes how far its run is (store/date_moves). A run that dies is resumed by the scheduler, or when the season is
changed again. A run whose season changes meanwhile begins anew, by the newest calendar. See date_run for the run itself.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import frappe
from frappe import _
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from memora.exceptions import MemoraError, QueueUnavailable
from memora.services import alerts
from memora.services.figures import due_forecast
from memora.services.folding import folds
from memora.services.learning.moved_dates import MovedCalendar
from memora.services.operations import admin_jobs
from memora.services.operations.date_run import DateRun, Progress
from memora.services.store import database, date_moves, failures, seasons
from memora.services.store.date_moves import DateMoves
from memora.services.store.limits import limited

DOCTYPE = "Game Subscription Season"
JOB = "memora.services.operations.moving_dates.move_dates"
RUN_WAIT_SECONDS = 5  # for a run that is about to end
# In four tries it waits longer than a fold that hangs can hold its rows
LIMITS = folds.LIMITS._replace(innodb_lock_wait_timeout=5)

FAILURES: tuple[type[Exception], ...] = (MemoraError, RedisError, *failures.ERRORS)


def start(season: str) -> None:
	"""Starts the job that moves a season's dates. Without a queue the scheduler starts it within an hour. Commits."""
	try:
		admin_jobs.start_admin_job("dates", JOB, season=season)
	except QueueUnavailable as error:
		frappe.clear_last_message()
		frappe.logger("memora").warning(f"dates of season {season} are moved later: {error}")


def resume_unfinished() -> None:
	"""Starts a job for each season whose dates are still to be moved, unless one waits or runs. Runs hourly."""
	for season in date_moves.get_open():
		if not (database.is_locked(lock_name(season)) or _has_job(season)):
			start(season)


def _has_job(season: str) -> bool:
	job_id = seasons.get_jobs(seasons.get_document(season)).get("dates")
	return job_id is not None and admin_jobs.is_job_going_on(job_id)


def lock_name(season: str) -> str:
	"""Returns the name of the lock that a run through this season holds."""
	return f"move dates {season}"


@alerts.in_site_language()
def move_dates(season: str, even_unchanged: bool = False, progress: Progress | None = None) -> dict[str, Any]:
	"""Moves the dates of a season by its present calendar. Returns {season, moved (dates), error?}. Commits.

	Does nothing if no date is to be moved, unless `even_unchanged`; then it looks for dates beyond the end. Managers are
	told of the first failure. `progress`, if given, is called about every second. Raises UnknownSeason.
	"""
	season = seasons.get_season(season).name
	with database.named_lock(lock_name(season), RUN_WAIT_SECONDS) as is_mine:
		if not is_mine:  # the run that goes on sees the newest calendar
			return {"season": season, "moved": 0}
		database.new_snapshot()
		before = date_moves.get(season)
		if not (before.is_open or even_unchanged):
			return {"season": season, "moved": 0}
		try:
			with limited(LIMITS):
				moved = _move_all(season, progress)
		except FAILURES as error:
			return _failed(season, before, str(error))
		except JobTimeoutException as error:
			database.renew()  # it may have come while MariaDB was answering
			return _failed(season, before, str(error))
		due_forecast.compute_forecast(season)
	return {"season": season, "moved": moved}


def _move_all(season: str, progress: Progress | None) -> int:
	"""Runs until a run has ended with the calendar that it began with. Returns how many dates are moved."""
	while True:
		database.new_snapshot()
		note = date_moves.get(season)
		run = DateRun(seasons.get_season(season), note if note.is_open else replace(note, moved=0), progress)
		if run.go():
			return run.note.moved


def _failed(season: str, before: DateMoves, error: str) -> dict[str, Any]:
	with suppress(*FAILURES):  # MariaDB may be down
		note = date_moves.get(season)
		date_moves.note_run(season, replace(note, error=error))
		if not before.error:
			text = _("Season {0}: {1} The scheduler tries again every hour.").format(season, error)
			alerts.tell_managers(_("Dates could not be moved"), text, (DOCTYPE, season))
	return {"season": season, "moved": date_moves.get(season).moved, "error": error}


def follow_learner(season: str, learner: str) -> None:
	"""Moves those dates of one learner that have come into the tracker as they were before changes of the calendar. Commits.

	Does nothing in a season whose calendar has never changed, or that is being archived.
	"""
	note = date_moves.get(season)
	if note.version and not seasons.get_document(season).archive_started_at:
		DateRun(seasons.get_season(season), note.in_all).follow_learner(learner)


def get_calendar(season: str) -> MovedCalendar:
	"""Returns the calendar of a season and all that it has had. Raises UnknownSeason."""
	found = seasons.get_season(season)
	return DateRun(found, date_moves.get(found.name).in_all).calendar


def count_moved(season: str) -> int:
	"""Returns how many dates a run would move now. Reads the whole season, page by page. Raises UnknownSeason."""
	found = seasons.get_season(season)
	return DateRun(found, date_moves.get(found.name)).count()
