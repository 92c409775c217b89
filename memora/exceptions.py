"""Every error Memora raises by name, each with the HTTP status it answers with."""

from typing import NoReturn

import frappe


class MemoraError(frappe.ValidationError):
	"""Base of all of them; on its own it means malformed input."""

	http_status_code = 400


class TryLater(MemoraError):
	"""Base of those whose reply says when to come back, in the header Retry-After."""


class InvalidLimit(MemoraError):
	"""A limit or size that is not a whole number in its range."""


class InvalidFilter(MemoraError):
	"""A name (of a subject, topic, season, user or job) that is missing or no text of at most 140 characters; a flag
	that is neither true nor false."""


class InvalidResponses(MemoraError):
	"""Answers that can't be read; the message names the item and the field."""


class InvalidSubmissionId(MemoraError):
	"""A submission id that is not a string of 1 to 64 characters."""


class InvalidQuestion(MemoraError):
	"""A question whose options contradict each other."""


class InvalidAnkiPackage(MemoraError):
	"""A file that is not as Anki exports decks; the message says what it is instead, or what to tick in Anki."""


class InvalidAnkiImport(MemoraError):
	"""An import whose subject, topics or learner do not go together."""


class UnusableCard(MemoraError):
	"""A card of Anki that makes no question; the import reports it and goes on."""


class InvalidSeason(MemoraError):
	"""A season whose name or dates make no sense."""


class InvalidSettings(MemoraError):
	"""A setting outside its range."""


class UnknownSeason(MemoraError):
	"""There is no season of this name."""

	http_status_code = 404


class UnknownLearner(MemoraError):
	"""There is no user of this name."""

	http_status_code = 404


class UnknownSubmission(MemoraError):
	"""No submission has this job id."""

	http_status_code = 404


class UnknownJob(MemoraError):
	"""No such job was started here, or it is forgotten: a finished one after ten minutes."""

	http_status_code = 404


class UnknownMemory(MemoraError):
	"""A tracker's or archived tracker's name that no row has."""

	http_status_code = 404


class NoActiveSeason(MemoraError):
	"""No season takes answers at the moment."""

	http_status_code = 409


class SeasonStateError(MemoraError):
	"""The season is not in the state that this needs."""

	http_status_code = 409


class NotConfirmed(MemoraError):
	"""What deletes or moves a season's records was not confirmed by its name."""


class UnboundedList(MemoraError):
	"""A list of the desk that would read all rows of a big table."""


class JobStateError(MemoraError):
	"""The job is not in the state that this needs."""

	http_status_code = 409


class SubmissionConflict(MemoraError):
	"""A submission id that was used before, for other answers."""

	http_status_code = 409


class PartitionError(MemoraError):
	"""A partition could not be made or dropped in time."""

	http_status_code = 503


class JobFailed(MemoraError):
	"""A job that an administrator started ended with an error that it reports itself."""

	http_status_code = 500


class QueueUnavailable(MemoraError):
	"""The queue's Redis is not there, so that no job can be started or asked for."""

	http_status_code = 503


class JournalUnavailable(TryLater):
	"""The answers could not be written: nothing is saved, the client must send them again."""

	http_status_code = 503
	RETRY_AFTER_SECONDS = 5

	@classmethod
	def throw(cls, message: str) -> NoReturn:
		"""Raises it, with a Retry-After header on the response to come."""
		frappe.flags.retry_after_seconds = cls.RETRY_AFTER_SECONDS
		frappe.throw(message, cls)


class RateLimitExceeded(TryLater):
	"""Safe Mode admits no more readers at the moment, or not this one again so soon."""

	http_status_code = 429

	@classmethod
	def throw(cls, wait_seconds: int) -> NoReturn:
		"""Raises it, with a Retry-After header on the response to come, and without a traceback in it: that
		would be what a refusal costs most."""
		frappe.flags.retry_after_seconds = wait_seconds
		frappe.flags.disable_traceback = True
		_ = frappe._
		text = _("Please wait 1 second.") if wait_seconds == 1 else _("Please wait {0} seconds.")
		frappe.throw(text.format(wait_seconds), cls)
