"""Makes answers durable: a submission's journal rows and outbox row are written in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from memora.services.store import journal, outbox, row_names
from memora.services.store.records import ActivityCount, Effort, JournalEntry, MemoryRecord, pack_records


def write_submission(
	learner: str,
	season: str,
	submission_id: str,
	entries: list[JournalEntry],
	records: list[MemoryRecord],
	now: datetime,
	activity: Sequence[ActivityCount] = (),
	effort: Effort | None = None,
	grace_days: int = 0,
) -> str:
	"""Writes an accepted submission, in two statements, and returns its key: the name of its outbox row.

	The caller commits. From the commit on nothing loses the answers. Raises SeasonStateError if the season
	takes no answers any more, which it does for `grace_days` after it was closed; LearnerIsErased if the learner is being erased; then the caller must roll back.
	"""
	key = row_names.submission_key(learner, season, submission_id)
	journal.insert(key, learner, season, submission_id, entries, now)
	outbox.insert(
		key, learner, season, pack_records(records, effort), activity, now, now - timedelta(days=grace_days)
	)
	return key
