"""Looks, while submissions are folded, whether the learners' schedules in Redis have the dates of their answers.

A web process can die between its commit and its Redis update, or be cut off from Redis; then nobody else tells Redis of the
new dates.
"""

from collections import defaultdict
from collections.abc import Iterable

from memora.services import site_time
from memora.services.cache import outdated
from memora.services.cache.schedules import Owned, Schedules
from memora.services.store import outdated_schedules, seasons
from memora.services.store.records import OutboxRow


def check_cache(rows: Iterable[OutboxRow]) -> None:
	"""Drops the schedules that lack dates of these submissions.

	If Redis does not answer, notes in the caller's transaction, which folds the submissions, which dates the schedules may
	lack: so either the submission is still there, or the schedule has been looked at, or it is noted. A season that does not
	use Redis believes no schedule when it begins to, so nobody looks.
	"""
	if not seasons.uses_redis():
		return
	zone = site_time.site_zone()
	dates: dict[Owned, dict[str, float]] = defaultdict(dict)
	for row in rows:
		dates[row.player, row.season] |= {
			r.question_id: site_time.to_epoch(r.next_review_date, zone) for r in row.records
		}
	if dates and not Schedules().drop_outdated(dates, lambda of: outdated.present_dates(of, dates[of])):
		outdated_schedules.note_unseen(dates, site_time.naive_now())
