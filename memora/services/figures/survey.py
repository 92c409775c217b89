"""Surveys a whole season's tracker for reports. Each statement goes through a bounded share of the learners.

A survey may take long, but no statement does. So partitions can be made between any two statements, and no snapshot
grows old.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from heapq import nlargest
from typing import NamedTuple

from memora.services import site_time
from memora.services.store import database, row_names, scans, tables

TRACKER = "Player Memory Tracker"
SHARE_ROWS = 250_000  # records that a statement goes through, in some tenths of a second
MAX_ROWS = 5000  # of a report: nobody looks through more
LEECH_LAPSES = 8  # Anki's default
DUE_LIMITS = (0, 10, 50, 100, 500)  # learners are counted by how many questions they have due


class Leech(NamedTuple):
	"""A learner's question that she has forgotten again and again. Stability in days, difficulty 1 to 10."""

	lapses: int
	player: str
	question_id: str
	subject: str | None
	topic: str | None
	reps: int
	stability: float
	difficulty: float
	next_review_date: datetime


class Leeches(NamedTuple):
	"""The leeches that were forgotten most often, at most MAX_ROWS, and the number of all leeches by subject."""

	rows: list[Leech]
	by_subject: dict[str, int]


class Learner(NamedTuple):
	"""A learner's records, summed up. `stability` is their mean in days. Datetimes are naive site time."""

	player: str
	questions: int
	due: int
	lapses: int
	stability: float
	first_answer: datetime
	last_answer: datetime


class Learners(NamedTuple):
	"""The learners with the most questions due, at most MAX_ROWS, and the sums over all learners.

	`by_due` has the number of learners with nothing due, then with up to each further limit of DUE_LIMITS, then with more.
	"""

	rows: list[Learner]
	learners: int
	questions: int
	due: int
	by_due: list[int]


def find_leeches(season: str, lapses: int = LEECH_LAPSES, subject: str | None = None) -> Leeches:
	"""Returns the questions that learners of a season have forgotten at least `lapses` times."""
	rows: list[Leech] = []
	by_subject: Counter[str] = Counter()
	for share in _shares(season):
		by_subject.update(scans.count_leeches(season, share, lapses, subject))
		found = scans.get_leeches(season, share, lapses, subject, MAX_ROWS)
		rows = nlargest(MAX_ROWS, [*rows, *(Leech(*row) for row in found)], key=lambda row: row.lapses)
	return Leeches(rows, dict(by_subject))


def survey_learners(season: str) -> Learners:
	"""Sums up the records of all learners of a season, as of now."""
	now = site_time.naive_now()
	rows: list[Learner] = []
	learners = questions = due = 0
	by_due = [0] * (len(DUE_LIMITS) + 1)
	for share in _shares(season):
		found = [Learner(*row) for row in scans.get_learner_overviews(season, share, now)]
		learners += len(found)
		questions += sum(row.questions for row in found)
		due += sum(row.due for row in found)
		for row in found:
			by_due[bisect_left(DUE_LIMITS, row.due)] += 1
		rows = nlargest(MAX_ROWS, [*rows, *found], key=lambda row: (row.due, row.questions))
	return Learners(rows, learners, questions, due, by_due)


def _shares(season: str) -> Iterator[dict[str, str]]:
	estimate = tables.estimate_rows(TRACKER, season)
	for share in row_names.shares(estimate // SHARE_ROWS + 1):
		database.new_snapshot()
		yield share
	database.new_snapshot()
