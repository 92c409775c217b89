import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import strip_html

from memora.exceptions import InvalidQuestion
from memora.services.learning.question_html import clean

MAX_OPTIONS = 8


class GameQuestion(Document):
	def validate(self) -> None:
		self._sanitise()
		if self.options:
			self._check_options()
		if self.is_new() and frappe.flags.in_import:
			self._refuse_repetition()

	def _sanitise(self) -> None:
		"""Learners' pages show these as HTML; whatever could run there goes, whoever wrote it."""
		for field in ("question", "answer", "explanation"):
			self.set(field, clean(self.get(field)))
		for option in self.options:
			option.option_text = clean(option.option_text)

	def _check_options(self) -> None:
		if not 2 <= len(self.options) <= MAX_OPTIONS:
			frappe.throw(
				_("A choice question has 2 to {0} options, not {1}.").format(MAX_OPTIONS, len(self.options)),
				InvalidQuestion,
			)
		right = [strip_html(option.option_text or "") for option in self.options if option.is_correct]
		if len(right) != 1:
			named = f" ({', '.join(right)})" if right else ""
			frappe.throw(
				_("Exactly one option must be right, not {0}.").format(f"{len(right)}{named}"),
				InvalidQuestion,
			)

	def _refuse_repetition(self) -> None:
		"""Of a file that is imported twice; in the desk two equal questions may be meant.

		An ID that is taken would not stop it: Frappe then makes up another.
		"""
		same = {"topic": self.topic, "question": self.question}
		known = frappe.db.exists("Game Question", self.name) or frappe.db.get_value("Game Question", same)
		if known:
			frappe.throw(
				_(
					"Question {0} exists already. To change it, give its ID in the file and import with 'Update Existing Records'."
				).format(known),
				InvalidQuestion,
			)
