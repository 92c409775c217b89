"""What a learner knows from the seasons that a season carries on from."""

from collections.abc import Sequence

from memora.services.learning.season_scheduler import SeasonScheduler
from memora.services.store import earlier_records
from memora.services.store.records import MemoryRecord


def recall(scheduler: SeasonScheduler, question_ids: Sequence[str]) -> dict[str, MemoryRecord]:
	"""Returns {question_id: record} of the questions, all new to the learner in this season, that she knows from an earlier one.

	One query; none if the season carries on from no other. A record of a later moment than the scheduler's is left out.
	"""
	earlier = scheduler.season.earlier
	if not earlier or not question_ids:
		return {}
	found = earlier_records.get_earlier(scheduler.learner, earlier, question_ids)
	return {q: record for q, record in found.items() if scheduler.is_past(record)}
