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
WAITING, FEW = 1_000_000, 100
IN_A_TRANSACTION = 50_000
AHEAD = timedelta(days=1)
TIMES = 15  # each is done; the middle one counts

# In the order of every index, which takes a fraction of the time that random ids would take
INSERT_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, payload, activity, creation, modified)
	SELECT LPAD(HEX(seq), 32, '0'), LPAD(HEX(seq DIV 65536), 16, '0'), {season}, '{{"records": []}}', '[]',
	{first} + INTERVAL seq MICROSECOND, {first} FROM seq_{begin}_to_{end}"""
DELETE_SQL = f"DELETE FROM `tabReview Outbox` WHERE season = %s LIMIT {IN_A_TRANSACTION}"


def measure() -> dict[str, float]:
	"""Returns the milliseconds of the slowest of health, metrics, park and unpark; the same while only a few wait; and of each."""
	_clear()  # a killed run may have left a million
	with season_data.season(SEASON):
		try:
			_fill(FEW)
			few = _looks()
			with step(f"Writing {WAITING:,} submissions that wait"):
				_fill(WAITING)
			with step("Looking at them"):
				many = _looks()
		finally:
			with step("Removing them"):
				_clear()
	each = {f"million_waiting_{name}_only_ms": ms for name, ms in many.items()}
	slowest = {"million_waiting_health_ms": max(many.values()), "few_waiting_health_ms": max(few.values())}
	return {**slowest, **each}


def _looks() -> dict[str, float]:
	return {name: _median_ms(action) for name, action in LOOKS.items()}


def _fill(how_many: int) -> None:
	_clear()
	first = site_time.naive_now() + AHEAD
	values = {"season": frappe.db.escape(SEASON), "first": frappe.db.escape(str(first))}
	for begin in range(1, how_many + 1, IN_A_TRANSACTION):
		end = min(begin + IN_A_TRANSACTION - 1, how_many)
		frappe.db.sql(INSERT_SQL.format(**values, begin=begin, end=end))
		frappe.db.commit()
	if (waiting := outbox.count_all()[0]) < how_many:
		raise Failure(f"{waiting:,} submissions wait instead of {how_many:,}")


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


LOOKS = {"health": _health, "metrics": _metrics, "park": _park, "unpark": _unpark}
