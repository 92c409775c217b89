"""The errors that Memora raises by name, each with the HTTP status of its reply."""

from typing import NoReturn

import frappe
import markupsafe
from frappe.utils import escape_html


def quoting(text: str, *values: object) -> str:
	"""Returns a text with its places {0}, {1} … filled, for frappe.throw and frappe.msgprint, which show HTML.

	What it quotes is shown as text, whoever typed it. Only the text itself may hold markup, and values of markupsafe's
	Markup, which are escaped already.
	"""
	return text.format(*(v if isinstance(v, markupsafe.Markup) else escape_html(str(v)) for v in values))


class MemoraError(frappe.ValidationError):
	"""Base of Memora's errors. On its own it means malformed input. A client that is told its name needs no stack trace."""

	http_status_code = 400

	def __init__(self, *args: object) -> None:
		super().__init__(*args)
		if getattr(frappe.local, "flags", None) is not None:
			frappe.local.flags.disable_traceback = True


class TryLater(MemoraError):
	"""Base of the errors whose reply says when to try again, in the header Retry-After."""


class InvalidBody(MemoraError):
	"""A body that is sent as JSON is no JSON object, or Frappe can't read its numbers or texts."""


class BodyTooLarge(MemoraError):
	"""A body has more than 64 kB, or does not say how many bytes it has."""

	http_status_code = 413


class InvalidLimit(MemoraError):
	"""A limit or size is not a whole number in its range."""


class InvalidFilter(MemoraError):
	"""A name is missing or is not a text of at most 140 characters, or a flag is neither true nor false.

	The name is that of a subject, topic, season, user or job.
	"""


class UnknownArgument(MemoraError):
	"""The endpoint has no argument of this name. The message says which was meant, or which there are."""


class InvalidResponses(MemoraError):
	"""The answers can't be read. The message names the item and the field."""


class InvalidSubmissionId(MemoraError):
	"""A submission id is not a text of 1 to 64 letters, digits, and `. _ : -`."""


class InvalidQuestion(MemoraError):
	"""The options of a question contradict each other, or an ID or a name has characters that it can't have."""


class ImportWouldOverwrite(MemoraError):
	"""A file of Data Import would remove options, or change what somebody else made or changed last, without a word."""

	http_status_code = 409


class InvalidAnkiPackage(MemoraError):
	"""A file is not a deck that Anki has exported.

	The message says what is wrong, or what to tick in Anki.
	"""


class InvalidAnkiImport(MemoraError):
	"""The file, subject or topics of an import are missing or do not go together."""


class InvalidSeason(MemoraError):
	"""The name or the dates of a season make no sense."""


class InvalidSettings(MemoraError):
	"""A setting is outside its range."""


class NotALearner(MemoraError, frappe.PermissionError):
	"""The user lacks the role that learners have on this site, or is the account of a monitoring system."""

	http_status_code = 403


class UnknownSeason(MemoraError):
	"""There is no season of this name."""

	http_status_code = 404


class UnknownLearner(MemoraError):
	"""No user has this name, and no learner this id."""

	http_status_code = 404


class UnknownSubmission(MemoraError):
	"""No submission has this job id."""

	http_status_code = 404


class UnknownJob(MemoraError):
	"""No such job was started here, or the job is forgotten.

	A finished job is forgotten after ten minutes.
	"""

	http_status_code = 404


class UnknownMemory(MemoraError):
	"""Neither the tracker nor the archive has a row of this name."""

	http_status_code = 404


class NoActiveSeason(MemoraError):
	"""No season takes answers at the moment."""

	http_status_code = 409


class SeasonStateError(MemoraError):
	"""The season is not in the state that this call needs."""

	http_status_code = 409


class SeasonOver(SeasonStateError):
	"""The answers were given in a season that is closed, and they come too late to count there."""


class SeasonNotOver(SeasonStateError):
	"""The season's last day is not over, and nobody has confirmed that it is archived all the same."""


class LearnerIsErased(MemoraError):
	"""The learner's data is being erased, so nothing of hers is read or stored."""

	http_status_code = 409


class InvalidErasure(MemoraError):
	"""The reference of an erasure names the learner who is erased."""


class ErasureStopped(MemoraError):
	"""An erasure could not go on. Started again, it goes on where it has stopped."""

	http_status_code = 503


class LearnerHasAnswers(MemoraError):
	"""A user can't be deleted: answers of hers are stored, which would be nobody's without anybody having said so."""

	http_status_code = 409


class NotConfirmed(MemoraError):
	"""The season's name was not typed, which confirms that its records are moved or deleted."""


class SetupRefused(MemoraError):
	"""`setup-production` can't write what it should. The message says what stands in the way; nothing was written."""


class UnboundedList(MemoraError):
	"""A list in the desk would read all rows of a big table."""


class JobStateError(MemoraError):
	"""The job is not in the state that this call needs."""

	http_status_code = 409


class SubmissionConflict(MemoraError):
	"""The submission id was used before, for other answers."""

	http_status_code = 409


class PartitionError(MemoraError):
	"""A partition could not be made or dropped in time."""

	http_status_code = 503


class KeptDataInTheWay(MemoraError):
	"""What was kept of an earlier installation can't be taken back."""

	http_status_code = 409


class NewerDatabase(MemoraError):
	"""A newer version of Memora has changed the database than the one whose code runs."""

	http_status_code = 409


class JobFailed(MemoraError):
	"""A job that a manager started has reported an error."""

	http_status_code = 500


class QueueUnavailable(MemoraError):
	"""No job can be started, or none looked up: the queue's Redis can't be reached, or too many jobs wait."""

	http_status_code = 503


class DatabaseUnavailable(TryLater):
	"""MariaDB can't be reached, or could not do it now. Nothing is saved."""

	http_status_code = 503
	RETRY_AFTER_SECONDS = 5

	@classmethod
	def throw(cls, message: str) -> NoReturn:
		"""Raises the error, and sets a Retry-After header on the response."""
		frappe.flags.retry_after_seconds = cls.RETRY_AFTER_SECONDS
		frappe.throw(message, cls)


class JournalUnavailable(DatabaseUnavailable):
	"""The answers could not be written. Nothing is saved, and the client must send the answers again."""


class RateLimitExceeded(TryLater):
	"""The learner sends too much: at once, on this learning day, or more readings than Safe Mode admits."""

	http_status_code = 429

	@classmethod
	def throw(cls, wait_seconds: int, message: str | None = None) -> NoReturn:
		"""Raises RateLimitExceeded, and sets a Retry-After header on the response.

		The response has no traceback: making one would cost more than the rest of the refusal.
		"""
		frappe.flags.retry_after_seconds = wait_seconds
		frappe.flags.disable_traceback = True
		frappe.throw(message or cls.text(wait_seconds), cls)

	@staticmethod
	def text(wait_seconds: int) -> str:
		_ = frappe._
		text = _("Please wait 1 second.") if wait_seconds == 1 else _("Please wait {0} seconds.")
		return text.format(wait_seconds)
