"""The doctor's check of the jobs that managers and the scheduler start. Yields (problem, how to mend it)."""

from collections.abc import Iterator

from frappe import _
from frappe.utils import background_jobs
from redis.exceptions import RedisError
from rq import Worker

from memora.services.folding.queueing import reach_queue
from memora.services.operations import admin_jobs, scheduled_jobs
from memora.services.operations.admin_jobs import QUEUE

WAIT_SECONDS = 300  # longer than a worker takes to start


def long_jobs() -> Iterator[tuple[str, str]]:
	try:
		reach_queue()
	except RedisError:  # which another check names
		return
	queue = background_jobs.get_queue(QUEUE)
	jobs = queue.get_jobs(0, 1)
	if jobs and admin_jobs.waited_seconds(jobs[0]) > WAIT_SECONDS and not Worker.all(queue=queue):
		yield (
			_("No worker serves the queue {0}. Jobs that wait in it: {1}").format(QUEUE, queue.count),
			_("Start a worker: bench worker --queue {0}").format(QUEUE),
		)
	for kind in scheduled_jobs.ACTIONS:
		job = background_jobs.get_job(scheduled_jobs.job_id_of(kind))
		if job and admin_jobs.has_failed(job):
			yield (
				_("The last scheduled job did not finish: {0}").format(scheduled_jobs.name_of(kind)),
				_("Look at the Error Log. The scheduler starts the job again."),
			)
