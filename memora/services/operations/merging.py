"""Makes one learner of two: when their Users are merged.

All of it happens in the transaction of the caller, who commits.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import frappe
from frappe import _

from memora.exceptions import LearnerIsErased, SeasonStateError, quoting
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.figures.activity import LEARNERS_KEPT_DAYS
from memora.services.learning import accounts
from memora.services.operations import moving_dates
from memora.services.operations.replay import moving_entries, rebuilt, with_former
from memora.services.store import database, figure_tables, former_addresses, learners, merges, seasons
from memora.services.store.learners import Learner
from memora.services.store.records import JournalEntry, MemoryRecord


def check_users(old: str, new: str) -> None:
	"""Raises LearnerIsErased if the learner of one of two Users is being erased."""
	for learner in filter(None, map(learners.find_by_user, (old, new))):
		if learner.erasing_since:
			text = _("The data of learner {0} is being erased. Wait until that is done.")
			frappe.throw(quoting(text, learner.id), LearnerIsErased)


def merge_users(old: str, new: str) -> None:
	"""Makes one learner of two Users' learners, or gives the only one the User that stays.

	Raises SeasonStateError while a season of theirs is being archived, JournalUnavailable while an answer of theirs is
	being saved for long.
	"""
	both = filter(None, map(learners.find_by_user, (old, new)))
	database.hold_learner_locks(
		*(learner.id for learner in both)
	)  # before rows: who answers locks in this order
	leaving, staying = learners.lock_user(old), learners.lock_user(new)
	if not leaving:
		return
	if staying:
		_merge(leaving, staying)
	else:
		learners.relink(leaving.id, new, site_time.naive_now())
	accounts.follow(old, new)


def _merge(leaving: Learner, staying: Learner) -> None:
	"""Gives what the one has to the other. The one stays as a row without User, which leads to the other."""
	found = merges.seasons_of(leaving.id)
	for season in found:
		_merge_season(leaving.id, staying.id, season)
	figure_tables.move_learner(leaving.id, staying.id, found, _days_of_figures())
	merges.move_notes(leaving.id, staying.id)
	former_addresses.hand_over(leaving.id, staying.id)
	learners.note_merged(leaving.id, staying.id, site_time.naive_now())
	database.after_commit(partial(_follow, (leaving.id, staying.id), found))


def _merge_season(learner: str, into: str, season: str) -> None:
	state = merges.keep_season(season)
	if state.is_begun and not state.is_archived:
		frappe.throw(
			quoting(_("Season {0} is being archived. Try again when that is done."), season), SeasonStateError
		)
	table = merges.ARCHIVE if state.is_archived else merges.TRACKER
	merges.keep_from_folds((learner, into), season)
	shared = _merged_records(learner, into, season, table)
	merges.move(learner, into, season)
	merges.overwrite(into, season, table, shared)


def _merged_records(learner: str, into: str, season: str, table: str) -> list[MemoryRecord]:
	"""Returns the records of the questions that both have one of."""
	mine, theirs = (merges.get_records(name, season, table) for name in (learner, into))
	shared = mine.keys() & theirs.keys()
	if not shared:
		return []
	equal = merges.get_equal_answers(learner, into, season)
	hers = merges.get_answers(learner, season)
	others = [*merges.get_answers(into, season).values()]
	only_hers = [entry for name, entry in hers.items() if name not in equal]
	answered_by_both = rebuilt(only_hers).keys() & rebuilt(others).keys()
	together = rebuilt([*only_hers, *others])
	moving = moving_entries(hers.values()), moving_entries(others)
	return [
		_together(
			together[q], [(found[q], of_one[q]) for found, of_one in zip((mine, theirs), moving, strict=True)]
		)
		if q in answered_by_both
		else max(mine[q], theirs[q], key=lambda record: record.age)
		for q in sorted(shared)
	]


def _together(record: MemoryRecord, rows: list[tuple[MemoryRecord, list[JournalEntry]]]) -> MemoryRecord:
	"""Adds to the record that both histories lead to what the two rows have beside their entries; see replay.with_former.

	A row that is newer than the journal keeps its memory.
	"""
	for found, entries in rows:
		record = with_former(record, entries, found)
	newer = max((found for found, _entries in rows), key=lambda found: found.age)
	record = replace(record, subject=newer.subject, topic=newer.topic)
	latest = max((found for found, _entries in rows), key=lambda found: found.last_review_date)
	if latest.last_review_date <= record.last_review_date:
		return record
	return replace(latest, reps=record.reps, lapses=record.lapses, creation=record.creation)


def _days_of_figures() -> list[str]:
	today = site_time.learning_day()
	return [str(today - timedelta(days=days)) for days in range(-1, LEARNERS_KEPT_DAYS + 2)]


def _follow(of_both: tuple[str, str], found: list[str]) -> None:
	"""Has the schedules loaded again, and moves dates that a run of moving_dates has not met where they are now."""
	active = seasons.get_active_season()
	for season in {*found, *([active.name] if active else [])}:
		for learner in of_both:
			Schedules().clear_learner(learner, season)
		with suppress(
			SeasonStateError
		):  # she is answering for long: the merge is done, her next answers set the dates
			moving_dates.follow_learner(season, of_both[1])
