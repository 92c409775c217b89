"""The scheduling gate: predictions for a real learner's answers (see REVIEW_LOGS) must not get worse."""

import csv
import math
import os
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from memora.services.learning.scheduling import LearningCalendar, Memory, review

PROJECT = Path(__file__).resolve().parents[2]
REVIEW_LOGS = PROJECT / os.environ.get("MEMORA_REVIEW_LOGS", "../shared/data/review_logs.csv")

LARGEST_LOG_LOSS = 0.442
DAY_START_HOUR = 9  # UTC, when this learner's day begins
QUALITY_OF_RATING = {1: 1, 2: 3, 3: 4, 4: 5}


class Answer(NamedTuple):
	at: datetime
	card: str
	rating: int


class Prediction(NamedTuple):
	at: datetime
	recall: float
	was_recalled: bool


def read_answers() -> list[Answer]:
	with REVIEW_LOGS.open(newline="") as file:
		rows = csv.DictReader(file)
		return sorted(
			Answer(datetime.fromisoformat(r["review_time"]), r["card_id"], int(r["review_rating"]))
			for r in rows
		)


def predict(answers: list[Answer]) -> list[Prediction]:
	"""A prediction for each answer that comes on a later learning day than the card's one before."""
	calendar = LearningCalendar(ZoneInfo("UTC"), DAY_START_HOUR)
	memories: dict[str, Memory] = {}
	predictions = []
	for at, card, rating in answers:
		before = memories.get(card)
		outcome = review(
			before, QUALITY_OF_RATING[rating], at, seed=card, calendar=calendar, season_end=date.max
		)
		memories[card] = outcome.memory
		if before and calendar.day_of(before.last_review) < calendar.day_of(at):
			predictions.append(Prediction(at, outcome.predicted_recall, rating > 1))
	return predictions


def mean_log_loss(predictions: list[Prediction]) -> float:
	losses = [-math.log(p.recall if p.was_recalled else 1 - p.recall) for p in predictions]
	return sum(losses) / len(losses)


@pytest.mark.skipif(not REVIEW_LOGS.is_file(), reason=f"the learner's answers are not at {REVIEW_LOGS}")
def test_log_loss_on_real_answers():
	answers = read_answers()
	middle = answers[len(answers) // 2].at
	later = [p for p in predict(answers) if p.at >= middle]
	loss = mean_log_loss(later)
	print(f"log loss of {len(later)} day-crossing answers in the later half: {loss:.4f}")
	assert len(answers) == 12580
	assert loss <= LARGEST_LOG_LOSS
