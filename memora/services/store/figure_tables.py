"""The tables of figures: Activity Count, Daily Learner, Daily Activity with its subjects, Due Forecast.

A fold only inserts, into Activity Count and Daily Learner: if all folds changed one row, they would wait for
each other. A scheduler job adds the counts up into Daily Activity. So no figure ever counts a big table.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple
from uuid import uuid4

import frappe

from memora.services.store import database
from memora.services.store.records import ActivityCount, Effort, unpack_activity
from memora.services.store.row_names import digest

CLEAR_ROWS = 50_000

FIGURES = "answers, reviews, recalled, graded_reviews, graded_recalled"  # in the order of Counts
ADD_FIGURES = ", ".join(f"{name} = {name} + VALUES({name})" for name in FIGURES.split(", "))
SUM_FIGURES = ", ".join(f"CAST(SUM(s.{name}) AS INT)" for name in FIGURES.split(", "))

COUNT_SQL = f"""
	INSERT INTO `tabActivity Count` (name, day, season, subject, {FIGURES}, creation) VALUES """
LEARNER_SQL = """
	INSERT INTO `tabDaily Learner` (name, day, season, player, answers, practised, learnt, creation) VALUES """
LEARNER_TAIL_SQL = """ ON DUPLICATE KEY UPDATE answers = answers + VALUES(answers),
	practised = CONCAT(COALESCE(practised, ''), VALUES(practised)), learnt = learnt + VALUES(learnt)"""

DAYS_OF_LEARNER_SQL = """
	SELECT name, day, season, answers, COALESCE(practised, ''), learnt, creation FROM `tabDaily Learner`
	WHERE name IN %(names)s FOR UPDATE"""
THERE_SQL = "SELECT name FROM `tabDaily Learner` WHERE name IN %(names)s"
DELETE_DAYS_SQL = "DELETE FROM `tabDaily Learner` WHERE name IN %(names)s"

TAKE_SQL = f"""
	SELECT name, season, day, subject, {FIGURES} FROM `tabActivity Count`
	ORDER BY name LIMIT %(limit)s"""
TAKEN_SQL = "DELETE FROM `tabActivity Count` WHERE name IN %(names)s"
LEARNERS_SQL = "SELECT COUNT(*) FROM `tabDaily Learner` WHERE name BETWEEN %(first)s AND %(last)s"
LEARNERS_UP_TO_SQL = """
	SELECT COUNT(*) FROM (
		SELECT 1 FROM `tabDaily Learner` WHERE name BETWEEN %(first)s AND %(last)s LIMIT %(limit)s) some"""
SUMMED_LEARNERS_SQL = """
	SELECT CAST(COALESCE(SUM(learners), 0) AS INT) FROM `tabDaily Activity` WHERE day = %(day)s"""
DAY_SQL = f"""
	INSERT INTO `tabDaily Activity`
	(name, season, day, learners, {FIGURES}, creation, modified, owner, modified_by) VALUES """
DAY_TAIL_SQL = f""" ON DUPLICATE KEY UPDATE learners = GREATEST(learners, VALUES(learners)),
	{ADD_FIGURES}, modified = VALUES(modified)"""
SUBJECT_SQL = f"""
	INSERT INTO `tabDaily Activity Subject`
	(name, parent, parenttype, parentfield, subject, {FIGURES}, creation, modified) VALUES """
SUBJECT_TAIL_SQL = f" ON DUPLICATE KEY UPDATE {ADD_FIGURES}, modified = VALUES(modified)"
BY_DAY_SQL = f"""
	SELECT day, season, learners, {FIGURES} FROM `tabDaily Activity`
	WHERE season = %(season)s AND day BETWEEN %(first)s AND %(last)s ORDER BY day"""
BY_SUBJECT_SQL = f"""
	SELECT s.subject, {SUM_FIGURES}
	FROM `tabDaily Activity` d JOIN `tabDaily Activity Subject` s ON s.parent = d.name
	WHERE d.season = %(season)s AND d.day BETWEEN %(first)s AND %(last)s GROUP BY s.subject ORDER BY s.subject"""
ANSWERS_OF_DAY_SQL = """
	SELECT CAST(COALESCE(SUM(answers), 0) AS INT) FROM (
		SELECT answers FROM `tabDaily Activity` WHERE day = %(day)s
		UNION ALL SELECT answers FROM `tabActivity Count` WHERE day = %(day)s) counted"""

MOVE_SUBJECT_SQL = f"""
	INSERT INTO `tabDaily Activity Subject`
	(name, parent, parenttype, parentfield, subject, {FIGURES}, creation, modified)
	SELECT CONCAT(LEFT(s.name, CHAR_LENGTH(s.name) - 16), %(new_digest)s), s.parent, s.parenttype, s.parentfield, %(new)s,
		{", ".join(f"s.{name}" for name in FIGURES.split(", "))}, s.creation, s.modified
	FROM `tabDaily Activity Subject` s WHERE RIGHT(s.name, 16) = %(old_digest)s
	ON DUPLICATE KEY UPDATE {", ".join(
		f"{name} = `tabDaily Activity Subject`.{name} + VALUES({name})" for name in FIGURES.split(", ")
	)}"""
DELETE_SUBJECT_SQL = "DELETE FROM `tabDaily Activity Subject` WHERE RIGHT(name, 16) = %(old_digest)s"
CLEAR_SQL = f"DELETE FROM `tabDaily Learner` WHERE name < %(first)s LIMIT {CLEAR_ROWS}"
WAITING_SQL = f"""
	SELECT activity FROM `tabReview Outbox` WHERE season = %(season)s
	UNION ALL SELECT JSON_ARRAY(JSON_ARRAY(day, subject, {FIGURES})) FROM `tabActivity Count`
	WHERE season = %(season)s"""
FORGET_SUBJECTS_SQL = """
	DELETE s FROM `tabDaily Activity Subject` s JOIN `tabDaily Activity` d ON s.parent = d.name
	WHERE d.season = %(season)s AND d.day < %(today)s"""
FORGET_DAYS_SQL = "DELETE FROM `tabDaily Activity` WHERE season = %(season)s AND day < %(today)s"
DUE_UNTIL_SQL = """
	SELECT CAST(COALESCE(SUM(d.records), 0) AS INT) FROM `tabDue Forecast Day` d
	WHERE d.parent = %(season)s AND d.day <= %(day)s"""


class Counts(NamedTuple):
	"""Sums of ActivityCounts: answers, reviews, and recalled reviews; and the reviews that the server graded."""

	answers: int = 0
	reviews: int = 0
	recalled: int = 0
	graded_reviews: int = 0
	graded_recalled: int = 0

	@property
	def retention_percent(self) -> float | None:
		"""True retention: how many reviews of a hundred were recalled; None without any review."""
		return round(100 * self.recalled / self.reviews, 1) if self.reviews else None

	@property
	def graded_retention_percent(self) -> float | None:
		"""True retention of the reviews that the server graded; None without any."""
		return round(100 * self.graded_recalled / self.graded_reviews, 1) if self.graded_reviews else None

	def plus(self, more: Iterable[int]) -> "Counts":
		"""Returns the sums with as many more figures, in the order of the fields."""
		return Counts(*map(sum, zip(self, more, strict=True)))


class Day(NamedTuple):
	"""The figures of one learning day of a season."""

	day: date
	season: str
	learners: int
	counts: Counts


Key = tuple[str, date]  # season, learning day
Sums = dict[Key, dict[str, Counts]]  # by subject


def sum_counts(counted: Iterable[tuple[str, ActivityCount]]) -> Sums:
	"""Returns the sums of pairs (season, count) by season and learning day, and in each by subject."""
	sums: Sums = defaultdict(lambda: defaultdict(Counts))
	for season, (day, subject, *counts) in counted:
		of_day = sums[season, date.fromisoformat(str(day))]
		of_day[subject] = of_day[subject].plus(counts)
	return sums


# What folds insert


def insert_counts(sums: Sums, now: datetime) -> None:
	"""Adds the counts that a fold brings. The caller commits."""
	rows = [
		(uuid4().hex, day, season, subject, *counts, now)
		for (season, day), of_day in sums.items()
		for subject, counts in of_day.items()
	]
	database.insert(COUNT_SQL, rows)


def insert_learners(learners: dict[tuple[str, str, str], Effort], now: datetime) -> None:
	"""Notes which learners answered: {(season, learning day as ISO text, learner): effort}. The caller commits.

	Folds that have a learner in common wait for each other here. All folds insert in one order, so they
	can't deadlock.
	"""
	rows = [
		(learner_row_name(season, day, learner), day, season, learner, *effort[1:], now)
		for (season, day, learner), effort in learners.items()
	]
	database.insert(LEARNER_SQL, sorted(rows), LEARNER_TAIL_SQL)


def move_learner(learner: str, into: str, seasons: list[str], days: list[str]) -> None:
	"""Adds one learner's rows of some days to another's. The caller commits."""
	names = [_day_prefix(day) + digest(season) + learner for season in seasons for day in days]
	there = [name for (name,) in database.query(THERE_SQL, {"names": tuple(names) or ("",)})]
	if not there:
		return
	found = frappe.db.sql(DAYS_OF_LEARNER_SQL, {"names": there})
	rows = [(name[: -len(learner)] + into, day, season, into, *rest) for name, day, season, *rest in found]
	database.insert(LEARNER_SQL, sorted(rows), LEARNER_TAIL_SQL)
	frappe.db.sql(DELETE_DAYS_SQL, {"names": [name for name, *_rest in found]})


def learner_row_name(season: str, day: date | str, learner: str) -> str:
	"""Returns the primary key of a learner's row of a day in Daily Learner."""
	return f"{_day_prefix(day)}{digest(season)}{learner}"


