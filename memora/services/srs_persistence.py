"""The seeds' door to persistence; the rooms behind it are folding and learning/external_results."""

from typing import Any

from memora.services.folding import folds, queueing
from memora.services.folding.queueing import PersistenceStatus
from memora.services.learning import external_results
from memora.services.learning.external_results import PersistResult


class SRSPersistenceService:
	"""Asynchronous persistence of review results, for callers that schedule on their own.

	Memora's own answers reach the tracker by way of journal and outbox; see learning/submissions.
	"""

	MAX_RETRIES = folds.MAX_RETRIES
	RETRY_DELAY_BASE = folds.RETRY_DELAY_BASE  # seconds
	RETRY_DELAY_MAX = folds.RETRY_DELAY_MAX  # seconds
	IDEMPOTENCY_WINDOW = external_results.IDEMPOTENCY_WINDOW_SECONDS

	def persist_review_batch(
		self, responses: list[dict[str, Any]], user: str, season: str, retry_count: int = 0
	) -> PersistResult:
		"""Stores results {question_id, new_stability, new_next_review_date, subject?, topic?}; `user` is the
		learner's e-mail or id.

		`retry_count` is how many tries the caller has made already. See external_results.persist.
		"""
		return external_results.persist(responses, user, season, retry_count)

	def persist_single_review(self, response: dict[str, Any], user: str, season: str) -> bool:
		"""Stores one result, and says whether that succeeded."""
		return self.persist_review_batch([response], user, season)["success"]

	def get_persistence_status(self, job_id: str) -> PersistenceStatus | None:
		"""Returns {job_id, status} of a submission; see folding/queueing.get_status."""
		return queueing.get_status(job_id)


def persist_review_batch(
	responses: list[dict[str, Any]],
	user: str,
	season: str,
	retry_count: int = 0,
	submission: str | None = None,
) -> PersistResult:
	"""Runs as an RQ job.

	With `submission`, the name of an outbox row, this folds that submission and then all others that wait. Without
	`submission` this stores the responses as SRSPersistenceService.persist_review_batch does; but where that returns an
	error, a job raises it, and so ends as failed. See external_results.persist_in_job.
	"""
	if submission:
		return external_results.persisted(queueing.run_job(submission))
	return external_results.persist_in_job(responses, user, season, retry_count)
