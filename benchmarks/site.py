"""Connects this process to the site that `./dev` names, and keeps the seasons that demo and benchmarks own there."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import frappe

from devtools.report import Failure
from memora.services.figures import due_forecast
from memora.services.settings import CACHE_SECONDS
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import figure_tables

PROJECT = Path(__file__).resolve().parent.parent
DEMO_SEASON, PERF_SEASON = "Demo Season", "Perf Season"
SEASON_YEARS = 5  # so long that no interval comes near the end of the season
FOLD_SECONDS = 60  # without any progress; after that, no worker is there
SECONDS_BETWEEN_LOOKS = 0.05
NO_LIMITS = {"new_per_day": 1000, "answers_per_day": 0, "practice_per_day": 0}

WAITING_SQL = "SELECT COUNT(*) FROM `tabReview Outbox` WHERE season = %s AND player IN %s"


@contextmanager
def connected() -> Iterator[None]:
	"""Connects Frappe as Administrator for the block. SIGTERM ends the process with exit code 143, and `finally` blocks run."""
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
	os.chdir(os.environ["MEMORA_SITES_PATH"])  # Frappe writes its logs to ../logs
	with own_connection():
		yield


@contextmanager
def own_connection() -> Iterator[None]:
	"""Connects Frappe as Administrator for the block: the process, or a further thread of it."""
	frappe.init(os.environ["MEMORA_SITE"], sites_path=".")
	frappe.connect()
	try:
		yield
	finally:
		frappe.destroy()


def url() -> str:
	"""Returns the URL of the web server under test."""
	return os.environ["MEMORA_URL"]


def desk_url(name: str) -> str:
	"""Returns the URL of a list or workspace in the desk, which is under /app in Frappe 15 and under /desk in Frappe 16."""
	return url() + urlsplit(frappe.utils.get_url_to_list(name)).path


@contextmanager
def without_limits() -> Iterator[None]:
	"""Lifts what a learner may answer on one day, for the block: a benchmark has her answer for weeks."""
	settings = frappe.get_single("Memora Settings")
	before = {name: settings.get(name) for name in NO_LIMITS}
	_save_settings(NO_LIMITS)
	try:
		yield
	finally:
		_save_settings(before)


def _save_settings(values: dict[str, int]) -> None:
	"""Saves settings in a transaction of its own: no request of Frappe's would end it, and other processes must see them."""
	frappe.db.rollback()  # what was read before may be older than the settings
	frappe.get_single("Memora Settings").update(values).save()
	frappe.db.commit()
	time.sleep(CACHE_SECONDS)  # until all web processes have read them


def active_season() -> str | None:
	return frappe.db.get_value("Game Subscription Season", {"is_active": 1})


def activate(season: str) -> None:
	"""Makes one of our seasons if it does not exist, activates it, and commits.

	If another of our seasons is active, that season is deactivated. Raises Failure if the active season is not ours.
	"""
	frappe.db.commit()  # partitions are made on another connection, which this transaction would block
	active = active_season()
	if active and active not in (season, DEMO_SEASON, PERF_SEASON):
		raise Failure(f"The season {active} is active here. It is not ours: please deactivate it first")
	if active and active != season:
		deactivate(active)
	_save_season(season)
	frappe.db.commit()


def deactivate(season: str) -> None:
	document = frappe.get_doc("Game Subscription Season", season)
	document.is_active = 0
	document.save()
	frappe.db.commit()


def _save_season(name: str) -> None:
	today = date.today()
	values = {"start_date": today, "end_date": today + timedelta(days=365 * SEASON_YEARS), "is_active": 1}
	if not frappe.db.exists("Game Subscription Season", name):
		frappe.get_doc({"doctype": "Game Subscription Season", "season_name": name, **values}).insert()
		return
	season = frappe.get_doc("Game Subscription Season", name)
	season.update(values)
	season.save()


def delete_answers(season: str, learners: list[str]) -> int:
	"""Deletes all that these learners have in a season, also in Redis, and commits. Returns how many answers were deleted.

	The outbox is emptied first. The deletion waits for a worker that is folding a row, and no worker can begin afterwards.
	"""
	rows = {"season": season, "player": ("in", learners)}
	frappe.db.delete("Review Outbox", rows)
	frappe.db.commit()
	answers = frappe.db.count("Player Review Log", rows)
	frappe.db.delete("Player Memory Tracker", rows)
	frappe.db.delete("Player Review Log", rows)
	frappe.db.delete("Daily Learner", rows)
	frappe.db.commit()
	for learner in learners:
		if not SRSRedisManager().clear_user_cache(learner, season):
			raise Failure(f"Redis did not drop the schedule of {learner}")
	return answers


def delete_figures(season: str) -> None:
	"""Deletes the figures that were counted for a season. The caller commits."""
	figure_tables.forget_season(season)
	due_forecast.forget_forecast(season)


def wait_until_folded(season: str, learners: list[str]) -> None:
	"""Returns when the worker has folded all answers of these learners. Raises Failure after FOLD_SECONDS without progress."""

	def waiting() -> int:
		frappe.db.rollback()  # ends the snapshot of the last look
		return frappe.db.sql(WAITING_SQL, (season, learners))[0][0]

	wait_for_zero(waiting, FOLD_SECONDS, "submissions wait to be folded; does a worker serve srs_write?")


def wait_for_zero(count: Callable[[], int], seconds: float, what: str) -> None:
	"""Polls until `count()` is 0. Raises Failure with `what` if the count has not fallen for `seconds` seconds."""
	lowest, deadline = count(), time.monotonic() + seconds
	while left := count():
		if left < lowest:
			lowest, deadline = left, time.monotonic() + seconds
		if time.monotonic() > deadline:
			raise Failure(f"{left} {what}")
		time.sleep(SECONDS_BETWEEN_LOOKS)
