"""`./dev`: finds the command, prints help, and decides how a run ends."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from devtools import commands, report
from devtools.lint import CHECKS
from devtools.mutants import command as mutants
from devtools.paths import Bench, current_bench
from screenshots import DESK_PICTURES, REVIEW_PICTURES

INTRODUCTION = """\
./dev <command> [arguments]: the development bench of memora.

The bench is in .bench/ beside this file, or in the directory that MEMORA_BENCH names. It has a private MariaDB,
three private Redis, Frappe, and two sites: one for you and one for the tests. ./dev leaves system services and their
ports alone. A command makes what is missing, starts what it needs, and stops what it has started.
"""
EPILOGUE = """\
./dev <command> --help tells more.

  MEMORA_BENCH    the bench's directory, instead of .bench
  MEMORA_FRAPPE   where Frappe comes from: a checkout's path, or a git URL with @branch, @tag or @commit
  MEMORA_PYTHON   the Python of a new bench, instead of one that ./dev finds
  MEMORA_DRIVER   how Frappe 16 speaks to MariaDB: mysqlclient (its default) or pymysql
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
Makes what is missing: system packages (with apt, as root or by sudo), the virtual environment, Frappe, the
database server, and the sites memora.localhost and test.memora.localhost with memora on them. After an
interruption, the next run goes on. When memora's schema files have changed, the sites are migrated.

uv installs the Python packages. Where uv can't be installed, pip does. A dump of a new site with Frappe alone is
kept in ~/.cache/memora (or in $XDG_CACHE_HOME/memora), so that the next bench with the same Frappe is made faster.

MEMORA_FRAPPE says where Frappe comes from. Without it, ./dev takes the branch version-15 of the official
repository, or version-16 if there is no Python for 15. If the repository does not answer within 5 seconds, ./dev takes PyPI's renamed copy of Frappe 15.

./dev chooses a Python that suits this Frappe: 3.10 to 3.12 for Frappe 15, and 3.14 for Frappe 16. It takes the Python it
runs on, one on PATH, or one of pyenv's or uv's. If Frappe demands a younger Node than the machine has, one is installed
from PyPI. Frappe 16's driver for MariaDB is compiled, for which ./dev installs the Debian packages that are missing.

  ./dev setup
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev setup
  MEMORA_BENCH=/tmp/16 MEMORA_FRAPPE=https://github.com/frappe/frappe@version-16 ./dev setup
""",
	),
	"start": Command(
		commands.start,
		"run the site: web server, workers, scheduler",
		"""\
Runs gunicorn, one worker for the queue srs_write, one worker for the other queues, and the scheduler.
Prints the address and the login. Ctrl-C stops everything, and so does ./dev stop in another terminal.
The logs are in .bench/logs/.

  ./dev start
  ./dev start --site test.memora.localhost
  ./dev start --rq-dashboard   also runs rq-dashboard, on its own loopback port. The first time installs it.
""",
	),
	"stop": Command(
		commands.stop,
		"stop everything of this bench",
		"Stops all processes of this bench, also those that a killed command has left behind. Other benches go on.\n",
	),
	"bench": Command(
		commands.bench_command,
		"run a bench command, on memora.localhost unless --site names another site",
		"""\
  ./dev bench console
  ./dev bench mariadb
  ./dev bench migrate
  ./dev bench execute frappe.ping
  ./dev bench --site test.memora.localhost list-apps
  ./dev bench help            lists all bench commands

The database's root login is in .bench/run/mariadb-root.cnf.
""",
	),
	"test": Command(
		commands.test,
		"run the tests; arguments go to pytest",
		"""\
Runs pytest on the site test.memora.localhost, so that your own data on memora.localhost stay. The tests of the
examples in docs/api.md need Node. If the machine has none, a Node from PyPI is installed in .bench.

With two cores or more, all tests run in two processes, each with its own MariaDB, three Redis and sites. If you name
tests, one process runs them. -n sets the number of processes. --quick leaves out tests that drive a browser, break
servers or are slow.

  ./dev test
  ./dev test --quick
  ./dev test -n 1
  ./dev test tests/unit -x
  ./dev test -k review --durations=10
""",
	),
	"faults": Command(
		commands.faults,
		"kill, freeze and cut off servers while learners answer, and check that no answer is lost or counted twice",
		"""\
