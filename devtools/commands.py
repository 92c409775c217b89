"""The commands of `./dev`. Each takes the bench and the arguments, and returns an exit code."""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devtools import (
	assets,
	config,
	dumps,
	environment,
	fault_bench,
	installer,
	ports,
	processes,
	ready,
	redis,
	services,
	shell,
	sites,
	test_benches,
)
from devtools import lint as linters
from devtools.locks import exclusive
from devtools.paths import MAIN_SITE, PICTURE_SITE, PROJECT, TEST_SITE, Bench
from devtools.pids import PidFile
from devtools.report import Failure, keep_stdout_clean, say, step
from screenshots import PICTURES, REVIEW_PICTURES

OTHER_QUEUES = ("default", "short", "long")
SECONDS_BETWEEN_LOOKS = 0.5
# Files in run/ that `stop` leaves out: two are no pid files, and the keeper ends by itself
NO_PROCESSES = ("ports", "started-by-commands", "keeper")


def setup(bench: Bench, args: list[str]) -> int:
	begin = time.monotonic()
	ready.ensure(bench, for_tests=True)
	say(f"{time.monotonic() - begin:7.1f} s  Everything is set up in {bench.root}")
	return 0


def start(bench: Bench, args: list[str]) -> int:
	parser = argparse.ArgumentParser(prog="./dev start", add_help=False)
	parser.add_argument("--rq-dashboard", action="store_true")
	parser.add_argument("--site", default=MAIN_SITE, choices=(MAIN_SITE, TEST_SITE))
	options = parser.parse_args(args)
	if PidFile(bench.run / "web.json").pid():
		raise Failure("A web server of this bench already runs. ./dev stop stops it")
	with ready.running(bench), ExitStack() as stack:
		handles = [_start_web(bench, stack, options.site), *_start_workers(stack)]
		with step("Starting the scheduler"):
			handles.append(stack.enter_context(processes.scheduler(name="scheduler")))
		if options.rq_dashboard:
			handles.append(_start_rq_dashboard(bench, stack))
		_say_where(handles, options.site)
		_watch(handles)
	return 0


def _start_web(bench: Bench, stack: ExitStack, site: str = MAIN_SITE) -> processes.Handle:
	port = ports.claim(bench, "web")
	config.write(bench)
	_served_site(bench).write_text(site)
	with step(f"Starting the web server on 127.0.0.1:{port}"):
		return stack.enter_context(processes.web(site, port, name="web"))


def _start_workers(stack: ExitStack) -> list[processes.Handle]:
	with step("Starting the workers"):
		return [
			stack.enter_context(processes.worker(["srs_write"], name="worker-srs_write")),
			stack.enter_context(processes.worker(OTHER_QUEUES, name="worker-others")),
		]


def _start_rq_dashboard(bench: Bench, stack: ExitStack) -> processes.Handle:
	environment.ensure_rq_dashboard(bench)
	port = ports.claim(bench, "rq-dashboard")
	with step(f"Starting rq-dashboard on 127.0.0.1:{port}"):
		return stack.enter_context(processes.rq_dashboard(port, name="rq-dashboard"))


def _say_where(handles: list[processes.Handle], site: str) -> None:
	web, *others = handles
	say(f"\n  {web.url.replace('127.0.0.1', site)}  (or {web.url})")
	say(f"  User Administrator, password {sites.ADMIN_PASSWORD}")
	for other in others:
		if other.url:
			say(f"  {other.url}  ({other.name})")
	say("  Ctrl-C or ./dev stop stops everything.\n")


def _watch(handles: list[processes.Handle]) -> None:
	while all(handle.alive() for handle in handles):
		time.sleep(SECONDS_BETWEEN_LOOKS)
	dead = next(handle for handle in handles if not handle.alive())
	raise Failure(f"{dead.name} has stopped with exit code {dead.process.returncode}", dead.log)


def stop(bench: Bench, args: list[str]) -> int:
	if not bench.run.is_dir():
		return 0
	stopped = [name for one in (bench, *test_benches.all_of(bench)) for name in _stop(one)]
	if not stopped:
		say("Nothing of this bench is running.")
	return 0


def _stop(bench: Bench) -> list[str]:
	"""Stops everything of a bench, and returns the names of what was stopped.

	Commands are stopped first, because they stop what they have started. Services are stopped last.
	"""
	files = [PidFile(path) for path in sorted(bench.run.glob("*.json"))]
	alive = [file for file in files if file.name not in NO_PROCESSES and file.pid()]
	alive.sort(key=lambda file: (file.name in services.PORTS, not file.name.startswith("command-")))
	for file in alive:
		if file.pid():
			with step(f"Stopping {file.name}"):
				file.stop(seconds=60)
	fault_bench.stop_left_behind(fault_bench.of(bench))
	services.keeper_file(bench).stop(seconds=1)
	for left_behind in bench.run.glob("command-*.json"):
		left_behind.unlink(missing_ok=True)
	return [file.name for file in alive]


def bench_command(bench: Bench, args: list[str]) -> int:
	"""Runs a bench command. Does not migrate, because these commands are needed when a migration fails."""
	keep_stdout_clean()
	if not sites.made(bench):
		ready.ensure(bench)
	site = [] if any(arg.split("=")[0] == "--site" for arg in args) else ["--site", MAIN_SITE]
	with services.running(bench):
		return shell.foreground(sites.bench_command(bench, *site, *args), cwd=bench.sites)


