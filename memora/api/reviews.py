"""Reviews: a learner asks for the questions that are due, and sends her answers."""

from typing import Annotated, Any

import frappe
from frappe import _

from memora.api.outages import needs_database
from memora.api.parsing import (
	Filter,
	Flag,
	Limit,
	Name,
	Responses,
	SubmissionId,
	parse_filter,
	parse_flag,
	parse_limit,
	parse_name,
	parse_responses,
	parse_submission_id,
	whole_number,
)
from memora.api.utils import is_manager, learner_or_manager, refusals_in_html, sit_down
from memora.exceptions import UnknownSubmission, quoting
from memora.services.folding import queueing
from memora.services.folding.queueing import PersistenceStatus
from memora.services.learning import learners, reviews, submissions
from memora.services.learning.reviews import SAFE_MODE_LIMIT, ReviewSession
from memora.services.learning.submissions import SubmissionResult
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import seasons


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_review_session(
	subject: Filter = None, limit: Limit = 20, preview: Flag = False, reveal: Flag = True
) -> ReviewSession:
	"""Returns the questions due for the signed-in learner in the active season, the oldest due date first.

	`subject` narrows to one subject. `preview` shows what an answer now would lead to. `reveal=0` leaves out what says which
	answer is right. Without an active season, `message` says so. If no question is due, `next_due` says when the next one
	falls due. While Redis can't be reached, `is_degraded` is true: then a learner gets at most 10 questions, and only once in
	30 seconds.

	Errors: InvalidLimit, InvalidFilter 400, NotALearner 403, RateLimitExceeded 429.
	"""
	with refusals_in_html():
		sitting = sit_down()
		return reviews.read_reviews(
			sitting.learner,
			parse_filter("subject", subject),
			parse_limit(limit),
			parse_flag("preview", preview),
			parse_flag("reveal", reveal),
			season=sitting.season,
			outdated=sitting.outdated,
		)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_reviews_safe_mode(
	user: Name = None,
	season: Name = None,
	limit: Annotated[Any, whole_number(SAFE_MODE_LIMIT)] = SAFE_MODE_LIMIT,
	subject: Filter = None,
) -> list[str]:
	"""Returns the ids of the questions due for a learner, the oldest due date first, read without Redis.

	`user` is her e-mail or id. The limits of Safe Mode apply, even if Redis can be reached. For the learner herself and for
	managers.

	Errors: InvalidLimit, InvalidFilter 400, PermissionError, NotALearner 403, UnknownSeason, UnknownLearner 404,
	RateLimitExceeded 429.
	"""
	caller, user = learner_or_manager(), parse_name("user", user)
	learner = _whose(user, caller)
	limit = parse_limit(limit, SAFE_MODE_LIMIT)
	season = seasons.get_season(parse_name("season", season)).name
	with refusals_in_html():
		return reviews.find_in_safe_mode(learner, season, parse_filter("subject", subject), limit)


def _whose(user: str, caller: str | None) -> str:
	"""Returns the id of the learner whose reviews the caller may see. Raises PermissionError, UnknownLearner."""
	if is_manager():
		return learners.identify(user)
	if not caller or learners.look_up(user) != caller:
		frappe.throw(_("These reviews are another learner's."), frappe.PermissionError)
	return caller


@frappe.whitelist(methods=["POST"])
@needs_database()
def submit_review_session(
	responses: Responses = None, submission_id: SubmissionId = None, season: Filter = None
) -> SubmissionResult:
	"""Stores 1 to 50 answers, each to another question. After a reply of 200 the answers are stored for good.

	`chosen` is graded by the server. One answer to a question on a learning day moves its date; a further one is practice,
	which is journalled and moves nothing. `answers` says what became of each answer, and what was right. `rejected` names
	answers to questions that do not exist or were withdrawn, options that do not exist, first answers beyond `new_per_day`
	(Memora Settings) or to what no lesson shows yet, and practice of questions that were not learnt before; the other answers
	are processed. A repeated `submission_id` changes nothing: the reply is the first result, with the status
	`already_processed`, whatever season is active by then. With `season` the answers count in the season in which they were
	given, for `grace_days` (Memora Settings) after it was closed. After an error nothing is stored.

	Errors: InvalidResponses, InvalidSubmissionId, InvalidFilter 400, NotALearner 403, UnknownSeason 404, NoActiveSeason,
	SeasonOver, SeasonStateError, SubmissionConflict 409, RateLimitExceeded 429, JournalUnavailable 503.
	"""
	(learner, active, _outdated), answers = sit_down(), parse_responses(responses)
	ids = parse_submission_id(submission_id), parse_filter("season", season)
	return submissions.submit(learner, answers, *ids, season=active)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_persistence_status(job_id: Name = None) -> PersistenceStatus:
	"""Says whether a submission, named by its `persistence_job_id`, has reached the tracker.

	For the learner herself and for managers.

	Errors: InvalidFilter 400, PermissionError, NotALearner 403, UnknownSubmission 404, RateLimitExceeded 429.
	"""
	learner, job_id = learner_or_manager(), parse_name("job_id", job_id)
	if not is_manager() and not queueing.is_of_learner(job_id, learner or ""):
		frappe.throw(_("This submission is another learner's."), frappe.PermissionError)
	status = SRSPersistenceService().get_persistence_status(job_id)
	if not status:
		frappe.throw(quoting(_("There is no submission {0}."), job_id), UnknownSubmission)
	return status
