"""Makes answers durable: a submission's journal rows and outbox row are written in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from memora.services.store import journal, outbox, row_names
from memora.services.store.outbox import Calendar
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
	calendar: Calendar | None = None,
) -> str:
	"""Writes an accepted submission, in two statements, and returns its key: the name of its outbox row.

	The caller commits. From the commit on nothing loses the answers. Raises SeasonStateError if the season
	takes no answers any more, which it does for `grace_days` after it was closed; LearnerIsErased if the learner is being
	erased; CalendarChanged if `calendar` is given and is not the present one. Then the caller must roll back.
	"""
	key = row_names.submission_key(learner, season, submission_id)
	journal.insert(key, learner, season, submission_id, entries, now)
	grace_from = now - timedelta(days=grace_days)
	payload = pack_records(records, effort)
	outbox.insert(key, learner, season, payload, activity, now, grace_from, calendar)
	return key