def _day_prefix(day: date | str) -> str:
	return str(day).replace("-", "")


# Summing up


def take_counts(limit: int) -> tuple[list[str], Sums]:
	"""Returns the names of at most `limit` Activity Counts, and their sums. Deletes none."""
	rows = frappe.db.sql(TAKE_SQL, {"limit": limit})
	sums = sum_counts((season, ActivityCount(*counted)) for _name, season, *counted in rows)
	return [name for name, *_counted in rows], sums


def delete_counts(names: list[str]) -> None:
	"""Deletes Activity Counts by name. The caller commits."""
	if names:
		frappe.db.sql(TAKEN_SQL, {"names": names})


def by_present_name(counts: Mapping[str, Counts], present: Mapping[str, str]) -> dict[str, Counts]:
	"""Returns {subject: counts} under the subjects' present names; see subject_names.get_present."""
	found: dict[str, Counts] = defaultdict(Counts)
	for subject, counted in counts.items():
		name = present.get(subject.casefold(), subject)
		found[name] = found[name].plus(counted)
	return dict(found)


def rename_subject(old: str, new: str) -> None:
	"""Gives the figures of all days under a subject's name to another name. The caller commits."""
	values = {"new": new, "new_digest": digest(new), "old_digest": digest(old)}
	if old != new:
		frappe.db.sql(MOVE_SUBJECT_SQL, values)
		frappe.db.sql(DELETE_SUBJECT_SQL, values)