Runs tests/faults in a separate bench, .bench/faults, with its own MariaDB, three Redis, web server and worker. While
20 learners answer without pause, one server after the other is killed, made to hang, or started again without its data.
Then a second host gets into trouble: its processes are frozen (SIGSTOP), or its connections cut (no FIN, packets vanish),
in the middle of a submission, a load, a fold or an archive run. Learners of the first host must not wait for it.
Lines tell how each round went, how long it took, and how long the others waited at worst (99th percentile).
The logs are .bench/logs/faults-<round>.log. ./dev test also runs one round.
Other arguments go to pytest.

  ./dev faults
  ./dev faults --rounds 20
  ./dev faults -k mariadb --rounds 5
""",
	),
	"mutants": Command(
		mutants.run,
		"change the code in one place at a time, and look whether a test notices",
		"""\
A MODULE is a path or a dotted name below memora/services, such as store, cache.loading or folding/, or below the
project, such as memora/api. cosmic-ray makes the changes of Python: it turns < into <=, and into or, True into False.
Further changes leave out a statement or a lock, or a condition, a lock or an assignment in the texts of SQL and Lua.

Each change is made in a copy of the project, .bench/mutants/copy, and tested on a bench of its own. The tests that run
the changed line are run, the quickest first, until one fails or hangs. What has failed must pass without the change.
Prints the share that was noticed, and each change that was not. The first run notes which tests run which lines: it
runs most tests, once. An interrupted run goes on where it stopped. Run it by hand or at night: it is no part of CI.

  ./dev mutants store --sample 60           60 changes by chance, in about half an hour
  ./dev mutants store cache folding learning   all, in a night
  ./dev mutants cache.scripts --list        only prints the changes
  ./dev mutants folding --at-least 90       exits with 1 if fewer than 90 % were noticed
  ./dev mutants folding --again             tries again what was not noticed: for after a test was added

--seed takes another sample. --seconds sets how long the tests of one change may take together (default: 120).
""",
	),
	"lint": Command(
		commands.lint,
		"run every check that needs no site",
		f"""\
Prints a line for each check. Needs no bench. The first run installs the tools from PyPI and npm. The checks:

{_checks()}

  ./dev lint
  ./dev lint python javascript
  ./dev lint --fix       repairs what ruff and Biome can repair
""",
	),
	"demo": Command(
		commands.demo,
		"let learners answer questions over HTTP, and compare all stores",
		"""\
Loads the questions that come with the app, and lets learners take lessons and reviews over HTTP for some days. Uses
the web server and the workers of a running ./dev start, or starts its own. Ends with a table, and exits with 1 if
journal, tracker and cache disagree. The learners and their answers stay, for you to look at.

  ./dev demo
  ./dev demo --days 10         days after the first day (default: 5)
""",
	),
	"perf": Command(
		commands.perf,
		"run benchmarks, all of them or by section",
		"""\
Uses the web server and the workers of a running ./dev start, or starts its own. With --json, standard output has
one JSON object and nothing else. Without a section, all are measured. docs/benchmarks.md explains each section.

  ./dev perf endpoints
  ./dev perf seasons --rows 10000000 --json
""",
	),
	"screenshots": Command(
		commands.screenshots,
		"make the pictures of docs/images",
		f"""\
Makes a separate site with learners who have answered for two months, takes the pictures, and removes the site.
Pictures of the desk need a Frappe with the desk's assets: a checkout or a git URL. The pictures:

  {", ".join(REVIEW_PICTURES)}
  {", ".join(DESK_PICTURES)}

  ./dev screenshots --only review-arabic
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev screenshots
""",
	),
	"lock": Command(
		commands.lock,
		"resolve the Python packages again, and keep their versions",
		"""\
Finds the newest versions that fit each other of all packages that Frappe and memora require. Writes the versions and
their hashes to devtools/resolved/frappe-<version>.txt, for all Pythons. From then on, benches with that Frappe install
just these versions, and so does CI. Commit the file.

  ./dev lock
  MEMORA_BENCH=/tmp/other MEMORA_FRAPPE=~/src/frappe ./dev lock
""",
	),
	"clean": Command(
		commands.clean,
		"stop everything, and remove the bench with its data",
		"""\
Asks first, unless --yes is given. The dumps of new sites in ~/.cache/memora stay, because other benches use them, too.
--cache removes these dumps as well.

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
	"""Runs a command. SIGTERM raises, as Ctrl-C does, so that every `finally` can stop what was started."""
	signal.signal(signal.SIGTERM, _terminate)
	# a shell starts background jobs with SIGINT ignored
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
	"""Lets all programs of the bench share compiled modules, kept in the bench. Compiling Frappe takes seconds each time."""
	os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
	os.environ.setdefault("PYTHONPYCACHEPREFIX", str(bench.root / "pycache"))


def _terminate(number: int, frame: object) -> NoReturn:
	sys.exit(128 + number)
