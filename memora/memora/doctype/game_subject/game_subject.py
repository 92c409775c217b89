from frappe.model.document import Document

from memora.services.learning.plain_names import require_no_formula


class GameSubject(Document):
	def before_insert(self) -> None:
		require_no_formula(self.subject_name)
