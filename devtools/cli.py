"""`./dev`: which command, its help, and how a run ends."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from devtools import commands, report
from devtools.lint import CHECKS
from devtools.paths import Bench, current_bench
from screenshots import DESK_PICTURES, REVIEW_PICTURES

INTRODUCTION = """\
./dev <command> [arguments]: the development bench of memora.

Everything lives in .bench/ beside this file (or in the directory MEMORA_BENCH names): a private MariaDB,
three private Redis, Frappe, and two sites, one for you and one for the tests. System services and their
ports are left alone. A command starts what it needs and stops what it started.
"""
EPILOGUE = """\
Every command sets up first what is missing. ./dev <command> --help tells more.

  MEMORA_BENCH    the bench's directory, instead of .bench
  MEMORA_FRAPPE   where Frappe comes from: a checkout's path, or a git URL with @branch, @tag or @commit
"""


def _checks() -> str:
	return "\n".join(f"  {name:{max(map(len, CHECKS))}}  {check.summary}" for name, check in CHECKS.items())


@dataclass(frozen=True)
class Command:
	run: Callable[[Bench, list[str]], int]
	summary: str
	help: str


COMMANDS = {
	"setup": Command(
		commands.setup,
		"make the bench: packages, MariaDB, Redis, Frappe, the sites",
		"""\
Makes what is missing and nothing else: system packages (by apt, as root or with sudo), the virtual
environment, Frappe, the database server, the sites memora.localhost and test.memora.localhost with
memora on them. Interrupted anywhere, the next run goes on. When memora's schema files changed, it migrates.

uv installs the Python packages, or pip where uv can't be had. A new site of the same Frappe is kept as a dump in
~/.cache/memora (or in XDG_CACHE_HOME), for the next bench.

Frappe is the one MEMORA_FRAPPE names; else the official repository, branch version-15, if it answers
within 5 seconds; else PyPI's renamed copy of Frappe 15.

  ./dev setup
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev setup
""",
	),
	"start": Command(
		commands.start,
		"run the site: web server, workers, scheduler",
		"""\
Runs gunicorn, one worker for the queue srs_write alone, one for the other queues, and the scheduler.
Prints the address and the login. Ctrl-C stops everything; so does ./dev stop from elsewhere.
The logs are in .bench/logs/.

  ./dev start
  ./dev start --site test.memora.localhost
  ./dev start --rq-dashboard   rq-dashboard, too, on a loopback port of its own; installed the first time
""",
	),
	"stop": Command(
		commands.stop,
		"stop everything of this bench",
		"Stops what runs of this bench, also what a killed command left behind. Other benches go on.\n",
	),
	"bench": Command(
		commands.bench_command,
		"any bench command, on memora.localhost unless --site says otherwise",
		"""\
  ./dev bench console
  ./dev bench mariadb
  ./dev bench migrate
  ./dev bench execute frappe.ping
  ./dev bench --site test.memora.localhost list-apps
  ./dev bench help            what else there is

The database's root login is in .bench/run/mariadb-root.cnf.
""",
	),
	"test": Command(
		commands.test,
		"run the tests; takes pytest's arguments",
		"""\
Runs pytest on the real site test.memora.localhost, so that your own data on memora.localhost stay. The
examples of docs/api.md need Node: the machine's, or else one from PyPI in .bench.

On two cores or more all tests run in two processes, each with a MariaDB, three Redis and sites of its own. Tests
that are named run in one. -n says in how many. --quick leaves out what drives a browser, what kills servers
under load, and what is slow.

  ./dev test
  ./dev test --quick
  ./dev test -n 1
  ./dev test tests/unit -x
  ./dev test -k review --durations=10
""",
	),
	"faults": Command(
		commands.faults,
		"kill servers while learners answer: is an answer lost, or counted twice?",
		"""\
Runs tests/faults, on a MariaDB, three Redis, a web server and a worker of their own in .bench/faults: one
server after the other is killed, hung or brought back empty while 20 learners answer without pause. A line
tells how each round went; the logs are .bench/logs/faults-<round>.log. ./dev test runs one round, too.
Other arguments go to pytest.

  ./dev faults
  ./dev faults --rounds 20
  ./dev faults -k mariadb --rounds 5
