"""Lets days pass in the demo."""

import frappe

from devtools.report import Failure
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store.row_names import digest

# Both statements find a learner's rows by the beginning of the row name: the journal has no index on the learner.
SHIFT_TRACKER_SQL = """
	UPDATE `tabPlayer Memory Tracker`
	SET next_review_date = next_review_date - INTERVAL %(days)s DAY,
		last_review_date = last_review_date - INTERVAL %(days)s DAY, creation = creation - INTERVAL %(days)s DAY
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s AND player = %(player)s"""
SHIFT_JOURNAL_SQL = """
	UPDATE `tabPlayer Review Log`
	SET reviewed_at = reviewed_at - INTERVAL %(days)s DAY, creation = creation - INTERVAL %(days)s DAY,
		next_review_date_before = next_review_date_before - INTERVAL %(days)s DAY,
		next_review_date_after = next_review_date_after - INTERVAL %(days)s DAY
	WHERE season = %(season)s AND name BETWEEN %(first)s AND %(last)s AND player = %(player)s"""
# What was answered counts for an earlier day's budget. The row itself counts a learner of its day, and stays.
END_DAY_SQL = """
	UPDATE `tabDaily Learner` SET answers = 0, practised = '', learnt = 0 WHERE season = %(season)s AND player = %(player)s"""


def let_days_pass(season: str, learners: list[str], days: int) -> None:
	"""Moves all dates of these learners into the past by whole days: their answers, and what is due to them.

	The code under test uses the real clock; a fake clock would test the fake. To that code, a learner whose dates all lie
	a day further back has come back after a day. Whole days keep each date at the start of a learning day. The caller
	makes sure that the worker has folded all answers before. The schedules are dropped from Redis, so that the next read
	loads the moved dates. Raises Failure if Redis does not drop one.
	"""
	for learner in learners:
		values = {"season": season, "player": learner, "days": days}
		values |= {"first": digest(learner), "last": digest(learner) + "g"}
		frappe.db.sql(SHIFT_TRACKER_SQL, values)
		frappe.db.sql(SHIFT_JOURNAL_SQL, values)
		frappe.db.sql(END_DAY_SQL, values)
	frappe.db.commit()
	for learner in learners:
		if not SRSRedisManager().clear_user_cache(learner, season):
			raise Failure(f"Redis did not drop the schedule of {learner}")