def add_to_days(
	sums: Sums, learners: dict[Key, int], now: datetime, present: Mapping[str, str] | None = None
) -> None:
	"""Adds sums to Daily Activity. The caller holds the lock figures/activity.LOCK, and commits.

	`present` has the present names of subjects, as subject_names.get_present returns them.
	"""
	days, subjects = [], []
	for (season, day), of_names in sums.items():
		of_day = by_present_name(of_names, present or {})
		name = f"{day}-{digest(season)}"
		total = Counts(*map(sum, zip(*of_day.values(), strict=True)))
		origin = (now, now, "Administrator", "Administrator")
		days.append((name, season, day, learners[season, day], *total, *origin))
		subjects += [
			(f"{name}-{digest(subject)}", name, "Daily Activity", "subjects", subject, *counts, now, now)
			for subject, counts in of_day.items()
		]
	database.insert(DAY_SQL, days, DAY_TAIL_SQL)
	database.insert(SUBJECT_SQL, subjects, SUBJECT_TAIL_SQL)


def count_learners(day: date, season: str | None = None) -> int:
	"""Returns how many learners answered on a learning day, in one season or in all.

	Only the days that clear_learners has not deleted can be counted.
	"""
	prefix = _day_prefix(day) + (digest(season) if season else "")
	((count,),) = frappe.db.sql(LEARNERS_SQL, {"first": prefix, "last": prefix + "g"})
	return count


