"""RQ workers that are alive."""

import os
import socket
from collections import defaultdict
from contextlib import suppress
from datetime import datetime, timezone

from frappe.utils import background_jobs
from rq import Worker


def get_alive() -> dict[str, list[datetime]]:
	"""Returns {queue of this bench, such as long: when its workers began, aware, the oldest first}.

	A worker that was killed stays in Redis for minutes. On this host its process says whether it is there.
	"""
	prefix = background_jobs.generate_qname("")
	found: dict[str, list[datetime]] = defaultdict(list)
	for worker in background_jobs.get_workers():
		if worker.birth_date and _is_there(worker):
			for queue in worker.queue_names():
				found[queue.removeprefix(prefix)].append(worker.birth_date.replace(tzinfo=timezone.utc))
	return {queue: sorted(births) for queue, births in found.items()}


def _is_there(worker: Worker) -> bool:
	if worker.hostname != socket.gethostname() or not worker.pid:
		return True
	with suppress(PermissionError):  # it is another user's
		try:
			os.kill(worker.pid, 0)
		except ProcessLookupError:
			return False
	return True
