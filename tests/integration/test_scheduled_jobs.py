"""Every scheduler entry of the hooks is known to Frappe after a migration, and runs."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import frappe
import pytest

from memora import hooks
from tests import frappe_versions
from tests.integration import state

EVENTS = hooks.scheduler_events
MEMORAS_TABLES = re.compile("Outbox|Season|Incident|Activity Count|Memory Tracker")


def entries() -> Iterator[tuple[str, str]]:
	"""(method, its frequency or cron format)."""
	for cron_format, methods in EVENTS["cron"].items():
		yield from ((method, cron_format) for method in methods)
	for frequency in EVENTS.keys() - {"cron"}:
		yield from ((method, frequency.replace("_", " ").title()) for method in EVENTS[frequency])


@pytest.mark.parametrize(("method", "when"), sorted(entries()))
def test_an_entry_is_scheduled_and_runs(method, when):
	job = frappe.get_doc("Scheduled Job Type", {"method": method})
	assert when == (job.cron_format if job.frequency == "Cron" else job.frequency)
	assert not job.stopped
	job.execute()
	job.reload()
	assert job.last_execution
	assert failures() == []  # a slow machine is told of in another one
	logs = state.rows("Scheduled Job Log", scheduled_job_type=job.name)
	assert [(log.status, log.details) for log in logs] == [("Complete", None)] * frappe_versions.keeps_log(
		job
	)


@pytest.mark.parametrize(
	"method", sorted({method for methods in EVENTS["cron"].values() for method in methods})
)
def test_one_that_runs_every_few_minutes_leaves_an_error_log_where_it_fails(method, monkeypatch):
	job = frappe.get_doc("Scheduled Job Type", {"method": method})
	monkeypatch.setattr(frappe.db, "sql", _broken_for_memora(frappe.db.sql))
	job.execute()
	monkeypatch.undo()
	(log,) = failures()
	assert log.method.startswith("ZeroDivisionError")
	assert method.rpartition(".")[2] in log.error


def failures() -> list[frappe._dict]:
	"""The Error Logs of scheduled jobs that failed."""
	return [log for log in state.rows("Error Log") if log.method.endswith("in a scheduled job of Memora")]


def _broken_for_memora(sql: Callable[..., Any]) -> Callable[..., Any]:
	"""Returns a frappe.db.sql that fails for statements on Memora's tables."""

	def broken(query: Any, *args: Any, **kwargs: Any) -> Any:
		return 1 / 0 if MEMORAS_TABLES.search(str(query)) else sql(query, *args, **kwargs)

	return broken


def test_nothing_else_of_memora_is_scheduled():
	found = frappe.get_all("Scheduled Job Type", filters={"method": ("like", "memora.%")}, pluck="method")
	assert sorted(found) == sorted(method for method, _when in entries())
