"""`./dev perf SECTION… [--json]`: measures sections of the app on the real site.

Each section gives figures under names that stay, and a table for people. With --json one object with all
figures is all there is on stdout; what is going on is told on stderr in any case.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable

from benchmarks import (
	perf_consistency,
	perf_drain,
	perf_endpoints,
	perf_metrics,
	perf_safe_mode,
	perf_seasons,
	perf_sizes,
	site,
)
from benchmarks.report import Section
from devtools.report import Failure, keep_stdout_clean, say_failure

SECTIONS: dict[str, Callable[[argparse.Namespace], Section]] = {
	"endpoints": perf_endpoints.measure,
	"metrics": perf_metrics.measure,
	"drain": perf_drain.measure,
	"seasons": perf_seasons.measure,
	"consistency": perf_consistency.measure,
	"safe-mode": perf_safe_mode.measure,
	"sizes": perf_sizes.measure,
}

ROWS, LEAST_ROWS = 1_000_000, 1000


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
	parser = argparse.ArgumentParser(prog="./dev perf", description=__doc__.splitlines()[0])
	known = ", ".join(SECTIONS)
	parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {known}; all of them if left out")
	parser.add_argument("--json", action="store_true", help="one JSON object on stdout, and nothing else")
	parser.add_argument(
		"--rows",
		type=int,
		default=ROWS,
		help="of the large season of `seasons`, `consistency` and `sizes` (%(default)s)",
	)
	arguments = parser.parse_args()
	if unknown := [name for name in arguments.sections if name not in SECTIONS]:
		parser.error(f"there is no section {unknown[0]}; there is {known}")
	if arguments.rows < LEAST_ROWS:
		parser.error(f"--rows must be {LEAST_ROWS} or more, not {arguments.rows}")
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
