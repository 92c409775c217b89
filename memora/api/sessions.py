"""Lessons: questions that the learner has not seen yet."""

import frappe

from memora.api.outages import needs_database
from memora.api.parsing import (
	Filter,
	Flag,
	Limit,
	Responses,
	SubmissionId,
	parse_filter,
	parse_flag,
	parse_limit,
)
from memora.api.reviews import submit_review_session
from memora.api.utils import sit_down
from memora.services.learning import lessons
from memora.services.learning.lessons import LessonSession
from memora.services.learning.submissions import SubmissionResult


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_lesson_session(
	topic: Filter = None,
	subject: Filter = None,
	limit: Limit = 10,
	preview: Flag = False,
	reveal: Flag = True,
) -> LessonSession:
	"""Returns questions that the signed-in learner has never seen in the active season, in the order of teaching.

	Returns no more questions than are left of `new_per_day` (Memora Settings) on this learning day. `preview` shows what a
	first answer would lead to. `reveal=0` leaves out what says which answer is right.

	Errors: InvalidLimit, InvalidFilter 400, NotALearner 403, RateLimitExceeded 429.
	"""
	filters = parse_filter("topic", topic), parse_filter("subject", subject)
	flags = parse_flag("preview", preview), parse_flag("reveal", reveal)
	sitting = sit_down()
	return lessons.read_lesson(sitting.learner, *filters, parse_limit(limit), *flags, season=sitting.season)


@frappe.whitelist(methods=["POST"])
@needs_database()
def submit_lesson_session(
	responses: Responses = None, submission_id: SubmissionId = None, season: Filter = None
) -> SubmissionResult:
	"""Stores a learner's first answers to questions. From then on the questions come up for review.

	Does what submit_review_session does, with equal replies and errors. The learner's first answer to a question is
	journalled as Learn, each later answer as Review.

	Errors: InvalidResponses, InvalidSubmissionId, InvalidFilter 400, NotALearner 403, UnknownSeason 404, NoActiveSeason,
	SeasonOver, SeasonStateError, SubmissionConflict 409, RateLimitExceeded 429, JournalUnavailable 503.
	"""
	return submit_review_session(responses, submission_id, season)
