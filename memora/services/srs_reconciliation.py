"""The seeds' door to reconciliation; the room behind it is cache/reconciliation."""

from typing import Any

from memora.services.cache import reconciliation
from memora.services.learning.learners import identify


def reconcile_cache_with_database(
	sample_size: int | None = reconciliation.SAMPLE_SIZE,
	season: str | None = None,
	learner: str | None = None,
) -> dict[str, Any]:
	"""Compares Redis with MariaDB and mends what differs; see cache/reconciliation.reconcile. Runs daily.

	`learner`, an e-mail or id, limits this to one learner.
	"""
	return reconciliation.reconcile(sample_size, season, identify(learner) if learner else None)
