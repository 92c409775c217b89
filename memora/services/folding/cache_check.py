"""Looks, while submissions are folded, whether the learners' schedules in Redis have the dates of their answers.

A web process can die between its commit and its Redis update, or be cut off from Redis; then nobody else tells Redis of the
new dates.
"""

from collections import defaultdict
from collections.abc import Iterable

from memora.services import site_time
from memora.services.cache.schedules import Owned, Schedules
from memora.services.store import outdated_schedules, question_status, seasons, tracker
from memora.services.store.records import MemoryRecord, OutboxRow


def check_cache(rows: Iterable[OutboxRow]) -> None:
	"""Drops the schedules that lack dates of these submissions.

	If Redis does not answer, notes the schedules as outdated in the caller's transaction, which folds the submissions: so
	either the submission is still there, or the schedule has been looked at, or it is noted. A season that does not use Redis
	believes no schedule when it begins to, so nobody looks.
	"""
	if not seasons.uses_redis():
		return
	zone = site_time.site_zone()
	records: dict[Owned, dict[str, MemoryRecord]] = defaultdict(dict)
	for row in rows:
		records[row.player, row.season] |= {r.question_id: r for r in row.records}

	def scores(found: Iterable[MemoryRecord]) -> dict[str, float]:
		return {r.question_id: site_time.to_epoch(r.next_review_date, zone) for r in found}

	def present(of: Owned) -> dict[str, float]:
		found = tracker.get_records(*of, records[of])
		return scores(found[q] for q in question_status.select(found.values()))

	if records and not Schedules().drop_outdated(
		{of: scores(found.values()) for of, found in records.items()}, present
	):
		outdated_schedules.note(records, site_time.naive_now())
