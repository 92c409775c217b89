"""Answers as tests send them, in-process and as a learner's client writes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import frappe

from memora.services import site_time
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from tests.integration.factories import bank_questions


def answers(how_many: int = 1, quality: int = 4, questions: Sequence[str] | None = None) -> list[Response]:
	"""To the first questions of the bank, or to those given."""
	return [Response(question_id, quality) for question_id in (questions or bank_questions()[:how_many])]


def as_sent(responses: Sequence[Response]) -> list[dict[str, Any]]:
	return [{"question_id": r.question_id, "quality": r.quality} for r in responses]


def submit(player: str, responses: Sequence[Response], submission_id: str | None = None) -> dict[str, Any]:
	return submissions.submit(player, list(responses), submission_id)


def read(player: str, subject: str | None = None, limit: int = 20) -> dict[str, Any]:
	frappe.db.rollback()
	return reviews.read_reviews(player, subject, limit)


def ids(session: dict[str, Any]) -> list[str]:
	return [question["question_id"] for question in session["questions"]]


@contextmanager
def days_ago(days: int) -> Iterator[None]:
	"""Has this process answer on an earlier day. One answer to a question counts on each."""
	now = site_time.now
	with patch.object(site_time, "now", lambda: now() - timedelta(days=days)):
		yield


@contextmanager
def at(moment: datetime) -> Iterator[None]:
	"""Has this process answer at a moment, in naive site time."""
	with patch.object(site_time, "now", lambda: moment.replace(tzinfo=site_time.site_zone())):
		yield
