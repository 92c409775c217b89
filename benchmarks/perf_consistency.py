"""Section `consistency`: rebuilds the cache of a season of --rows rows, and compares the cache with MariaDB.

Two bare loops over the same rows give the floor. One loop reads the rows page by page; the other loop also writes them
to Redis. Neither takes the care that is needed while learners answer. The rebuild runs in a process of its own, and the
memory of that process is measured.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

import frappe
import redis

from benchmarks import season_data, site
from benchmarks.report import Section, number, table
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.cache.connections import place
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.srs_redis_manager import SRSRedisManager, rebuild_season_cache
from memora.services.store import whole_schedules

SEASON = "Perf Consistency"
T = TypeVar("T")

PAGE_ROWS = 1000  # in a page of the bare loops, and in a batch of the rebuild
SAMPLE_SIZE = 10_000
DRAWS = 50  # learners, drawn in each of two ways
BARE_PREFIX = "memora-perf-bare"
KB_IN_MB = 1024

PAGE_SQL = """
	SELECT name, player, question_id, next_review_date FROM `tabPlayer Memory Tracker`
	WHERE season = %s AND name > %s ORDER BY name LIMIT %s"""
RAND_SQL = "SELECT player FROM `tabPlayer Memory Tracker` WHERE season = %s ORDER BY RAND() LIMIT %s"

LIMITS = {
	"reconcile_10k_seconds": "at most 2",
	"sampling_vs_rand_ratio": "at least 100",
	"reconcile_full_vs_read_ratio": "at least 0.3",
	"rebuild_vs_floor_ratio": "at least 0.5",
	"rebuild_peak_mb": "at most 150",
}


def measure(arguments: argparse.Namespace) -> Section:
	learners = max(1, arguments.rows // season_data.QUESTIONS_EACH)
	rows = learners * season_data.QUESTIONS_EACH
	with season_data.season(SEASON), _cleared():
		with step(f"Filling {SEASON} with {rows:,} rows"):
			season_data.fill(SEASON, learners)
		figures = {"rows": rows}
		read = _rate(rows, "Reading all rows", _read_all)
		floor = _rate(rows, "Reading all rows and writing them to Redis", _read_and_write_all)
		_remove_bare_keys()
		rebuild, peak_mb = _rebuild(rows)
		figures |= {
			"read_rows_per_s": read,
			"floor_rows_per_s": floor,
			"rebuild_rows_per_s": rebuild,
			"rebuild_vs_floor_ratio": rebuild / floor,
			"rebuild_peak_mb": peak_mb,
		}
		figures |= _reconcile(rows, read)
		figures |= _draw()
	figures = {name: round(value, 3) for name, value in figures.items()}
	return Section(figures, _text(figures))


@contextmanager
def _cleared() -> Iterator[None]:
	"""Removes the season from Redis before and after the block. A run that was killed may have left schedules there."""
	_clear()
	try:
		yield
	finally:
		with step("Clearing Redis"):
			_clear()


def _clear() -> None:
	SRSRedisManager().clear_season_cache(SEASON)
	_remove_bare_keys()
	for doctype in ("Cache Rebuild", "Cache Reconciliation"):
		frappe.db.delete(doctype, {"season": SEASON})
	frappe.db.commit()  # no request commits here


# The bare loops


def _pages() -> Iterator[tuple[tuple[Any, ...], ...]]:
	after = ""
	while True:
		frappe.db.begin()
		page = frappe.db.sql(PAGE_SQL, (SEASON, after, PAGE_ROWS))
		if not page:
			return
		yield page
		after = page[-1][0]


def _read_all() -> int:
	return sum(len(page) for page in _pages())


def _read_and_write_all() -> int:
	client, zone, rows = _client(), site_time.site_zone(), 0
	for page in _pages():
		pipeline = client.pipeline(transaction=False)
		by_learner: dict[str, dict[str, float]] = {}
		for _name, learner, question_id, due in page:
			by_learner.setdefault(learner, {})[question_id] = site_time.to_epoch(due, zone)
		for learner, items in by_learner.items():
			pipeline.zadd(f"{BARE_PREFIX}:{learner}", items)
		pipeline.execute()
		rows += len(page)
	return rows


def _remove_bare_keys() -> None:
	client = _client()
	for key in client.scan_iter(match=f"{BARE_PREFIX}:*", count=PAGE_ROWS):
		client.unlink(key)


def _client() -> redis.Redis:
	return redis.Redis.from_url(place(frappe.conf).url, decode_responses=True)


# The rebuild and the comparison of the app


def _rebuild(rows: int) -> tuple[float, float]:
	"""Rebuilds the cache in a process of its own. Returns rows per second, and that process's peak memory in MB."""
	with step("Rebuilding the cache"), ProcessPoolExecutor(1, get_context("spawn")) as pool:
		records, seconds, peak_mb = pool.submit(_rebuild_in_process).result()
	if records != rows:
		raise Failure(f"{records:,} rows were rebuilt, of {rows:,}")
	return rows / seconds, peak_mb


def _rebuild_in_process() -> tuple[int, float, float]:
	with site.connected():
		begin = time.perf_counter()
		result = rebuild_season_cache(SEASON, PAGE_ROWS)
		seconds = time.perf_counter() - begin
	if result["status"] != "completed" or result["total_keys"] != result["total_users"]:
		raise Failure(f"The rebuild did not complete: {result}")
	return result["total_records"], seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_IN_MB


def _reconcile(rows: int, read: float) -> dict[str, float]:
	frappe.db.commit()  # the comparison must see what the rebuild's process has written
	with step(f"Comparing {SAMPLE_SIZE:,} records of random learners"):
		seconds, report = _timed(lambda: reconcile_cache_with_database(SAMPLE_SIZE, SEASON))
	_check(report, min(rows, SAMPLE_SIZE))
	with step("Comparing all records"):
		all_seconds, report = _timed(lambda: reconcile_cache_with_database(None, SEASON))
	_check(report, rows)
	full = rows / all_seconds
	return {
		"reconcile_10k_seconds": seconds,
		"reconcile_full_rows_per_s": full,
		"reconcile_full_vs_read_ratio": full / read,
	}


def _check(report: dict[str, Any], least: int) -> None:
	if report["error"] or report["discrepancies_found"] or report["sample_size"] < least:
		raise Failure(f"The comparison found differences, or failed: {report}")


def _draw() -> dict[str, float]:
	"""Times two ways to draw learners: by random places in the primary key, as the app does, and by ORDER BY RAND()."""
	with step(f"Drawing {DRAWS} learners in two ways"):
		places, _found = _timed(lambda: whole_schedules.pick_learners(SEASON, DRAWS))
		by_rand, _found = _timed(lambda: frappe.db.sql(RAND_SQL, (SEASON, DRAWS)))
	return {
		"sampling_ms": places * 1000,
		"order_by_rand_ms": by_rand * 1000,
		"sampling_vs_rand_ratio": by_rand / places,
	}


def _rate(rows: int, what: str, loop: Callable[[], int]) -> float:
	with step(what):
		seconds, done = _timed(loop)
	if done != rows:
		raise Failure(f"{done:,} rows were read, of {rows:,}")
	return rows / seconds


def _timed(work: Callable[[], T]) -> tuple[float, T]:
	begin = time.perf_counter()
	result = work()
	return time.perf_counter() - begin, result


def _text(figures: dict[str, float]) -> str:
	rows = [["consistency", "", "limit"]]
	for name, value in figures.items():
		rows.append([name, number(value, 2 if value < 100 and value % 1 else 0), LIMITS.get(name, "")])
	return table(rows)
