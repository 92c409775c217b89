"""Section `drain`: one process folds a backlog of submissions. For comparison, such rows are inserted through the ORM.

The backlog is in a season of its own. Its submissions are dated in the future, so that no worker or sweeper of the site
takes a part of the backlog.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import frappe

from benchmarks import season_data
from benchmarks.report import Section, number, table
from devtools.report import Failure, step
from memora.services import site_time
from memora.services.folding import folds
from memora.services.store import row_names
from memora.services.store.records import ActivityCount, MemoryRecord, pack_records

SEASON = "Perf Drain Season"
SUBMISSIONS, ANSWERS = 10_000, 20
LEARNERS = 500
INSERT_ROWS = 500  # in a statement, which then has 1.5 MB
ORM_SUBMISSIONS = 50  # a sample: all submissions would take minutes
AHEAD = timedelta(days=1)  # how far in the future the submissions are dated, where no sweeper looks
ENOUGH_SECONDS = 600
LEAST_PER_SECOND, LEAST_RATIO = 5000, 20  # the project's limits

OUTBOX_SQL = (
	"INSERT INTO `tabReview Outbox` (name, player, season, payload, activity, creation, modified) VALUES "
)


def measure(arguments: argparse.Namespace) -> Section:
	with season_data.season(SEASON):
		with step(f"Making a backlog of {SUBMISSIONS:,} submissions of {ANSWERS} answers"):
			_write_backlog()
		with step("Folding the backlog"):
			drained_per_s = _drain()
		with step(f"Inserting {ORM_SUBMISSIONS * ANSWERS:,} such rows through the ORM"):
			orm_per_s = _insert_by_orm()
	figures = {
		"drain_answers_per_s": round(drained_per_s),
		"orm_rows_per_s": round(orm_per_s),
		"drain_vs_orm_ratio": round(drained_per_s / orm_per_s, 1),
	}
	return Section(figures, _text(figures))


def _text(figures: dict[str, float]) -> str:
	drained, inserted, ratio = figures.values()
	rows = [
		["drain", "rows", "rows/s", "at least"],
		["outbox to tracker", number(SUBMISSIONS * ANSWERS), number(drained), number(LEAST_PER_SECOND)],
		["through the ORM", number(ORM_SUBMISSIONS * ANSWERS), number(inserted), ""],
		["ratio", "", number(ratio, 1), number(LEAST_RATIO)],
	]
	return table(rows)


# The backlog


def _write_backlog() -> None:
	"""Writes the backlog. Learners take turns, so two submissions that follow each other are far apart on disk."""
	now = site_time.naive_now()
	rows = (
		_outbox_row(season_data.learner(learner), round_, now)
		for round_ in range(SUBMISSIONS // LEARNERS)
		for learner in range(LEARNERS)
	)
	while some := list(islice(rows, INSERT_ROWS)):
		insert(some)


def write_submission(learner: str, serial: int) -> str:
	"""Writes one more submission of ANSWERS new questions, and returns its key. The submission waits as those of the backlog do."""
	row = _outbox_row(learner, serial, site_time.naive_now())
	insert([row])
	return str(row[0])


def insert(rows: list[tuple[Any, ...]]) -> None:
	marks = ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(rows))
	frappe.db.sql(OUTBOX_SQL + marks, [value for row in rows for value in row])
	frappe.db.commit()


def _outbox_row(learner: str, round_: int, now: datetime) -> tuple[Any, ...]:
	"""Returns a row as store/outbox writes it."""
	key = row_names.submission_key(learner, SEASON, f"submission {round_}")
	payload = pack_records(records(round_, now))
	reviews = ANSWERS // 2
	counted = [ActivityCount(now.date().isoformat(), "Geography", ANSWERS, reviews, reviews - 1)]
	return key, learner, SEASON, payload, json.dumps(counted), now + AHEAD, now


def records(round_: int, now: datetime) -> Iterable[MemoryRecord]:
	for n in range(round_ * ANSWERS, (round_ + 1) * ANSWERS):
		yield MemoryRecord(
			question_id=f"geography-capital-{n:05}",
			subject="Geography",
			topic="Geography: Capitals",
			stability=2.3065 + n / 7,
			difficulty=2.118104 + n % 8,
			state="Review",
			reps=1 + n % 9,
			lapses=n % 3,
			next_review_date=(now + timedelta(days=1 + n % 60)).replace(
				hour=4, minute=0, second=0, microsecond=0
			),
			last_review_date=now,
			creation=now - timedelta(days=n % 90),
		)


# The two ways


def _drain() -> float:
	"""Folds the backlog as a worker's job does, and returns answers per second."""
	begin = time.perf_counter()
	rows = folds.drain(site_time.naive_now() + 2 * AHEAD, ENOUGH_SECONDS).folded
	seconds = time.perf_counter() - begin
	answers = sum(row.answers for row in rows if row.season == SEASON)
	stored = frappe.db.count("Player Memory Tracker", {"season": SEASON})
	if not answers == stored == SUBMISSIONS * ANSWERS:
		raise Failure(f"{answers} of {SUBMISSIONS * ANSWERS} answers were folded, {stored} are stored")
	return answers / seconds


def _insert_by_orm() -> float:
	"""Inserts rows of the same kind, with a commit for each submission. Returns rows per second."""
	now = site_time.naive_now()
	begin = time.perf_counter()
	for submission in range(ORM_SUBMISSIONS):
		for record in records(submission, now):
			values = {f.name: getattr(record, f.name) for f in fields(record)}
			# the ORM accepts only a player who exists
			key = {"doctype": "Player Memory Tracker", "player": "Administrator", "season": SEASON}
			frappe.get_doc({**key, **values}).insert(ignore_permissions=True)
		frappe.db.commit()
	return ORM_SUBMISSIONS * ANSWERS / (time.perf_counter() - begin)