def count_learners_of_day(day: date, exact_up_to: int) -> int:
	"""Returns how many learners answered on a learning day in all seasons, for a request: counts `exact_up_to` at most.

	If there are more, returns what the last sum counted, which is minutes old.
	"""
	prefix = _day_prefix(day)
	values = {"first": prefix, "last": prefix + "g", "limit": exact_up_to + 1, "day": day}
	((count,),) = frappe.db.sql(LEARNERS_UP_TO_SQL, values)
	if count > exact_up_to:
		((summed,),) = frappe.db.sql(SUMMED_LEARNERS_SQL, values)
		return max(count, summed)
	return count


def clear_learners(first: date) -> None:
	"""Deletes at most CLEAR_ROWS rows of Daily Learner from before a day. The caller commits."""
	frappe.db.sql(CLEAR_SQL, {"first": _day_prefix(first)})


def get_waiting_counts(season: str) -> list[ActivityCount]:
	"""Returns the counts that wait to be added to a season's days: in the outbox and in Activity Count."""
	rows = frappe.db.sql(WAITING_SQL, {"season": season})
	return [count for (counted,) in rows for count in unpack_activity(counted)]


def forget_days(season: str, today: date) -> None:
	"""Deletes the Daily Activity of a season from before a learning day. The caller commits."""
	frappe.db.sql(FORGET_SUBJECTS_SQL, {"season": season, "today": today})
	frappe.db.sql(FORGET_DAYS_SQL, {"season": season, "today": today})


def forget_season(season: str) -> None:
	"""Deletes all counts of a season: Daily Activity, Activity Count, Daily Learner. The caller commits."""
	days = frappe.get_all("Daily Activity", filters={"season": season}, pluck="name")
	frappe.db.delete("Daily Activity Subject", {"parent": ("in", ["", *days])})
	for doctype in ("Daily Activity", "Activity Count", "Daily Learner"):
		frappe.db.delete(doctype, {"season": season})


# Figures


def count_answers_of_day(day: date) -> int:
	"""Returns how many answers of a learning day are folded."""
	((answers,),) = frappe.db.sql(ANSWERS_OF_DAY_SQL, {"day": day})
	return answers


def get_days(season: str, first: date, last: date) -> list[Day]:
	"""Returns the days of a season, from `first` to `last`, on which anything was answered, in order."""
	rows = frappe.db.sql(BY_DAY_SQL, {"season": season, "first": first, "last": last})
	return [Day(day, season, learners, Counts(*counts)) for day, season, learners, *counts in rows]


def get_days_by_subject(season: str, first: date, last: date) -> dict[str, Counts]:
	"""Returns {subject: counts} of a season from `first` to `last`, in the order of the subjects' names."""
	rows = frappe.db.sql(BY_SUBJECT_SQL, {"season": season, "first": first, "last": last})
	return {subject or "": Counts(*counts) for subject, *counts in rows}


def get_due_until(season: str, day: date) -> int:
	"""Returns how many records fall due up to a learning day, as the season's forecast has it."""
	((records,),) = frappe.db.sql(DUE_UNTIL_SQL, {"season": season, "day": day})
	return records
