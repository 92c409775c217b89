"""Eight web processes with two connections to MariaDB each that reach no Redis at all, driven by a test.

Run as a program it is their parent, which opens no connection of its own: it reads {port, action, arguments} as
JSON from its standard input and answers with what the actions of all connections returned.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import frappe

from devtools import ports
from devtools.paths import PROJECT
from memora.exceptions import RateLimitExceeded
from memora.services.cache import incidents, safe_mode
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.settings import forget_settings
from memora.services.store import row_names
from tests.integration.connections import at_once
from tests.integration.factories import ensure_learner

PROCESSES, CONNECTIONS = 8, 2
SECONDS = 60  # for an action


class Fleet:
	"""The parent, as the test sees it."""

	def __init__(self) -> None:
		dead = f"redis://127.0.0.1:{ports.any_free()}/0"
		environment = {"PYTHONPATH": str(PROJECT), "FRAPPE_REDIS_CACHE": dead, "FRAPPE_REDIS_QUEUE": dead}
		self.process = subprocess.Popen(
			[sys.executable, "-m", "tests.integration.fleet", frappe.local.site, frappe.local.sites_path],
			stdin=subprocess.PIPE,
			stdout=subprocess.PIPE,
			env={**os.environ, **environment},
			text=True,
		)

	def run(self, action: Callable[..., Any], port: int | None = None, **arguments: Any) -> list[Any]:
		"""Has every connection do one of the actions below at the same moment; what they returned.

		`port` is where they look for Redis: for processes that have met an outage, another one begins at another.
		"""
		order = {"port": port or ports.any_free(), "action": action.__name__, "arguments": arguments}
		self.process.stdin.write(json.dumps(order) + "\n")
		self.process.stdin.flush()
		answer = self.process.stdout.readline()
		assert answer, f"the fleet has ended with {self.process.wait()}"
		return json.loads(answer)

	def stop(self) -> None:
		self.process.stdin.close()
		self.process.wait(SECONDS)
		self.process.stdout.close()


# What its connections may do


def admit_many(attempts: int) -> list[str]:
	"""Asks for so many learners whom nobody else asks for; those who were admitted."""
	me = frappe.generate_hash(length=8)
	admitted = []
	for number in range(attempts):
		safe_mode.forget()  # each is to ask MariaDB
		if SafeModeManager().check_rate_limit(f"{me}-{number}"):
			admitted.append(f"{me}-{number}")
	return admitted


def admit(player: str) -> bool:
	return SafeModeManager().check_rate_limit(player)


def read(player: str) -> bool | None:
	"""Says whether the learner's schedule came degraded; None if she was put off."""
	try:
		return reviews.read_reviews(player)["is_degraded"]
	except RateLimitExceeded:
		return None


def fail_to_write(player: str, season: str) -> bool:
	return SafeModeManager().schedules.reschedule(player, season, {"q": 1.0}, version=0)


def submit(questions: list[str]) -> str:
	"""Answers each question for a learner of its own, who is returned."""
	player = row_names.digest(frappe.generate_hash())
	ensure_learner(player)
	for question in questions:
		result = submissions.submit(player, [Response(question, 4)])
		assert (result["processed"], result["persistence_job_id"]) == (1, None), result
	return player


def forget_counts() -> None:
	incidents._counts.clear()


def write_counts() -> None:
	incidents.write_counts()


ACTIONS = {
	action.__name__: action
	for action in (admit_many, admit, read, fail_to_write, submit, forget_counts, write_counts)
}


# How they do it


def _parent(site: str, sites_path: str) -> None:
	answers, sys.stdout = sys.stdout, sys.stderr  # Frappe prints
	pipes = [_start(site, sites_path) for _ in range(PROCESSES)]
	for line in sys.stdin:
		for pipe in pipes:
			pipe.send(json.loads(line))
		results = [_receive(pipe) for pipe in pipes]
		print(json.dumps([result for some in results for result in some]), file=answers, flush=True)


def _start(site: str, sites_path: str) -> Connection:
	context = get_context("fork")  # nothing is open yet
	ours, theirs = context.Pipe()
	context.Process(target=_process, args=(theirs, site, sites_path), daemon=True).start()
	return ours


def _receive(pipe: Connection) -> list[Any]:
	assert wait([pipe], SECONDS), f"no answer in {SECONDS} s"
	return pipe.recv()


def _process(pipe: Connection, site: str, sites_path: str) -> None:
	frappe.init(site, sites_path=sites_path)
	while True:
		order = pipe.recv()

		def act(order: dict[str, Any] = order) -> Any:
			frappe.local.conf.srs_redis_cache = f"redis://127.0.0.1:{order['port']}/0"
			frappe.local.lang = ""  # Frappe keeps translations in Redis and would put them together here
			forget_settings()
			return ACTIONS[order["action"]](**order["arguments"])

		pipe.send(at_once(*[act] * CONNECTIONS))


if __name__ == "__main__":
	_parent(*sys.argv[1:])
