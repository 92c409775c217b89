"""Goes through many things, of which one that fails costs the others nothing."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import frappe
from rq.timeouts import JobTimeoutException

from memora.services.store import failures

T = TypeVar("T")


def go_through(
	items: Iterable[T],
	action: Callable[[T], Any],
	on_failure: Callable[[T, Exception], Any] = lambda _item, _error: None,
) -> dict[T, Exception]:
	"""Calls `action` with each item, and returns {item: error} of those that failed. Tells `on_failure` of each at once.

	What an action that fails has not committed is rolled back. Only the end of a job's time ends the loop early.
	"""
	failed: dict[T, Exception] = {}
	for item in items:
		try:
			action(item)
		except JobTimeoutException:
			raise
		except Exception as error:  # whatever is wrong with this one, the next has its turn
			with suppress(*failures.ERRORS):  # a lost connection has rolled back already
				frappe.db.rollback()
			failed[item] = error
			on_failure(item, error)
	return failed


def tell_of(failed: dict[T, Exception]) -> str:
	"""Returns a text that names what failed, and why."""
	return "; ".join(f"{item}: {type(error).__name__}: {error}" for item, error in failed.items())
