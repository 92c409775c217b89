"""The doctor's check of the jobs that managers and the scheduler start. Yields (problem, how to mend it)."""

from collections.abc import Iterator

from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError

from memora.services.folding.queueing import reach_queue
from memora.services.operations import admin_jobs, scheduled_jobs


def long_jobs() -> Iterator[tuple[str, str]]:
	try:
		reach_queue()
	except RedisError:  # which another check names
		return
	for kind in scheduled_jobs.ACTIONS:
		job = background_jobs.get_job(scheduled_jobs.job_id_of(kind))
		if job and admin_jobs.has_failed(job):
			yield (
				_("The last scheduled job did not finish: {0}").format(scheduled_jobs.name_of(kind)),
				_("Look at the Error Log. The scheduler starts the job again."),
			)
