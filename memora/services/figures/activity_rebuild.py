"""Counts the days of a season again from the journal: for days on which the app did not count answers yet."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import frappe
from frappe import _

from memora.exceptions import SeasonStateError
from memora.services import site_time
from memora.services.figures import activity
from memora.services.folding import counting
from memora.services.learning.answers import origins
from memora.services.store import database, figure_tables, journal, subject_names, tracker
from memora.services.store.figure_tables import Counts, Key, Sums
from memora.services.store.records import EXTERNAL, JournalEntry

LOCK_WAIT_SECONDS = 600  # the figures are written after a long walk through the journal: better late than not


@dataclass
class Rebuilt:
	"""The counts of a rebuild: learners and answers that were read, and days that were written."""

	season: str
	learners: int = 0
	answers: int = 0
	days: int = 0


def rebuild_activity(season: str, progress: Callable[[Rebuilt], None] | None = None) -> Rebuilt:
	"""Counts a season's days before today again, page by page from the journal, and replaces their figures.

	Answers that still wait to be counted are left to their fold. `progress`, if given, is called after each learner.
	Raises SeasonStateError if other processes write the figures for LOCK_WAIT_SECONDS. Commits.
	"""
	report, today = Rebuilt(season), site_time.learning_day()
	sums: Sums = defaultdict(lambda: defaultdict(Counts))
	learners: dict[Key, int] = defaultdict(int)
	for learner, journalled in journal.journal_by_learner(season):
		entries = [entry for entry in journalled if entry.kind != EXTERNAL]
		for key, of_day in _count(learner, season, entries).items():
			if key[1] < today:
				learners[key] += 1
				_merge(sums[key], of_day)
		report.learners, report.answers = report.learners + 1, report.answers + len(entries)
		if progress:
			progress(report)
	_replace(season, today, sums, learners)
	report.days = len(sums)
	return report


def _count(learner: str, season: str, entries: list[JournalEntry]) -> Sums:
	counts = counting.count_entries(entries, _subjects(learner, season, entries))
	return figure_tables.sum_counts((season, count) for count in counts)


def _subjects(learner: str, season: str, entries: list[JournalEntry]) -> dict[str, str | None]:
	records = tracker.get_all_records(learner, season)
	known = origins([entry.question_id for entry in entries], records)
	return {question_id: origin["subject"] for question_id, origin in known.items()}


def _merge(sums: dict[str, Counts], more: dict[str, Counts], sign: int = 1) -> None:
	for subject, counts in more.items():
		sums[subject] = sums.get(subject, Counts()).plus(sign * number for number in counts)


def _replace(season: str, today: date, sums: Sums, learners: dict[Key, int]) -> None:
	with database.named_lock(activity.LOCK, LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			frappe.throw(_("Another process is writing these figures. Try again later."), SeasonStateError)
		database.new_snapshot()
		with database.transaction():
			present = subject_names.get_present()
			waiting = [(season, count) for count in figure_tables.get_waiting_counts(season)]
			sums = {key: figure_tables.by_present_name(of_day, present) for key, of_day in sums.items()}
			for key, of_day in figure_tables.sum_counts(waiting).items():
				if key in sums:
					_merge(sums[key], figure_tables.by_present_name(of_day, present), -1)
			figure_tables.forget_days(season, today)
			figure_tables.add_to_days(sums, learners, site_time.naive_now(), present)
