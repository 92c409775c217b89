"""Of section `hang`: what it takes to look at the outbox, to park and to unpark, while a million submissions wait.

They are in a season of their own and dated in the future, where no worker or sweeper of the site looks.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median

import frappe

from benchmarks import season_data
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.folding import folds
from memora.services.operations import health, metrics
from memora.services.store import database, outbox

SEASON = "Perf Hang Season"
WAITING = 1_000_000
IN_A_TRANSACTION = 50_000
AHEAD = timedelta(days=1)
TIMES = 15  # each is done; the middle one counts

# Learners' ids of which no two are neighbours, as in a school
INSERT_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, payload, activity, creation, modified)
	SELECT CONCAT(LEFT(MD5(seq % 10000), 16), LEFT(MD5(-seq), 16)), LEFT(MD5(seq % 10000), 16), {season}, '{{"records": []}}', '[]',
	{first} + INTERVAL seq MICROSECOND, {first} FROM seq_{begin}_to_{end}"""
DELETE_SQL = f"DELETE FROM `tabReview Outbox` WHERE season = %s LIMIT {IN_A_TRANSACTION}"


def measure() -> dict[str, float]:
	"""Returns the milliseconds of the slowest of health, metrics, park and unpark."""
	with season_data.season(SEASON):
		try:
			with step(f"Writing {WAITING:,} submissions that wait"):
				_fill()
			with step("Looking at them"):
				taken = {
					action.__name__: _median_ms(action) for action in (_health, _metrics, _park, _unpark)
				}
		finally:
			with step("Removing them"):
				_clear()
	slowest = max(taken, key=taken.__getitem__)
	with step(f"The slowest is{slowest.replace('_', ' ')}"):
		return {"million_waiting_health_ms": taken[slowest]}


def _fill() -> None:
	first = site_time.naive_now() + AHEAD
	values = {"season": frappe.db.escape(SEASON), "first": frappe.db.escape(str(first))}
	for begin in range(1, WAITING, IN_A_TRANSACTION):
		end = begin + IN_A_TRANSACTION - 1
		frappe.db.sql(INSERT_SQL.format(**values, begin=begin, end=end))
		frappe.db.commit()
	if (waiting := outbox.count_all()[0]) < WAITING:
		raise Failure(f"{waiting:,} submissions wait instead of {WAITING:,}")


def _clear() -> None:
	frappe.db.rollback()
	while frappe.db.sql(DELETE_SQL, (SEASON,)) or frappe.db._cursor.rowcount:
		frappe.db.commit()


def _median_ms(action: Callable[[], None]) -> float:
	return median(_ms(action) for _ in range(TIMES))


def _ms(action: Callable[[], None]) -> float:
	frappe.db.commit()
	begin = time.perf_counter()
	action()
	return (time.perf_counter() - begin) * 1000


def _health() -> None:
	health.get_health()


def _metrics() -> None:
	metrics.render_metrics()


def _park() -> None:
	with database.transaction():
		name = outbox.get_of_season(SEASON, 1)[0].name
		outbox.park(name, "the benchmark's", site_time.naive_now())


def _unpark() -> None:
	"""Puts back what `_park` has parked, all at the first time."""
	folds.unpark()