""",
	),
	"lint": Command(
		commands.lint,
		"every check that needs no site; a line for each",
		f"""\
Needs no bench; the first time it installs its tools, from PyPI and npm. The checks:

{_checks()}

  ./dev lint
  ./dev lint python javascript
  ./dev lint --fix       mends what ruff and Biome can mend
""",
	),
	"demo": Command(
		commands.demo,
		"learners answer questions over HTTP; ends with a table",
		"""\
Loads the questions that come with the app and drives learners through lessons and reviews over HTTP,
against the running ./dev start or a web server and workers of its own. Exits with 1 if journal, tracker and
cache disagree. Arguments go to benchmarks.demo.
""",
	),
	"perf": Command(
		commands.perf,
		"measure: ./dev perf SECTION... [--json]",
		"""\
Measures against the running ./dev start, or a web server and workers of its own. With --json the standard
output is one JSON object and nothing else. docs/benchmarks.md tells what each section does.

  ./dev perf endpoints
  ./dev perf seasons --rows 10000000 --json
""",
	),
	"screenshots": Command(
		commands.screenshots,
		"make the pictures of docs/images",
		f"""\
Makes a site for itself, lets learners of its own answer there for two months, takes the pictures and removes the
site. Those of the desk need its assets: a checkout of Frappe. The pictures:

  {", ".join(REVIEW_PICTURES)}
  {", ".join(DESK_PICTURES)}

  ./dev screenshots --only review-arabic
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev screenshots
""",
	),
	"lock": Command(
		commands.lock,
		"resolve the Python packages anew, and keep their versions",
		"""\
Resolves what Frappe and memora require to the newest versions that fit each other, and writes them with their
hashes to devtools/resolved/frappe-<version>.txt, for all Pythons. Benches with that version of Frappe install just
these from then on; CI does so, too. Commit the file.

  ./dev lock
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev lock
""",
	),
	"clean": Command(
		commands.clean,
		"stop everything and remove the bench with its data (asks; --yes does not)",
		"""\
The dumps of new sites in ~/.cache/memora stay, since other benches use them, too. --cache removes them as well.

  ./dev clean
  ./dev clean --yes
  ./dev clean --yes --cache
""",
	),
}


def main(args: list[str]) -> int:
	if not args or args[0] in ("-h", "--help", "help"):
		print(_overview())
		return 0
	command = COMMANDS.get(args[0])
	if not command:
		print(f"./dev has no command {args[0]}.\n\n{_overview()}", file=sys.stderr)
		return 2
	if args[1:2] in (["-h"], ["--help"]):
		print(f"./dev {args[0]}: {command.summary}\n\n{command.help}", end="")
		return 0
	return _run(command, args[1:])


def _overview() -> str:
	width = max(map(len, COMMANDS))
	lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
	return "\n".join([INTRODUCTION, *lines, "", EPILOGUE.rstrip()])


def _run(command: Command, args: list[str]) -> int:
	"""SIGTERM unwinds as Ctrl-C does, so that every `finally` gets to stop what was started."""
	signal.signal(signal.SIGTERM, _terminate)
	# a shell starts its background jobs with SIGINT ignored
	signal.signal(signal.SIGINT, signal.default_int_handler)
	bench = current_bench()
	_keep_compiled_python(bench)
	try:
		return command.run(bench, args)
	except report.Failure as failure:
		report.say_failure(failure)
		return 1
	except KeyboardInterrupt:
		return 128 + signal.SIGINT


def _keep_compiled_python(bench: Bench) -> None:
	"""All that runs compiles a module once, and keeps the result in the bench: Frappe takes seconds to compile."""
	os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
	os.environ.setdefault("PYTHONPYCACHEPREFIX", str(bench.root / "pycache"))


def _terminate(number: int, frame: object) -> NoReturn:
	sys.exit(128 + number)
