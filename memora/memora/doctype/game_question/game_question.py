import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils.html_utils import sanitize_html

from memora.exceptions import InvalidQuestion

MAX_OPTIONS = 8


class GameQuestion(Document):
	def validate(self) -> None:
		self._sanitise()
		if self.options:
			self._check_options()

	def _sanitise(self) -> None:
		"""Learners' pages show these as HTML; whatever could run there goes, whoever wrote it."""
		for field in ("question", "answer", "explanation"):
			self.set(field, sanitize_html(self.get(field), always_sanitize=True))
		for option in self.options:
			option.option_text = sanitize_html(option.option_text, always_sanitize=True)

	def _check_options(self) -> None:
		if not 2 <= len(self.options) <= MAX_OPTIONS:
			frappe.throw(
				_("A choice question has 2 to {0} options, not {1}.").format(MAX_OPTIONS, len(self.options)),
				InvalidQuestion,
			)
		right = sum(bool(option.is_correct) for option in self.options)
		if right != 1:
			frappe.throw(_("Exactly one option must be right, not {0}.").format(right), InvalidQuestion)
