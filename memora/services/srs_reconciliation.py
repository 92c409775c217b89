"""The seeds' door to reconciliation; the room behind it is cache/reconciliation."""

from typing import Any

from memora.services.cache import reconciliation
from memora.services.learning.learners import identify
from memora.services.operations import scheduled_jobs


def reconcile_cache_with_database(
	sample_size: int | None = reconciliation.SAMPLE_SIZE,
	season: str | None = None,
	learner: str | None = None,
) -> dict[str, Any]:
	"""Compares Redis with MariaDB and mends what differs; see cache/reconciliation.reconcile.

	`learner`, an e-mail or id, limits this to one learner. Called by the scheduler, daily, only queues the job that does it.
	"""
	if scheduled_jobs.is_called_by_scheduler():
		return scheduled_jobs.compare_with_database()
	return reconciliation.reconcile(sample_size, season, identify(learner) if learner else None)
