"""Reviews: what is due for me, here are my answers."""

from typing import Any

import frappe
from frappe import _

from memora.api.parsing import parse_filter, parse_flag, parse_limit, parse_responses, parse_submission_id
from memora.api.utils import current_player, is_manager, refusals_in_html
from memora.exceptions import UnknownLearner, UnknownSubmission
from memora.services import memory_store, review_session, seasons
from memora.services.srs_persistence import SRSPersistenceService


@frappe.whitelist(methods=["GET", "POST"])
def get_review_session(
	subject: str | None = None, limit: int | str = 20, preview: bool | int | str = False
) -> dict[str, Any]:
	"""The questions due for the signed-in learner in the active season, oldest due first.

	`subject` narrows to one subject, `limit` is 1 to 50. Answers {questions: [{question_id, subject, topic,
	stability (days), next_review_date (site time), …content}], total_due, season, is_degraded, message?, next_due?}.
	`message` says why there is no active season; `next_due` (site time or null) when the next question falls due
	where none is. With `preview` each question has preview, what an answer now would lead to: {Again, Hard, Good,
	Easy: {quality to send, interval_days (learning days), next_review_date (site time)}}. While Redis is not there `is_degraded` is true and at most
	10 are shown, to each learner once in 30 seconds. Errors: InvalidLimit, InvalidFilter 400, RateLimitExceeded
	429 with Retry-After.
	"""
	with refusals_in_html():
		return review_session.read(
			current_player(),
			parse_filter("subject", subject),
			parse_limit(limit),
			parse_flag("preview", preview),
		)


@frappe.whitelist(methods=["GET", "POST"])
def get_reviews_safe_mode(
	user: str, season: str, subject: str | None = None, limit: int | str = review_session.SAFE_MODE_LIMIT
) -> dict[str, Any]:
	"""What get_review_session answers while Redis is not there, whether it is or not; `limit` is 1 to 10.

	For the learner herself and for managers, within the limits of Safe Mode. Errors: as get_review_session,
	UnknownSeason and UnknownLearner 404, PermissionError 403.
	"""
	if user != current_player():
		_require_manager_of(user)
	limit = parse_limit(limit, review_session.SAFE_MODE_LIMIT)
	with refusals_in_html():
		return review_session.read_in_safe_mode(
			user, seasons.get(season).name, parse_filter("subject", subject), limit
		)


def _require_manager_of(user: str) -> None:
	if not is_manager():
		frappe.throw(_("These reviews are another learner's."), frappe.PermissionError)
	if not frappe.db.exists("User", user):
		frappe.throw(_("There is no user {0}.").format(frappe.utils.escape_html(user)), UnknownLearner)


@frappe.whitelist(methods=["POST"])
def submit_review_session(
	responses: list | dict | str | int | float | bool | None = None, submission_id: Any = None
) -> dict[str, Any]:
	"""Stores 1 to 50 answers {question_id, quality 0-5 or is_correct, response_time_ms?, practice?}.

	Practice (true or false) repeats a question beside the schedule: it is journalled and moves nothing; one that was
	not learnt before is rejected.

	Answers {status, processed, rejected: [{question_id, reason}], submission_id, persistence_job_id,
	is_degraded, season, schedule: {question_id: next_review_date}}. What is answered with 200 is stored for
	good. A repeated `submission_id` (1 to 64 characters) answers the first result with the status
	`already_processed` and changes nothing. Errors: InvalidResponses and InvalidSubmissionId 400,
	NoActiveSeason, SeasonStateError and SubmissionConflict 409, JournalUnavailable 503 (nothing is stored).
	"""
	answers, submission = parse_responses(responses), parse_submission_id(submission_id)
	return review_session.submit(current_player(), answers, submission)


@frappe.whitelist(methods=["GET", "POST"])
def get_persistence_status(job_id: str) -> dict[str, Any]:
	"""Whether a submission, named by its `persistence_job_id`, has reached the tracker.

	Answers {job_id, status}; see SRSPersistenceService. For the learner herself and for managers. Errors:
	UnknownSubmission 404, PermissionError 403.
	"""
	player = current_player()
	if not memory_store.is_of_player(job_id.rpartition("::")[2], player) and not is_manager():
		frappe.throw(_("This submission is another learner's."), frappe.PermissionError)
	status = SRSPersistenceService().get_persistence_status(job_id)
	if not status:
		frappe.throw(
			_("There is no submission {0}.").format(frappe.utils.escape_html(job_id)), UnknownSubmission
		)
	return status
