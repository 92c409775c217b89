"""Lets RQ workers wait at a queue whose URL has a timeout.

Web processes need a `socket_timeout` in `redis_queue`, or they hang as long as that Redis hangs. RQ takes the same timeout
for a worker's wait for the next job, which lasts for minutes, and the worker would end within a second. So each process that
`bench worker` starts gets the URL without it, and RQ sets a timeout that is long enough.
"""

import os

import frappe

VARIABLE = "FRAPPE_REDIS_QUEUE"  # goes before `redis_queue`
COMMANDS = {"worker", "worker-pool"}


def let_workers_wait(arguments: list[str]) -> None:
	"""Sets the environment of this process if its arguments are those of a worker. Frappe must not have connected yet."""
	if COMMANDS.intersection(arguments):
		os.environ[VARIABLE] = without_timeout(frappe.get_conf().redis_queue)


def without_timeout(url: str) -> str:
	"""Returns the URL of a Redis without `socket_timeout`. A timeout for connecting stays."""
	base, _, query = url.partition("?")
	kept = [part for part in query.split("&") if part and not part.startswith("socket_timeout=")]
	return "?".join([base, "&".join(kept)]) if kept else base
