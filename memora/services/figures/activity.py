"""Counts what is answered in a season on each learning day.

Folds count the answers (folding/counting). A scheduler job adds the counts to Daily Activity. Daily Learner has one row for
each learner and day, which counts learners; its rows are deleted after LEARNERS_KEPT_DAYS.
"""

from collections import defaultdict
from datetime import date, timedelta

from memora.services import alerts, site_time
from memora.services.store import database, figure_tables, subject_names
from memora.services.store.figure_tables import Counts, Day

LOCK, LOCK_WAIT_SECONDS = "activity", 60  # held while Daily Activity is written
SUM_ROWS = 5000  # counts in one transaction
EXACT_LEARNERS = 100_000  # which a request counts, in some hundredths of a second
LEARNERS_KEPT_DAYS = 7  # for answers that are folded late; after that a day's learners are not counted again


@alerts.in_error_log()
def sum_up() -> int:
	"""Adds what folds have counted to Daily Activity, and drops old rows of Daily Learner.

	Returns how many counts were added. Commits. Runs every five minutes.
	"""
	taken = 0
	with database.named_lock(LOCK, LOCK_WAIT_SECONDS) as is_mine:
		while is_mine:
			rows = _sum_up_some()
			taken += rows
			if rows < SUM_ROWS:
				break
	first = site_time.learning_day() - timedelta(days=LEARNERS_KEPT_DAYS)
	with database.transaction():
		figure_tables.clear_learners(first)
	return taken


def _sum_up_some() -> int:
	database.new_snapshot()
	with database.transaction():
		names, sums = figure_tables.take_counts(SUM_ROWS)
		learners = {(season, day): figure_tables.count_learners(day, season) for season, day in sums}
		figure_tables.add_to_days(sums, learners, site_time.naive_now(), subject_names.get_present())
		figure_tables.delete_counts(names)
	return len(names)


def learners_of_day(day: date) -> int:
	"""Returns how many learners answered on one of the last days, as far as their answers are folded.

	More than EXACT_LEARNERS are those of the last sum.
	"""
	return figure_tables.count_learners_of_day(day, EXACT_LEARNERS)


def answers_of_day(day: date) -> int:
	"""Returns how many answers of a learning day are folded."""
	return figure_tables.count_answers_of_day(day)


def by_day(season: str, first: date, last: date) -> list[Day]:
	"""Returns a season's days on which anything was answered, in order."""
	return figure_tables.get_days(season, first, last)


def by_subject(season: str, first: date, last: date) -> dict[str, Counts]:
	"""Returns a season's counts from one day to another, by the present names of subjects, in their order."""
	counts = figure_tables.get_days_by_subject(season, first, last)
	return dict(sorted(figure_tables.by_present_name(counts, subject_names.get_present()).items()))


def by_week(season: str, first: date, last: date) -> dict[date, Counts]:
	"""Returns a season's counts by week, named by its Monday; weeks without answers are left out."""
	weeks: dict[date, Counts] = defaultdict(Counts)
	for day in by_day(season, first, last):
		monday = day.day - timedelta(days=day.day.weekday())
		weeks[monday] = weeks[monday].plus(day.counts)
	return dict(weeks)
