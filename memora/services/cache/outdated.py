"""Drops schedules that are noted as outdated: those that lack a change, because some process could not reach Redis.

A process that misses a change notes whose schedule lacks it (gateway.try_write). A fold that can't look at Redis notes in its
own transaction which dates a schedule may lack: mostly it has them, since the learner's web process has told Redis. Her next
read on any host that reaches Redis drops the schedule first, or looks for these dates. A job does so every minute, for those
who do not read.
"""

from collections.abc import Iterable
from contextlib import suppress

from memora.services import alerts, site_time
from memora.services.cache import incidents
from memora.services.cache.breaker import Unavailable
from memora.services.cache.schedules import Owned, Schedules
from memora.services.store import (
	database,
	failures,
	outdated_schedules,
	question_status,
	row_names,
	seasons,
	tracker,
)


def drop(schedules: Schedules, learner: str, season: str, token: str) -> None:
	"""Drops a learner's schedule if it is outdated, and the note with this token that says so. Raises Unavailable."""
	dates = outdated_schedules.get_dates(learner, season)
	if not _settle(schedules, {(learner, season): dates}):
		raise Unavailable("a schedule that may be outdated can't be looked at")
	with suppress(*failures.ERRORS):  # then the next read drops it once more
		outdated_schedules.forget([(row_names.schedule_name(learner, season), token)])


def present_dates(of: Owned, question_ids: Iterable[str]) -> dict[str, float]:
	"""Returns {question_id: next_review_ts} of those questions that a learner is asked, as MariaDB has them."""
	records, zone = tracker.get_records(*of, question_ids), site_time.site_zone()
	live = question_status.select(records.values())
	return {q: site_time.to_epoch(records[q].next_review_date, zone) for q in live}


def _settle(schedules: Schedules, noted: dict[Owned, dict[str, float] | None]) -> bool:
	"""Drops the schedules that are outdated, by what is noted of them. Says whether Redis could be asked."""
	unseen = {of: dates for of, dates in noted.items() if dates is not None}
	outdated = [schedules.keys.pair(*of) for of in noted.keys() - unseen.keys()]
	return (not outdated or schedules.drop_pairs(outdated)) and (
		not unseen or schedules.drop_outdated(unseen, lambda of: present_dates(of, unseen[of]))
	)


@alerts.in_error_log()
def settle_outages() -> int:
	"""Drops all schedules that are outdated, and returns how many notes said so. Ends incidents that nobody meets any more.

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
		if not _settle(schedules, {(note.learner, note.season): note.dates for note in page}):
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
