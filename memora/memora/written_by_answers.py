import frappe
from frappe import _

from memora.memora.without_owner import WithoutOwner


class WrittenByAnswers(WithoutOwner):
	"""Rows that only learners' answers write.

	No request may create, change or delete such a row, not even a manager's request: journal, tracker and schedules would
	no longer agree.
	"""

	def before_insert(self) -> None:
		self._refuse_in_request()

	def validate(self) -> None:
		self._refuse_in_request()

	def on_trash(self) -> None:
		self._refuse_in_request()

	def _refuse_in_request(self) -> None:
		if getattr(frappe.local, "request", None):
			frappe.throw(
				_("{0} is written by learners' answers only. It can't be changed here.").format(
					_(self.doctype)
				),
				frappe.PermissionError,
			)
