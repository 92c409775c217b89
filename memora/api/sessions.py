"""Lessons: questions the learner has not seen yet."""

from typing import Any

import frappe

from memora.api.parsing import parse_filter, parse_flag, parse_limit
from memora.api.reviews import submit_review_session
from memora.api.utils import current_player
from memora.services import lesson_session


@frappe.whitelist(methods=["GET", "POST"])
def get_lesson_session(
	topic: str | None = None,
	subject: str | None = None,
	limit: int | str = 10,
	preview: bool | int | str = False,
) -> dict[str, Any]:
	"""Questions that the signed-in learner has never seen in the active season, in order of teaching.

	`limit` is 1 to 50, and no more than are left of `new_per_day` (Memora Settings) on this learning day.
	Answers {questions: [{question_id, …content}], new_left_today, season, message?}; with `preview` each question has
	preview as in get_review_session. Errors: InvalidLimit, InvalidFilter 400.
	"""
	filters = parse_filter("topic", topic), parse_filter("subject", subject)
	return lesson_session.read(current_player(), *filters, parse_limit(limit), parse_flag("preview", preview))


@frappe.whitelist(methods=["POST"])
def submit_lesson_session(
	responses: list | dict | str | int | float | bool | None = None, submission_id: Any = None
) -> dict[str, Any]:
	"""Records the first sight of questions, which enrols them for review.

	The same call as submit_review_session, with the same answer and errors: what a question had been before
	decides whether its answer is journalled as Learn or Review.
	"""
	return submit_review_session(responses, submission_id)
