from typing import Any

import frappe
from frappe import _

from memora.exceptions import NotConfirmed, quoting
from memora.memora.written_by_answers import WrittenByAnswers
from memora.services.operations import erasing, exporting
from memora.services.operations.admin_jobs import StartedJob

ERASER_ROLE = "System Manager"


class MemoraLearner(WrittenByAnswers):
	"""Who learns. `name` is an id of 16 hex digits that never changes; see services/learning/learners."""

	@frappe.whitelist(methods=["POST"])
	def export_data(self) -> StartedJob:
		"""Starts the job that makes a private File of all that is stored of her; returns {status: queued, job_id}.

		Raises LearnerIsErased, QueueUnavailable.
		"""
		_require(self.has_permission("export"))
		return exporting.start_export(self.name)

	@frappe.whitelist(methods=["POST"])
	def count_data(self) -> dict[str, int]:
		"""Returns {DocType or table: rows that name her}."""
		self._require_eraser()
		return erasing.count_rows(self.name)

	@frappe.whitelist(methods=["POST"])
	def erase_data(self, confirm: Any = None, detach: Any = False, reference: Any = None) -> StartedJob:
		"""Starts the job that erases or detaches her; returns {status: queued, job_id}. `confirm` is her id.

		Goes on with an erasure that has stopped. Raises NotConfirmed, InvalidErasure, LearnerIsErased, QueueUnavailable.
		"""
		self._require_eraser()
		if confirm != self.name:
			frappe.throw(quoting(_("Type the learner's ID, {0}, to confirm."), self.name), NotConfirmed)
		kind = erasing.DETACH if frappe.utils.cint(detach) else erasing.ERASE
		return erasing.start_erasure(self.name, kind, "Desk", str(reference or "")[:140] or None)

	def _require_eraser(self) -> None:
		_require(self.has_permission("read") and ERASER_ROLE in frappe.get_roles())


def _require(is_allowed: bool) -> None:
	"""Raises PermissionError, whose reply shows no stack trace, unless the user may do what she asks for."""
	if not is_allowed:
		frappe.flags.disable_traceback = True
		frappe.throw(quoting(_("This is for {0} only."), _(ERASER_ROLE)), frappe.PermissionError)
