"""Replays a real learner's answers of half a year over HTTP."""

import csv
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import frappe

from benchmarks.classroom import GET_REVIEW, SUBMIT_REVIEW, Learner
from benchmarks.site import PROJECT
from devtools.report import say

DEFAULT_FILE = "../shared/data/review_logs.csv"
DAY_START = timedelta(hours=9)  # after midnight UTC: at this time it is night where this learner lives
QUALITIES = {"1": 1, "2": 3, "3": 4, "4": 5}  # by the file's ratings: Again, Hard, Good, Easy
ANSWERS_A_SUBMISSION = 50
SUBJECT, OLD_TOPIC = "Replay", "Replay: Replay"
DAYS_A_LINE = 10  # after so many days comes a line of progress, and a comparison of all stores


@dataclass(frozen=True)
class Answer:
	"""One row of the file: the learning day, the question and how it was answered."""

	day: date
	question_id: str
	quality: int
	response_time_ms: int

	def as_response(self) -> dict[str, Any]:
		return {
			"question_id": self.question_id,
			"quality": self.quality,
			"response_time_ms": self.response_time_ms,
		}


@dataclass
class Submission:
	answers: dict[str, Answer] = field(default_factory=dict)  # by question: each is there once

	@property
	def is_full(self) -> bool:
		return len(self.answers) == ANSWERS_A_SUBMISSION


def file() -> Path:
	"""Returns the file that MEMORA_REVIEW_LOGS names, or the default. The file may not exist."""
	return (PROJECT / os.environ.get("MEMORA_REVIEW_LOGS", DEFAULT_FILE)).resolve()


def read_answers(path: Path) -> list[Answer]:
	"""Returns all answers of the file, the oldest first."""
	with path.open(newline="") as text:
		rows = sorted(csv.DictReader(text), key=lambda row: row["review_time"])
	return [
		Answer(
			day=(datetime.fromisoformat(row["review_time"]) - DAY_START).date(),
			question_id=f"replay-{row['card_id']}",
			quality=QUALITIES[row["review_rating"]],
			response_time_ms=int(row["review_duration"]),
		)
		for row in rows
	]


def submissions(answers: list[Answer]) -> list[list[dict[str, Any]]]:
	"""Packs one day's answers into few submissions, as the arguments of a request.

	No submission has a question twice. The answers to one question stay in order.
	"""
	made: list[Submission] = []
	last: dict[str, int] = {}  # question -> index of the submission with its last answer
	for answer in answers:
		first = last.get(answer.question_id, -1) + 1
		open_ones = (n for n in range(first, len(made)) if not made[n].is_full)
		index = next(open_ones, len(made))
		if index == len(made):
			made.append(Submission())
		made[index].answers[answer.question_id] = answer
		last[answer.question_id] = index
	return [[a.as_response() for a in submission.answers.values()] for submission in made]


def ensure_questions(answers: list[Answer]) -> int:
	"""Makes the questions that are missing, and commits. Returns how many were missing.

	They have no topic: so no lesson teaches them, and they may be answered in any order.
	"""
	_insert_missing("Game Subject", SUBJECT, subject_name=SUBJECT)
	# an earlier version kept them out of lessons by disabling them
	frappe.db.set_value("Game Question", {"topic": OLD_TOPIC}, {"topic": "", "enabled": 1})
	known = set(frappe.get_all("Game Question", filters={"subject": SUBJECT}, pluck="name"))
	names = [name for name in dict.fromkeys(a.question_id for a in answers) if name not in known]
	now = frappe.utils.now()
	constant = {"owner": "Administrator", "modified_by": "Administrator", "creation": now, "modified": now}
	constant |= {"topic": "", "subject": SUBJECT, "enabled": 1, "answer": "The file has no texts."}
	rows = [(name, f"Card {name}", *constant.values()) for name in names]
	frappe.db.bulk_insert("Game Question", ["name", "question", *constant], rows)
	frappe.db.commit()
	return len(names)


def _insert_missing(doctype: str, name: str, **values: Any) -> None:
	if not frappe.db.exists(doctype, name):
		frappe.get_doc({"doctype": doctype, **values}).insert()


def run(learner: Learner, answers: list[Answer], nights: Callable[[int, int], None]) -> float:
	"""Sends all answers, and returns the seconds that the requests took. Each day begins with a read of what is due.

	Before the second and every later day with answers, `nights(number of that day, nights since the last day)` is called.
	"""
	seconds = 0.0
	days = [(day, list(of_day)) for day, of_day in groupby(answers, key=lambda answer: answer.day)]
	for number, (wait, of_day) in enumerate(_with_waits(days), start=1):
		if wait:
			nights(number, wait)
		begin = time.perf_counter()
		learner.client.get(GET_REVIEW)
		for responses in submissions(of_day):
			learner.submit(SUBMIT_REVIEW, responses)
		seconds += time.perf_counter() - begin
		if number % DAYS_A_LINE == 0:
			say(f"           day {number} of {len(days)}: {learner.acknowledged.total():,} answers so far")
	return seconds


def _with_waits(days: list[tuple[date, list[Answer]]]) -> Iterator[tuple[int, list[Answer]]]:
	"""Yields the answers of each day, with the number of days since the last day that had answers (0 for the first)."""
	before = None
	for day, answers in days:
		yield (day - before).days if before else 0, answers
		before = day
