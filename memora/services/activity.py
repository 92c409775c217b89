"""What is answered in a season on each learning day: figures that never count a big table.

A submission brings its counts along to the outbox, and the fold that takes it from there inserts them in the same
transaction: so each answer is counted once, whatever dies or is repeated. Folds only insert into `Activity Count`,
as they would wait for each other on a row that all of them change; a scheduler job adds these up. Learners are
counted by rows of `Daily Learner`, one for each who answered on a day, which go after some days.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple
from uuid import uuid4

import frappe

from memora.services import memory_store, site_time
from memora.services.memory_store import ActivityCount, JournalEntry, OutboxRow, digest

LOCK, LOCK_WAIT_SECONDS = "activity", 60  # whoever changes Daily Activity holds it
SUM_ROWS = 5000  # of counts in one transaction
LEARNERS_KEPT_DAYS = (
	7  # for answers that are folded late; after that a day's learners are no longer counted anew
)
CLEAR_ROWS = 50_000

COUNT_SQL = """
	INSERT INTO `tabActivity Count` (name, day, season, subject, answers, reviews, recalled, creation) VALUES """
LEARNER_SQL = "INSERT INTO `tabDaily Learner` (name, day, season, player, creation) VALUES "
LEARNER_TAIL_SQL = " ON DUPLICATE KEY UPDATE day = VALUES(day)"

TAKE_SQL = """
	SELECT name, season, day, subject, answers, reviews, recalled FROM `tabActivity Count`
	ORDER BY name LIMIT %(limit)s"""
TAKEN_SQL = "DELETE FROM `tabActivity Count` WHERE name IN %(names)s"
LEARNERS_SQL = "SELECT COUNT(*) FROM `tabDaily Learner` WHERE name BETWEEN %(first)s AND %(last)s"
CLEAR_SQL = f"DELETE FROM `tabDaily Learner` WHERE name < %(first)s LIMIT {CLEAR_ROWS}"

DAY_SQL = """
	INSERT INTO `tabDaily Activity`
	(name, season, day, learners, answers, reviews, recalled, creation, modified, owner, modified_by) VALUES """
DAY_TAIL_SQL = """ ON DUPLICATE KEY UPDATE learners = GREATEST(learners, VALUES(learners)),
	answers = answers + VALUES(answers), reviews = reviews + VALUES(reviews),
	recalled = recalled + VALUES(recalled), modified = VALUES(modified)"""
SUBJECT_SQL = """
	INSERT INTO `tabDaily Activity Subject`
	(name, parent, parenttype, parentfield, subject, answers, reviews, recalled, creation, modified) VALUES """
SUBJECT_TAIL_SQL = """ ON DUPLICATE KEY UPDATE answers = answers + VALUES(answers),
	reviews = reviews + VALUES(reviews), recalled = recalled + VALUES(recalled), modified = VALUES(modified)"""

BY_DAY_SQL = """
	SELECT day, season, learners, answers, reviews, recalled FROM `tabDaily Activity`
	WHERE season = %(season)s AND day BETWEEN %(first)s AND %(last)s ORDER BY day"""
BY_SUBJECT_SQL = """
	SELECT s.subject, CAST(SUM(s.answers) AS INT), CAST(SUM(s.reviews) AS INT), CAST(SUM(s.recalled) AS INT)
	FROM `tabDaily Activity` d JOIN `tabDaily Activity Subject` s ON s.parent = d.name
	WHERE d.season = %(season)s AND d.day BETWEEN %(first)s AND %(last)s GROUP BY s.subject ORDER BY s.subject"""
ANSWERS_OF_DAY_SQL = """
	SELECT CAST(COALESCE(SUM(answers), 0) AS INT) FROM (
		SELECT answers FROM `tabDaily Activity` WHERE day = %(day)s
		UNION ALL SELECT answers FROM `tabActivity Count` WHERE day = %(day)s) counted"""


class Counts(NamedTuple):
	"""Sums of ActivityCounts."""

	answers: int = 0
	reviews: int = 0
	recalled: int = 0

	@property
	def retention_percent(self) -> float | None:
		"""True retention: how many reviews of a hundred were recalled; None without any."""
		return round(100 * self.recalled / self.reviews, 1) if self.reviews else None


class Day(NamedTuple):
	"""A season's learning day."""

	day: date
	season: str
	learners: int
	counts: Counts


Key = tuple[str, date]  # season, learning day
Sums = dict[Key, dict[str, Counts]]  # by subject


# Counting


def of(entries: Iterable[JournalEntry], subjects: dict[str, str | None]) -> list[ActivityCount]:
	"""What answers add to the figures of their days; `subjects` by question_id."""
	sums: dict[tuple[str, str], Counts] = defaultdict(Counts)
	for entry in entries:
		key = site_time.learning_day(entry.reviewed_at).isoformat(), subjects.get(entry.question_id) or ""
		is_review = entry.kind == "Review"
		sums[key] = plus(sums[key], (1, is_review, is_review and entry.rating != "Again"))
	return [ActivityCount(*key, *map(int, counts)) for key, counts in sums.items()]


def plus(counts: Counts, more: Iterable[int]) -> Counts:
	"""The sums of three figures each."""
	return Counts(*map(sum, zip(counts, more, strict=True)))


