"""Every scheduler entry of the hooks is known to Frappe after a migration, and runs."""

from collections.abc import Iterator

import frappe
import pytest

from memora import hooks
from tests.integration import state

EVENTS = hooks.scheduler_events


def entries() -> Iterator[tuple[str, str]]:
	"""(method, its frequency or cron format)."""
	for cron_format, methods in EVENTS["cron"].items():
		yield from ((method, cron_format) for method in methods)
	for frequency in EVENTS.keys() - {"cron"}:
		yield from ((method, frequency.capitalize()) for method in EVENTS[frequency])


@pytest.mark.parametrize(("method", "when"), sorted(entries()))
def test_an_entry_is_scheduled_and_runs(method, when):
	job = frappe.get_doc("Scheduled Job Type", {"method": method})
	assert when == (job.cron_format if job.frequency == "Cron" else job.frequency)
	assert not job.stopped
	job.execute()
	(log,) = state.rows("Scheduled Job Log", scheduled_job_type=job.name)
	assert (log.status, log.details) == ("Complete", None)


def test_nothing_else_of_memora_is_scheduled():
	found = frappe.get_all("Scheduled Job Type", filters={"method": ("like", "memora.%")}, pluck="method")
	assert sorted(found) == sorted(method for method, _when in entries())
