"""Work on a connection of its own, as another process or device would."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

import frappe
import pytest

from memora.services.store import failures
from memora.services.store.database import Connection

T = TypeVar("T")

OTHER_RUN_SECONDS = 300


def in_other_connection(action: Callable[[], T]) -> "Future[T]":
	"""Runs the action in a thread with its own frappe.local, as Administrator."""
	return in_thread(action, {})


def in_thread(
	action: Callable[[], T], configuration: dict[str, Any], as_user: str | None = "Administrator"
) -> "Future[T]":
	"""Runs the action in a thread with its own frappe.local, whose configuration has some other values."""
	site, sites_path = frappe.local.site, frappe.local.sites_path
	future: Future[T] = Future()

	def run() -> None:
		try:
			frappe.init(site, sites_path=sites_path)
			frappe.local.conf.update(configuration)
			frappe.connect(set_admin_as_user=False)
			if as_user:
				frappe.set_user(as_user)
			future.set_result(action())
		except BaseException as error:
			future.set_exception(error)
		finally:
			frappe.destroy()

	threading.Thread(target=run, daemon=True).start()
	return future


def at_once(*actions: Callable[[], T], seconds: float = 30) -> list[T]:
	"""Runs actions at the same moment, each on its own connection; their results in order."""
	barrier = threading.Barrier(len(actions))

	def waiting(action: Callable[[], T]) -> Callable[[], T]:
		def run() -> T:
			barrier.wait(seconds)
			return action()

		return run

	futures = [in_other_connection(waiting(action)) for action in actions]
	return [future.result(seconds) for future in futures]


@contextmanager
def raw_connection(autocommit: bool = False) -> Iterator[Connection]:
	"""A plain connection to the site's database, by Frappe's driver."""
	connection = frappe.db.create_connection()
	connection.autocommit(autocommit)
	try:
		yield connection
	finally:
		connection.close()


def connect(**options: Any) -> Connection:
	"""A connection to a database that is not the site's, by any driver."""
	return failures.DRIVERS[0].connect(**options)


def on_statements(completed: Callable[[Connection, str], None]) -> None:
	"""From now on, calls a function after each statement that MariaDB has completed for this process, however sent."""
	for driver in failures.DRIVERS:
		cls = import_module(f"{driver.__name__}.connections").Connection
		cls.query, cls.commit = _followed(cls.query, completed), _followed(cls.commit, completed, "COMMIT")


def _followed(
	method: Callable[..., Any], completed: Callable[[Connection, str], None], statement: str = ""
) -> Callable[..., Any]:
	def followed(self: Connection, *args: Any, **kwargs: Any) -> Any:
		result = method(self, *args, **kwargs)
		sent = statement or args[0]
		completed(self, sent if isinstance(sent, str) else sent.decode(errors="replace"))
		return result

	return followed


@contextmanager
def exclusive_run() -> Iterator[None]:
	"""Two runs of the tests on one site would empty it under each other: the second one waits."""
	with raw_connection(autocommit=True) as connection, connection.cursor() as cursor:
		cursor.execute("SET SESSION wait_timeout = 3600")
		cursor.execute("SELECT GET_LOCK('memora:tests', %s)", (OTHER_RUN_SECONDS,))
		if not cursor.fetchone()[0]:
			pytest.exit(f"Another run of the tests has been using {frappe.local.site} for too long", 1)
		yield
