"""An archive run in a process of its own, on a host of the fault bench.

Run as a program it says that it is ready, begins when it is told to, and prints the run's result as JSON.
"""

import json
import os
import subprocess
import sys
from typing import Any

from devtools.paths import PROJECT, Bench
from tests.faults.stage import Stage

SECONDS = 60


class ArchiveRun:
	"""A run that has begun."""

	def __init__(self, stage: Stage, host: Bench, season: str) -> None:
		self.process = subprocess.Popen(
			[host.python, "-m", "tests.faults.archiver", season],
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			text=True,
			cwd=host.sites,
			env={**os.environ, **stage.env_of(host), "PYTHONPATH": str(PROJECT)},
		)
		stage.stack.callback(self.process.kill)  # does nothing to a process whose result was read
		assert self.process.stdout.readline() == "ready\n"
		self.process.stdin.write("begin\n")
		self.process.stdin.flush()

	def result(self) -> dict[str, Any]:
		output, _ = self.process.communicate(timeout=SECONDS)
		return json.loads(output.splitlines()[-1])


def main(season: str) -> None:
	import frappe

	from memora.services.operations import archiving

	frappe.init(os.environ["MEMORA_SITE"], sites_path=".")
	frappe.connect()
	print("ready", flush=True)
	sys.stdin.readline()
	print(json.dumps(archiving.archive_season(season, before_its_end=True)), flush=True)


if __name__ == "__main__":
	main(sys.argv[1])
