"""A process that archives or deletes seasons and dies of SIGKILL after the statement it is told to.

Started once; each run is a fork of it, with connections of its own. Counts what MariaDB has completed, on
all connections: Frappe's and those of its own that DDL runs on.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import frappe

from devtools.paths import PROJECT
from memora.services import srs_archiver
from memora.services.store import swap
from memora.services.store.database import Connection
from tests.integration.connections import on_statements
from tests.integration.factories import STANDING_SEASON

# After these the database is as it was before them: to die there is to die after the one before.
CHANGES_NOTHING = re.compile(r"\s*(SELECT(?! GET_LOCK)|SHOW|SET|START|BEGIN)", re.IGNORECASE)


class DyingArchiver:
	def __init__(self, process: "subprocess.Popen[str]") -> None:
		self.process = process

	def archive(self, season: str, die_after: int = 0, copy_rows: int = 5000) -> dict:
		"""Archives in a fork. {result, statements} of one that lived, {} of one that died."""
		return self._run("archive_season", season, die_after, copy_rows)

	def delete(self, season: str, die_after: int = 0) -> dict:
		"""Deletes what is flagged of a season in a fork, as archive does."""
		return self._run("delete_eligible_records", season, die_after, 5000)

	def _run(self, *order: str | int) -> dict:
		self.process.stdin.write(json.dumps(order) + "\n")
		self.process.stdin.flush()
		return json.loads(self.process.stdout.readline())


@contextmanager
def started() -> Iterator[DyingArchiver]:
	process = subprocess.Popen(
		[sys.executable, "-m", "tests.integration.dying_archiver"],
		stdin=subprocess.PIPE,
		stdout=subprocess.PIPE,
		text=True,
		env={**os.environ, "PYTHONPATH": str(PROJECT)},
		cwd=os.environ["MEMORA_SITES_PATH"],
	)
	try:
		yield DyingArchiver(process)
	finally:
		process.stdin.close()
		process.wait(10)
		process.stdout.close()


def main() -> None:
	with _on_site():
		srs_archiver.archive_season(STANDING_SEASON)  # which is refused, but imports what every fork needs
	for line in sys.stdin:
		reader, writer = os.pipe()
		if not (pid := os.fork()):
			os.close(reader)
			_run(*json.loads(line), writer)
			os._exit(0)
		os.close(writer)
		with os.fdopen(reader) as pipe:
			reply = pipe.read()
		_pid, status = os.waitpid(pid, 0)
		died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
		print("{}" if died else reply or json.dumps({"status": status}), flush=True)


def _run(action: str, season: str, die_after: int, copy_rows: int, writer: int) -> None:
	swap.COPY_ROWS = copy_rows
	with _on_site(), os.fdopen(writer, "w") as pipe:
		statements = _count_statements(die_after)
		result = getattr(srs_archiver, action)(season)  # the functions that jobs call
		json.dump({"result": result, "statements": statements}, pipe)


@contextmanager
def _on_site() -> Iterator[None]:
	frappe.init(os.environ["MEMORA_SITE"], sites_path=os.environ["MEMORA_SITES_PATH"])
	frappe.connect()
	frappe.set_user("Administrator")
	yield
	frappe.destroy()


def _count_statements(die_after: int) -> list[str]:
	statements: list[str] = []
	uncommitted: set[Connection] = set()

	def completed(connection: Connection, statement: str) -> None:
		is_commit = statement.upper() == "COMMIT"
		if CHANGES_NOTHING.match(statement) or (is_commit and connection not in uncommitted):
			return
		(uncommitted.discard if is_commit else uncommitted.add)(connection)
		statements.append(statement)
		if len(statements) == die_after:
			os.kill(os.getpid(), signal.SIGKILL)

	on_statements(completed)
	return statements


if __name__ == "__main__":
	main()
