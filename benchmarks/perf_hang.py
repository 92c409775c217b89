"""Section `hang`: what others notice of a process that hangs, of a host that is cut off, of a million submissions that wait.

Each measurement is a function in a module of its own, and returns {figure: value}. LIMITS has the most that a figure may be.
"""

import argparse
from collections.abc import Callable

from benchmarks import hang_cut_host, hang_fold, hang_outbox
from benchmarks.report import Section, number, table

MEASUREMENTS: tuple[Callable[[], dict[str, float]], ...] = (
	hang_fold.measure,
	hang_outbox.measure,
	hang_cut_host.measure,
)
LIMITS = {
	"hung_worker_fold_delay_s": 40,
	"hung_worker_read_p99_ratio": 1.5,
	"million_waiting_health_ms": 50,
	"cut_host_other_hosts_loads_per_read": 0.01,
}


def measure(arguments: argparse.Namespace) -> Section:
	figures = {name: round(value, 4) for each in MEASUREMENTS for name, value in each().items()}
	return Section(figures, _text(figures))


def _text(figures: dict[str, float]) -> str:
	rows = [["hang", "measured", "at most", ""]]
	for name, value in figures.items():
		limit = LIMITS.get(name)
		at_most, is_over = ("", "") if limit is None else (number(limit, 2), "OVER" if value > limit else "")
		rows.append([name.replace("_", " "), number(value, 2), at_most, is_over])
	return table(rows)
