"""A process that erases a learner and dies of SIGKILL at the step it is told to."""

import os
import signal
import subprocess
import sys
from itertools import count
from typing import Any

import frappe

from devtools.paths import PROJECT
from memora.services.operations import erasing
from memora.services.store import erasures
from memora.services.store.erasures import Session

PAGE, LAST = "the third page", "the end"  # beside the names of steps


def run(user: str, step: str) -> "subprocess.CompletedProcess[str]":
	"""Erases in a process of its own, which dies before a step, before the end, or within a page of rows."""
	return subprocess.run(
		[sys.executable, "-m", "tests.integration.dying_eraser", user, step],
		env={**os.environ, "PYTHONPATH": str(PROJECT)},
		cwd=os.environ["MEMORA_SITES_PATH"],
		capture_output=True,
		text=True,
		timeout=60,
	)


def main(user: str, step: str) -> None:
	frappe.init(os.environ["MEMORA_SITE"], sites_path=os.environ["MEMORA_SITES_PATH"])
	frappe.connect()
	frappe.set_user("Administrator")
	if step == PAGE:
		die_at_page(3)
	elif step == LAST:
		Session.finish = die
	else:
		erasing.ERASING[step] = die
	erasing.run(user, erasing.ERASE, "Command")


def die_at_page(number: int) -> None:
	"""Dies between a page's DELETE and its commit."""
	erasures.PAGE_SQL = erasures.PAGE_SQL.replace(f"LIMIT {erasures.PAGE_ROWS}", "LIMIT 2")
	add, pages = Session._add, count(1)

	def dying(*args: Any) -> None:
		add(*args)
		if next(pages) == number:
			die()

	Session._add = dying


def die(*args: Any, **kwargs: Any) -> None:
	os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
	main(*sys.argv[1:])
