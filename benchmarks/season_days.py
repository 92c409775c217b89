"""How a day passes in the demo."""

import frappe

from devtools.report import Failure
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store.row_names import digest

# Both find one learner's rows by the beginning of their names: the journal has no index by player.
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


def let_days_pass(season: str, players: list[str], days: int) -> None:
	"""Moves all that these learners have done, and all that is due to them, into the past by whole days.

	The code under test goes by the real clock, and faking that would test the fake. To the code, a
	learner whose dates all lie a day further back is one who has come back after a day. Whole
	days keep each date at the start of a learning day. Nothing may be on its way meanwhile: the caller
	sees to it that the worker has folded everything, and the cached schedules go, so that the next read
	loads the moved dates.
	"""
	for player in players:
		values = {"season": season, "player": player, "days": days}
		values |= {"first": digest(player), "last": digest(player) + "g"}
		frappe.db.sql(SHIFT_TRACKER_SQL, values)
		frappe.db.sql(SHIFT_JOURNAL_SQL, values)
	frappe.db.commit()
	for player in players:
		if not SRSRedisManager().clear_user_cache(player, season):
			raise Failure(f"Redis did not drop the schedule of {player}")