def test(bench: Bench, args: list[str]) -> int:
	keep_stdout_clean()
	processes, for_pytest = test_benches.plan(args)
	with ready.running(bench, for_tests=True), test_benches.running(bench, processes):
		env = test_benches.environment(bench)
		return shell.foreground([bench.python, "-m", "pytest", *for_pytest], cwd=PROJECT, env=env)


def faults(bench: Bench, args: list[str]) -> int:
	"""Runs each round as a pytest of its own, so that a failed round can't spoil the next one."""
	parser = argparse.ArgumentParser(prog="./dev faults", add_help=False)
	parser.add_argument("--rounds", type=int, default=1)
	options, for_pytest = parser.parse_known_args(args)
	with ready.running(bench):
		rounds = range(1, options.rounds + 1)
		results = [_faults_round(bench, n, options.rounds, for_pytest) for n in rounds]
	return 0 if all(results) else 1


def _faults_round(bench: Bench, number: int, rounds: int, for_pytest: list[str]) -> bool:
	"""Runs one round, and prints how long it took, how long others had to wait, and each failed test.

	Returns True if no test failed.
	"""
	log = bench.log(f"faults-{number}")
	log.unlink(missing_ok=True)
	args: shell.Arguments = [bench.python, "-m", "pytest", "tests/faults", *for_pytest]
	try:
		shell.run(args, log, cwd=PROJECT, env=_site_env(bench, TEST_SITE))
		passed = True
	except Failure:
		passed = False
	lines = log.read_text(errors="replace").splitlines()
	result = lines[-1].strip("= ") if lines else "no output"
	say(f"round {number} of {rounds}: {result}")
	for line in lines:
		if line.startswith(("FAILED", "ERROR", "p99 of others at its worst")):
			say(f"  {line}")
	if not passed:
		say(f"  The whole log: {log}")
	return passed


def demo(bench: Bench, args: list[str]) -> int:
	return _run_against_web(bench, ["benchmarks.demo", *args])


def perf(bench: Bench, args: list[str]) -> int:
	keep_stdout_clean()
	return _run_against_web(bench, ["benchmarks.perf", *args])


def screenshots(bench: Bench, args: list[str]) -> int:
	parser = argparse.ArgumentParser(prog="./dev screenshots", add_help=False)
	parser.add_argument("--only", nargs="+", choices=PICTURES, metavar="NAME", default=PICTURES)
	wanted = parser.parse_args(args).only
	ready.ensure(bench, for_tests=True)
	if not assets.built(bench):
		say("           This Frappe brings no assets for the desk: only the pictures of /review can be made.")
		say("           MEMORA_FRAPPE=<checkout> MEMORA_BENCH=<folder> ./dev screenshots makes all pictures.")
		wanted = [name for name in wanted if name in REVIEW_PICTURES]
		if not wanted:
			return 1
	with services.running(bench), sites.pictures(bench):
		env = _site_env(bench, PICTURE_SITE)
		env["FRAPPE_REDIS_QUEUE"] = redis.url(bench, "queue", config.PICTURE_DATABASE)
		# Frappe 16 opens ../logs at an import
		env["PYTHONPATH"] = str(PROJECT)
		return shell.foreground([bench.python, "-m", "screenshots", *wanted], cwd=bench.sites, env=env)


def _run_against_web(bench: Bench, module: list[str]) -> int:
	"""Runs a module against the web server. Only one such command runs at a time; another one waits.

	Two commands would change each other's active season, and measure each other's load.
	"""
	with ready.running(bench), exclusive(bench.run / "benchmark.lock", "another ./dev demo or ./dev perf"):
		with _web_and_workers(bench) as url:
			env = {**_site_env(bench, MAIN_SITE), "MEMORA_URL": url}
			return shell.foreground([bench.python, "-m", *module], cwd=PROJECT, env=env)


@contextmanager
def _web_and_workers(bench: Bench) -> Iterator[str]:
	"""Yields the URL of the web server that `./dev start` runs. If none runs, starts web server and workers for the block."""
	if PidFile(bench.run / "web.json").pid():
		if (site := _served_site(bench).read_text()) != MAIN_SITE:
			raise Failure(f"./dev start serves {site}, not {MAIN_SITE}. Run ./dev stop first")
		yield f"http://127.0.0.1:{ports.known(bench)['web']}"
		return
	with ExitStack() as stack:
		web = _start_web(bench, stack)
		_start_workers(stack)
		yield web.url


def _served_site(bench: Bench) -> Path:
	return bench.run / "web-site"


def _site_env(bench: Bench, site: str) -> dict[str, str]:
	return {"MEMORA_BENCH": str(bench.root), "MEMORA_SITES_PATH": str(bench.sites), "MEMORA_SITE": site}


def lint(bench: Bench, args: list[str]) -> int:
	return linters.run(bench, args)


def lock(bench: Bench, args: list[str]) -> int:
	ready.ensure_apps(bench)
	say(f"Written to {installer.write_resolved(bench)}")
	return 0


def clean(bench: Bench, args: list[str]) -> int:
	if "--cache" in args:
		shutil.rmtree(dumps.cache_directory(), ignore_errors=True)
	if not bench.root.exists():
		say(f"There is no {bench.root}.")
		return 0
	if "--yes" not in args and not _confirmed(f"Remove {bench.root} with its sites and their data? [y/N] "):
		return 1
	stop(bench, [])
	with step(f"Removing {bench.root}"):
		shutil.rmtree(bench.root)
	return 0


def _confirmed(question: str) -> bool:
	if not sys.stdin.isatty():
		raise Failure("There is no terminal to ask at: ./dev clean --yes removes the bench without asking")
	return input(question).strip().lower() in ("y", "yes")
