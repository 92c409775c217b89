"""Bench commands on the fault bench's site, each in a process of its own that need not import Frappe first.

Run as a program it is their parent, which opens no connection: it reads a command's arguments as a JSON list from its
standard input, and answers with {exit_code, output} of the fork that has run the command.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from click.testing import Result

from devtools.paths import PROJECT, Bench

SECONDS = 60  # for a command, which then is killed
SECONDS_TO_END = 10


class Commands:
	"""The parent, as a test sees it."""

	def __init__(self, bench: Bench, env: Mapping[str, str]) -> None:
		self.process = subprocess.Popen(
			[bench.python, "-m", "tests.faults.commands"],
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			text=True,
			cwd=bench.sites,
			env={**os.environ, **env, "PYTHONPATH": str(PROJECT)},
		)

	def run(self, *args: str) -> dict[str, Any]:
		"""The JSON that a command prints last."""
		self.process.stdin.write(json.dumps(args) + "\n")
		self.process.stdin.flush()
		answer = json.loads(self.process.stdout.readline())
		assert answer["exit_code"] == 0, f"{args} exited with {answer['exit_code']}:\n{answer['output']}"
		return json.loads(answer["output"].splitlines()[-1])

	def stop(self) -> None:
		self.process.stdin.close()
		self.process.wait(SECONDS_TO_END)
		self.process.stdout.close()


def main() -> None:
	from memora.services.folding import folds  # noqa: F401 (what the commands need)
	from memora.services.operations import replay  # noqa: F401
	from tests.integration import bench_commands

	bench_commands.group()
	for line in sys.stdin:
		if not (pid := os.fork()):
			signal.alarm(SECONDS)
			_answer(bench_commands.run(*json.loads(line)))
			os._exit(0)
		_pid, status = os.waitpid(pid, 0)
		if status:
			print(json.dumps({"exit_code": os.waitstatus_to_exitcode(status), "output": ""}), flush=True)


def _answer(done: Result) -> None:
	output = done.stdout if done.exit_code == 0 else f"{done.stdout}{done.stderr}{done.exception!r}"
	print(json.dumps({"exit_code": done.exit_code, "output": output}), flush=True)


if __name__ == "__main__":
	main()
