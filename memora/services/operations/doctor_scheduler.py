"""The doctor's checks of scheduled jobs and of workers. Each yields (problem, how to mend it)."""

from collections.abc import Iterator
from datetime import timedelta

import frappe
from frappe import _
from frappe.utils import now_datetime, scheduler
from redis.exceptions import RedisError

from memora.services.folding.queueing import QUEUE, reach_queue
from memora.services.operations import doctor_site, job_types, workers

LATE = timedelta(minutes=15)  # more than the scheduler and a worker that is busy need
WORKERS = "{0}-workers:"  # the group in bench's configuration of supervisor, with the scheduler
NEEDED_QUEUES = (QUEUE, "default", "long")


def scheduled_jobs() -> Iterator[tuple[str, str]]:
	if scheduler.is_scheduler_disabled(verbose=False):
		return  # another check tells
	now = now_datetime()
	if ahead := job_types.get_ahead(now):
		yield (
			_(
				"Scheduled jobs begin only on {1}, because the clock of another time zone made them: {0}."
			).format(len(ahead), max(ahead.values()).replace(microsecond=0)),
			f"bench --site {frappe.local.site} migrate",
		)
		return
	if stopped := job_types.get_stopped():
		yield (
			_("These scheduled jobs are stopped: {0}").format(", ".join(stopped)),
			_("Untick Stopped in their Scheduled Job Type."),
		)
	late = {name: due for name, due in job_types.get_due().items() if due < now - LATE}
	if late:
		name = min(late, key=lambda name: late[name])
		yield (
			_("Scheduled jobs are late: {0}. {1} was due on {2}.").format(len(late), name, late[name]),
			_(
				"Start scheduler and workers: {0}, or by hand: bench schedule, and bench worker --queue {1}. After maintenance mode, or with another time zone, they catch up within minutes."
			).format(doctor_site.start_command(WORKERS), "default,long"),
		)


def workers_alive() -> Iterator[tuple[str, str]]:
	try:
		reach_queue()
	except RedisError:  # which another check names
		return
	alive = workers.get_alive()
	for queue in NEEDED_QUEUES:
		if not alive.get(queue):
			yield (
				_("No worker serves the queue {0}.").format(queue),
				_("Start the workers: {0}, or one by hand: bench worker --queue {1}").format(
					doctor_site.start_command(WORKERS), queue
				),
			)
