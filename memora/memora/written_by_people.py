from collections.abc import Iterator

import frappe
from frappe.model.document import Document

from memora.memora import imported_changes
from memora.services.learning.plain_names import with_formula, without_tags

PLAIN_TEXTS = ("Data", "Small Text", "Text", "Long Text")
HTML_TEXTS = ("Text Editor",)


class WrittenByPeople(Document):
	"""Documents that authors fill in.

	Frappe's lists, forms and prints show texts as HTML, and its filter lets harmless elements pass, and all that is JSON. So
	texts that are no HTML hold no tag. Of a file that was exported, an import takes what kept formulas from running.
	"""

	def before_validate(self) -> None:
		if frappe.flags.in_import:
			imported_changes.check(self)
		for part, fieldname, fieldtype in self._texts():
			text = part.get(fieldname)
			if frappe.flags.in_import:
				text = with_formula(text)
			part.set(fieldname, without_tags(text) if fieldtype in PLAIN_TEXTS else text)

	def _texts(self) -> Iterator[tuple[Document, str, str]]:
		"""Yields (document or row, field, type) of each text."""
		for part in (self, *self.get_all_children()):
			for field in part.meta.fields:
				if field.fieldtype in (*PLAIN_TEXTS, *HTML_TEXTS) and isinstance(
					part.get(field.fieldname), str
				):
					yield part, field.fieldname, field.fieldtype
