from datetime import datetime

from frappe.model.document import Document

from memora.services.learning import learners


class WithoutOwner(Document):
	"""Rows that are stored without owner and time of change, which saves room in the big tables."""

	owner: str | None
	modified_by: str | None
	modified: datetime | str | None

	def onload(self) -> None:
		"""Tells the form who wrote the row, the learner or the system, and when.

		Without that a form names the user who looks at it.
		"""
		writer = learners.user_of(self.get("player") or "") or "Administrator"
		self.owner = self.owner or writer
		self.modified_by = self.modified_by or writer
		self.modified = self.modified or self.get("last_review_date") or self.creation
