"""One run through a season that moves the dates of its records by one calendar.

A run goes through the tracker by primary key, some thousand rows at a time. A transaction moves the dates of some learners,
under their locks, and then Redis gets these dates. So a learner's answers, her schedule in Redis and her records agree
whenever she asks.

What waits in the outbox is folded first. What can't be folded has its dates moved where it waits. What others are folding
meanwhile is looked at again in the end. No later submission brings a date of the old calendar: see outbox.insert.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime

import frappe
from frappe import _
from frappe.utils import create_batch, getdate
from redis.exceptions import RedisError

from memora.exceptions import SeasonStateError, quoting
from memora.services import site_time
from memora.services.cache.schedules import Schedules
from memora.services.folding import folds
from memora.services.learning.moved_dates import MovedCalendar
from memora.services.settings import forget_settings, get_settings
from memora.services.store import database, date_moves, outbox, tracker, whole_schedules
from memora.services.store.date_moves import DateMoves, MovableRecord
from memora.services.store.loops import go_through
from memora.services.store.records import OutboxRow
from memora.services.store.row_names import NAME_LENGTH, bounds, learner_of, tracker_name
from memora.services.store.seasons import Season

DOCTYPE = "Game Subscription Season"
PAGE_ROWS = 5000  # looked at together: some hundredths of a second
LEARNERS = 50  # whose dates one transaction moves: answers of theirs wait tenths of a second
REPORT_SECONDS = 1
LAST = "f" * NAME_LENGTH  # follows the names of all rows
UNREADABLE = (
	ValueError,
	TypeError,
	AttributeError,
	KeyError,
)  # a payload that records.unpack_records can't read

Progress = Callable[[int], None]
Dates = dict[str, dict[str, datetime]]  # by learner and question, naive site time


class DateRun:
	"""A run. `note` says how far it is; `progress`, if given, is called with the percentage about every second."""

	def __init__(self, season: Season, note: DateMoves, progress: Progress | None = None) -> None:
		forget_settings()
		settings = get_settings()
		self.season, self.note, self.progress = season, note, progress
		self.calendar = MovedCalendar(
			season_end=season.end_date,
			day_start_hour=settings.day_start_hour,
			desired_retention=settings.desired_retention,
			old_ends=[getdate(end) for end in note.ends],
			old_hours=note.hours,
		)
		self.schedules, self.zone = Schedules(), site_time.site_zone()
		self.report_at = 0.0
		self.busy: set[str] = set()  # learners who were answering when their turn came

	def go(self) -> bool:
		"""Moves all dates. Returns False if the calendar has changed meanwhile: then another run is to move them. Commits.

		Raises SeasonStateError if the season is being archived, or if somebody keeps answers from being moved.
		"""
		while len(folds.drain_season(self.season.name).folded) >= folds.FOLD_SUBMISSIONS:
			pass
		with database.read_committed():
			late = self._move_waiting(date_moves.get_waiting(self.season.name))
			for last, page in self._pages():
				self._move_page(page, self.busy)
				self.note = replace(self.note, position="" if late or self.busy else last)
				if not self._report():
					return False
			self._look_again(late)
			return self._end()

	def follow_learner(self, learner: str) -> None:
		"""Moves the dates of one learner. Commits."""
		first, last = bounds(learner).values()
		database.new_snapshot()
		self._move_page(date_moves.get_page(self.season.name, first, last, self.calendar.first_moved))

	def count(self) -> int:
		"""Returns how many dates of the tracker the run would move."""
		return sum(len(self._moved(page)) for _last, page in self._pages())

	def _pages(self) -> Iterator[tuple[str, list[MovableRecord]]]:
		"""Yields (name of the last row looked at, the records whose date may move)."""
		season, after = self.season.name, self.note.position
		while after != LAST:
			database.new_snapshot()
			last = date_moves.end_of_page(season, after, PAGE_ROWS) or LAST
			yield last, date_moves.get_page(season, after, last, self.calendar.first_moved)
			after = last

	# Rows of the tracker

	def _move_page(self, page: list[MovableRecord], left: set[str] | None = None) -> None:
		"""Moves the dates of these records. Learners who are just answering come into `left`; without it, waits for them."""
		by_learner: dict[str, list[str]] = defaultdict(list)
		for record in self._moved(page):
			by_learner[record.player].append(record.name)
		for learners in create_batch(sorted(by_learner), LEARNERS):
			for busy in self._move_learners({learner: by_learner[learner] for learner in learners}):
				if left is None:
					self._move_busy(busy, by_learner[busy])
				else:
					left.add(busy)

	def _move_busy(self, learner: str, names: list[str]) -> None:
		if self._move_learners({learner: names}, database.LEARNER_LOCK_WAIT_SECONDS):
			text = _("An answer of learner {0} is being saved. Try again.")
			frappe.throw(quoting(text, learner), SeasonStateError)

	def _move_learners(self, names: dict[str, list[str]], wait_seconds: int = 0) -> list[str]:
		"""Moves the dates of these rows, by learner. Returns the learners who are just answering: theirs are not moved."""
		with ExitStack() as held:
			mine = [x for x in sorted(names) if held.enter_context(database.brief_lock(x, wait_seconds))]
			of_mine = [name for learner in mine for name in names[learner]]
			self._follow(folds.with_retries(lambda: self._move_rows(of_mine)))
		return [learner for learner in names if learner not in mine]

	def _move_rows(self, names: list[str]) -> Dates:
		"""Moves the dates of rows as they are now: a fold may have changed them since they were read."""
		database.new_snapshot()
		dates: Dates = defaultdict(dict)
		by_date: dict[datetime, list[str]] = defaultdict(list)
		with database.transaction():
			tracker.keep_from_archiving(self.season.name)
			for record, due in self._moved(date_moves.lock(self.season.name, names)).items():
				dates[record.player][record.question_id] = due
				by_date[due].append(record.name)
			date_moves.move(self.season.name, by_date)
		self.note = replace(self.note, moved=self.note.moved + sum(map(len, by_date.values())))
		return dates

	def _moved(self, records: Iterable[MovableRecord]) -> dict[MovableRecord, datetime]:
		"""Returns the new dates of those records whose date moves."""
		dates = {record: self.calendar.moved(record) for record in records}
		return {record: due for record, due in dates.items() if due != record.next_review_date}

	def _follow(self, dates: Dates) -> None:
		"""Gives Redis the new dates. Of a question whose newest answer waits in the outbox, that answer's date counts."""
		if not (dates and self.season.enable_redis):
			return
		for learner in whole_schedules.get_waiting_learners(self.season.name, list(dates)):
			records = tracker.get_records(learner, self.season.name, dates[learner])
			dates[learner] = {q: records[q].next_review_date for q in dates[learner] if q in records}
		scores = {
			learner: {q: site_time.to_epoch(due, self.zone) for q, due in of_learner.items()}
			for learner, of_learner in dates.items()
		}
		self.schedules.move(self.season.name, scores)

	# Submissions in the outbox

	def _move_waiting(self, names: list[str]) -> list[str]:
		"""Moves the dates of submissions that wait. Returns those that somebody is folding."""
		return [name for name in names if not self._move_submission(name)]

	def _move_submission(self, name: str) -> bool:
		learner = learner_of(name)
		with database.brief_lock(learner, database.LEARNER_LOCK_WAIT_SECONDS) as is_mine:
			if not is_mine:
				return False
			database.new_snapshot()
			moved: dict[str, datetime] = {}
			with suppress(*UNREADABLE), database.transaction():
				tracker.keep_from_archiving(self.season.name)
				rows = outbox.take([name])
				is_free = bool(rows) or not outbox.get_waiting_status(name)
				moved = {q: due for row in rows for q, due in self._rewrite(row).items()}
			if moved:
				self._follow({learner: moved})
			return is_free

	def _rewrite(self, row: OutboxRow) -> dict[str, datetime]:
		"""Moves the dates of a submission, which is locked. Returns those that have changed, by question."""
		records = [
			replace(
				r,
				next_review_date=self.calendar.moved(
					MovableRecord(
						tracker_name(row.player, row.season, r.question_id),
						row.player,
						r.question_id,
						r.stability,
						r.reps,
						r.next_review_date,
						r.last_review_date,
					)
				),
			)
			for r in row.records
		]
		changed = {
			new.question_id: new.next_review_date
			for new, old in zip(records, row.records, strict=True)
			if new != old
		}
		if changed:
			outbox.rewrite(row, records)
		return changed

	def _look_again(self, late: list[str]) -> None:
		"""Moves the dates of those who were answering, or whose submissions others were folding, when their turn came."""
		if still := self._move_waiting(late):
			text = _("Submissions that somebody is folding: {0}. Try again.")
			frappe.throw(quoting(text, len(still)), SeasonStateError)
		learners = self.busy | {learner_of(name) for name in late}
		if failed := go_through(sorted(learners), self.follow_learner):
			frappe.throw(quoting("{0}", "; ".join(map(str, failed.values()))), SeasonStateError)

	# How far the run is

	def _report(self) -> bool:
		"""Notes how far the run is, about every second. Says whether the calendar is still the same, as far as it knows."""
		if time.monotonic() < self.report_at:
			return True
		self.report_at = time.monotonic() + REPORT_SECONDS
		return self._note(self.note)

	def _end(self) -> bool:
		return self._note(replace(self.note, ends=[], hours=[], position="", error=None))

	def _note(self, note: DateMoves) -> bool:
		is_same = date_moves.note_run(self.season.name, note)
		state = {"season": self.season.name, "percent": note.percent, "moved": note.moved}
		with suppress(RedisError):
			frappe.publish_realtime("memora_dates", state)
		if self.progress:
			self.progress(note.percent)
		self.note = note
		return is_same
