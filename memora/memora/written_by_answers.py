import frappe
from frappe import _

from memora.memora.without_owner import WithoutOwner


class WrittenByAnswers(WithoutOwner):
	"""Rows that only learners' answers write.

	No user may create, change, rename or delete such a row, not even the Administrator, and not by a job that a request has
	started, such as a Data Import: journal, tracker and schedules would no longer agree. Code that is to do so all the same
	says that it ignores permissions.
	"""

	def before_insert(self) -> None:
		self._refuse_users()

	def validate(self) -> None:
		self._refuse_users()

	def before_rename(self, old: str, new: str, merge: bool = False) -> None:
		self._refuse_users()

	def on_trash(self) -> None:
		self._refuse_users()

	def _refuse_users(self) -> None:
		if getattr(frappe.local, "request", None) or not self.flags.ignore_permissions:
			frappe.throw(
				_("{0} is written by learners' answers only. It can't be changed here.").format(
					_(self.doctype)
				),
				frappe.PermissionError,
			)
