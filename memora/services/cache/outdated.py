"""Drops schedules that are noted as outdated: those that lack a change, because some process could not reach Redis.

A process that misses a change notes whose schedule lacks it (gateway.try_write; a fold does so in its own transaction). Her
next read on any host that reaches Redis drops the schedule first. A job does so every minute, for those who do not read.
"""

from contextlib import suppress

from memora.services import alerts
from memora.services.cache import incidents
from memora.services.cache.schedules import Schedules
from memora.services.store import database, failures, outdated_schedules, row_names, seasons


def drop(schedules: Schedules, learner: str, season: str, token: str) -> None:
	"""Drops a learner's schedule, and the note with this token that it is outdated. Raises Unavailable."""
	keys = schedules.keys.pair(learner, season)
	schedules.gateway.ask(lambda client: client.delete(*keys))
	with suppress(*failures.ERRORS):  # then the next read drops it once more
		outdated_schedules.forget([(row_names.schedule_name(learner, season), token)])


@alerts.in_error_log()
def settle_outages() -> int:
	"""Drops all schedules that are noted as outdated, and returns how many. Ends incidents that nobody meets any more.

	Runs every minute. Does nothing if nothing is noted, or if Redis can't be reached. Where no season uses Redis, ends any incident
	and deletes the notes: a season that begins to use Redis believes no schedule from before.
	"""
	database.new_snapshot()
	if not seasons.uses_redis():
		if incidents.get_open():
			incidents.close_incidents()
		_forget_all()
		return 0
	schedules, total, after = Schedules(), 0, ""
	if not (outdated_schedules.get_page("") or incidents.get_open()) or not schedules.is_available():
		return 0
	while page := outdated_schedules.get_page(after):
		keys = [schedules.keys.pair(note.learner, note.season) for note in page]
		if not schedules.drop_pairs(keys):
			return total
		outdated_schedules.forget([(note.name, note.token) for note in page])
		total, after = total + len(page), page[-1].name
	incidents.close_forgotten()
	return total


def _forget_all() -> None:
	"""Deletes the notes that the caller's transaction sees."""
	after = ""
	while page := outdated_schedules.get_page(after):
		outdated_schedules.forget([(note.name, note.token) for note in page])
		after = page[-1].name