def count(rows: list[OutboxRow]) -> None:
	"""Counts rows that are being folded; the caller's transaction makes it one step with the fold."""
	sums = summed((row.season, counted) for row in rows for counted in row.activity)
	if not sums:
		return
	now = site_time.naive_now()
	memory_store.insert(
		COUNT_SQL,
		[
			(uuid4().hex, day, season, subject, *counts, now)
			for (season, day), by_subject in sums.items()
			for subject, counts in by_subject.items()
		],
	)
	learners = {(row.season, counted.day, row.player) for row in rows for counted in row.activity}
	learner_rows = [(_learner_name(*key), key[1], key[0], key[2], now) for key in learners]
	# last of the fold, and in one order for all: those who have a learner in common wait for each other here
	memory_store.insert(LEARNER_SQL, sorted(learner_rows), LEARNER_TAIL_SQL)


def summed(counted: Iterable[tuple[str, ActivityCount]]) -> Sums:
	"""The sums of (season, count)."""
	sums: Sums = defaultdict(lambda: defaultdict(Counts))
	for season, (day, subject, *counts) in counted:
		by_subject = sums[season, date.fromisoformat(str(day))]
		by_subject[subject] = plus(by_subject[subject], counts)
	return sums


def _learner_name(season: str, day: date | str, player: str) -> str:
	return f"{_day_prefix(day)}{digest(season)}{digest(player)}"


def _day_prefix(day: date | str) -> str:
	return str(day).replace("-", "")


# Summing up


def sum_up() -> int:
	"""Adds what folds have counted to Daily Activity, and drops old rows of Daily Learner; how many counts that
	were. Commits. Runs every five minutes."""
	taken = 0
	with memory_store.named_lock(LOCK, LOCK_WAIT_SECONDS) as is_mine:
		while is_mine:
			memory_store.new_snapshot()
			with memory_store.transaction():
				rows = frappe.db.sql(TAKE_SQL, {"limit": SUM_ROWS})
				_sum_up(rows)
			taken += len(rows)
			if len(rows) < SUM_ROWS:
				break
	_forget_learners()
	return taken


def _sum_up(rows: list[tuple]) -> None:
	if not rows:
		return
	sums = summed((season, ActivityCount(*counted)) for _name, season, *counted in rows)
	write(sums, {key: _learners(*key) for key in sums})
	frappe.db.sql(TAKEN_SQL, {"names": [name for name, *_ in rows]})


def _learners(season: str, day: date) -> int:
	return _count_learners(_day_prefix(day) + digest(season))


def _count_learners(prefix: str) -> int:
	return frappe.db.sql(LEARNERS_SQL, {"first": prefix, "last": prefix + "g"})[0][0]


def write(sums: Sums, learners: dict[Key, int]) -> None:
	"""Adds to Daily Activity; the caller holds LOCK."""
	now = site_time.naive_now()
	days, subjects = [], []
	for (season, day), by_subject in sums.items():
		name = f"{day}-{digest(season)}"
		total = Counts(*map(sum, zip(*by_subject.values(), strict=True)))
		origin = (now, now, "Administrator", "Administrator")
		days.append((name, season, day, learners[season, day], *total, *origin))
		subjects += [
			(f"{name}-{digest(subject)}", name, "Daily Activity", "subjects", subject, *counts, now, now)
			for subject, counts in by_subject.items()
		]
	memory_store.insert(DAY_SQL, days, DAY_TAIL_SQL)
	memory_store.insert(SUBJECT_SQL, subjects, SUBJECT_TAIL_SQL)


def _forget_learners() -> None:
	first = site_time.learning_day() - timedelta(days=LEARNERS_KEPT_DAYS)
	with memory_store.transaction():
		frappe.db.sql(CLEAR_SQL, {"first": _day_prefix(first)})


def forget_season(season: str) -> None:
	"""Deletes all that was counted of a season; the caller commits."""
	days = frappe.get_all("Daily Activity", filters={"season": season}, pluck="name")
	frappe.db.delete("Daily Activity Subject", {"parent": ("in", ["", *days])})
	for doctype in ("Daily Activity", "Activity Count", "Daily Learner"):
		frappe.db.delete(doctype, {"season": season})


# Figures


def learners_of_day(day: date) -> int:
	"""How many learners answered on one of the last days, as far as their answers are folded."""
	return _count_learners(_day_prefix(day))


def answers_of_day(day: date) -> int:
	"""How many answers of a learning day are folded."""
	return frappe.db.sql(ANSWERS_OF_DAY_SQL, {"day": day})[0][0]


def by_day(season: str, first: date, last: date) -> list[Day]:
	"""A season's days on which anything was answered, in order."""
	rows = frappe.db.sql(BY_DAY_SQL, {"season": season, "first": first, "last": last})
	return [Day(day, season, learners, Counts(*counts)) for day, season, learners, *counts in rows]


def by_subject(season: str, first: date, last: date) -> dict[str, Counts]:
	"""A season's counts from one day to another, by subject in order of their names."""
	rows = frappe.db.sql(BY_SUBJECT_SQL, {"season": season, "first": first, "last": last})
	return {subject or "": Counts(*counts) for subject, *counts in rows}


def by_week(season: str, first: date, last: date) -> dict[date, Counts]:
	"""The same by week, named by its Monday; weeks without answers are left out."""
	weeks: dict[date, Counts] = defaultdict(Counts)
	for day in by_day(season, first, last):
		monday = day.day - timedelta(days=day.day.weekday())
		weeks[monday] = plus(weeks[monday], day.counts)
	return dict(weeks)
