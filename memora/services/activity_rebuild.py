"""Counts the days of a season anew from the journal: for days before the app counted them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import frappe
from frappe import _

from memora.exceptions import SeasonStateError
from memora.services import activity, memory_store, replay, site_time
from memora.services.activity import Counts, Key, Sums
from memora.services.memory_store import JournalEntry

LOCK_WAIT_SECONDS = 600  # the figures are written at the end of a long walk: better late than not

WAITING_SQL = """
	SELECT activity FROM `tabReview Outbox` WHERE season = %(season)s
	UNION ALL SELECT JSON_ARRAY(JSON_ARRAY(day, subject, answers, reviews, recalled)) FROM `tabActivity Count`
	WHERE season = %(season)s"""
FORGET_SUBJECTS_SQL = """
	DELETE s FROM `tabDaily Activity Subject` s JOIN `tabDaily Activity` d ON s.parent = d.name
	WHERE d.season = %(season)s AND d.day < %(today)s"""
FORGET_DAYS_SQL = "DELETE FROM `tabDaily Activity` WHERE season = %(season)s AND day < %(today)s"


@dataclass
class Rebuilt:
	"""What a rebuild went through, and how many days it wrote."""

	season: str
	learners: int = 0
	answers: int = 0
	days: int = 0


def rebuild(season: str, progress: Callable[[Rebuilt], None] | None = None) -> Rebuilt:
	"""Counts the days of a season before the present one anew from the journal, page by page, and replaces them.

	Answers that still wait to be counted are left to those who will count them. `progress`, if given, is called
	after each learner. Raises SeasonStateError where others write these figures for too long. Commits.
	"""
	report, today = Rebuilt(season), site_time.learning_day()
	sums: Sums = defaultdict(lambda: defaultdict(Counts))
	learners: dict[Key, int] = defaultdict(int)
	for player, entries in replay.journal_by_learner(season):
		counted = activity.summed(
			(season, c) for c in activity.of(entries, _subjects(player, season, entries))
		)
		for key, by_subject in counted.items():
			if key[1] < today:
				learners[key] += 1
				_merge(sums[key], by_subject)
		report.learners, report.answers = report.learners + 1, report.answers + len(entries)
		if progress:
			progress(report)
	_replace(season, today, sums, learners)
	report.days = len(sums)
	return report


def _subjects(player: str, season: str, entries: list[JournalEntry]) -> dict[str, str | None]:
	records = memory_store.get_all_records(player, season)
	origins = replay.origins([entry.question_id for entry in entries], records)
	return {question_id: origin["subject"] for question_id, origin in origins.items()}


def _merge(sums: dict[str, Counts], more: dict[str, Counts], sign: int = 1) -> None:
	for subject, counts in more.items():
		sums[subject] = activity.plus(sums[subject], (sign * number for number in counts))


def _replace(season: str, today: date, sums: Sums, learners: dict[Key, int]) -> None:
	with memory_store.named_lock(activity.LOCK, LOCK_WAIT_SECONDS) as is_mine:
		if not is_mine:
			frappe.throw(_("Others are writing these figures. Try again later."), SeasonStateError)
		memory_store.new_snapshot()
		with memory_store.transaction():
			rows = frappe.db.sql(WAITING_SQL, {"season": season})
			waiting = [c for (counted,) in rows for c in memory_store.unpack_activity(counted)]
			for key, by_subject in activity.summed((season, c) for c in waiting).items():
				if key in sums:
					_merge(sums[key], by_subject, -1)
			frappe.db.sql(FORGET_SUBJECTS_SQL, {"season": season, "today": today})
			frappe.db.sql(FORGET_DAYS_SQL, {"season": season, "today": today})
			activity.write(sums, learners)
