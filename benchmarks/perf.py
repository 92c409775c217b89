"""`./dev perf SECTION… [--json]`: measures the app on the real site, section by section.

Each section returns figures, whose names do not change, and a table for people. With --json, stdout carries one JSON
object with all figures and nothing else. Progress always goes to stderr.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable

from benchmarks import (
	perf_consistency,
	perf_crowd,
	perf_drain,
	perf_endpoints,
	perf_hang,
	perf_hostile,
	perf_metrics,
	perf_safe_mode,
	perf_seasons,
	perf_sizes,
	perf_workers,
	site,
)
from benchmarks.report import Section
from devtools.report import Failure, keep_stdout_clean, say_failure

SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
	"endpoints": perf_endpoints.measure,
	"crowd": perf_crowd.measure,
	"hostile": perf_hostile.measure,
	"hang": perf_hang.measure,
	"metrics": perf_metrics.measure,
	"drain": perf_drain.measure,
	"workers": perf_workers.measure,
	"seasons": perf_seasons.measure,
	"consistency": perf_consistency.measure,
	"safe-mode": perf_safe_mode.measure,
	"sizes": perf_sizes.measure,
}

ROWS, LEAST_ROWS = 1_000_000, 1000
PUPILS = 100


def main() -> int:
	keep_stdout_clean()
	arguments = _parse()
	try:
		with site.connected():
			results = [SECTIONS[name](arguments) for name in arguments.sections]
	except Failure as failure:
		say_failure(failure)
		return 1
	except KeyboardInterrupt:
		return 128 + signal.SIGINT
	_print(results, arguments.json)
	return 0


def _parse() -> argparse.Namespace:
	parser = argparse.ArgumentParser(prog="./dev perf", description="Measures the app on the real site.")
	known = ", ".join(SECTIONS)
	parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{known}; all, if none is named")
	parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
	parser.add_argument(
		"--rows",
		type=int,
		default=ROWS,
		help="rows of the season that `seasons`, `consistency` and `sizes` fill (default: %(default)s)",
	)
	parser.add_argument(
		"--pupils", type=int, default=PUPILS, help="pupils at work in `crowd` (default: %(default)s)"
	)
	arguments = parser.parse_args()
	if unknown := [name for name in arguments.sections if name not in SECTIONS]:
		parser.error(f"there is no section {unknown[0]}; the sections are {known}")
	if arguments.rows < LEAST_ROWS:
		parser.error(f"--rows must be {LEAST_ROWS} or more, not {arguments.rows}")
	if arguments.pupils < 1:
		parser.error(f"--pupils must be 1 or more, not {arguments.pupils}")
	arguments.sections = list(dict.fromkeys(arguments.sections)) or list(SECTIONS)
	return arguments


def _print(results: list[Section], as_json: bool) -> None:
	if as_json:
		print(json.dumps({name: value for section in results for name, value in section.figures.items()}))
		return
	for section in results:
		print(f"\n{section.text}")


if __name__ == "__main__":
	sys.exit(main())
