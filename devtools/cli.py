"""The commands of `./dev`."""

import signal
import sys

from devtools import config, environment, mariadb, packages, report, services, shell, sites
from devtools.locks import exclusive
from devtools.paths import MAIN_SITE, Bench, current_bench


def setup(bench: Bench) -> None:
	bench.make_directories()
	with exclusive(bench.run / "setup.lock", "another ./dev setup of this bench"):
		packages.ensure(bench)
		environment.ensure(bench)
		mariadb.ensure_data(bench)
		config.write(bench)
		if not sites.ready(bench):
			with services.running(bench):
				sites.ensure(bench)


def bench_command(bench: Bench, args: list[str]) -> int:
	report.keep_stdout_clean()
	if not sites.made(bench):
		setup(bench)
	site = [] if any(arg.split("=")[0] == "--site" for arg in args) else ["--site", MAIN_SITE]
	with services.running(bench):
		return shell.foreground(sites.bench_command(bench, *site, *args), cwd=bench.sites)


def terminate(number: int, frame: object) -> None:
	sys.exit(128 + number)


def main(args: list[str]) -> int:
	signal.signal(signal.SIGTERM, terminate)
	bench = current_bench()
	try:
		if args[0] == "setup":
			setup(bench)
			return 0
		return bench_command(bench, args[1:])
	except report.Failure as failure:
		report.say_failure(failure)
		return 1
	except KeyboardInterrupt:
		return 130
