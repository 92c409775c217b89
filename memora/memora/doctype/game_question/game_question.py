import frappe
from frappe import _
from frappe.utils import strip_html

from memora.exceptions import InvalidQuestion, quoting
from memora.memora.written_by_people import WrittenByPeople
from memora.services.learning import content_changes
from memora.services.learning.plain_names import is_question_id
from memora.services.learning.question_html import clean
from memora.services.store import question_status

MAX_OPTIONS = 8
MAX_TITLE = 140  # characters


class GameQuestion(WrittenByPeople):
	def validate(self) -> None:
		self._sanitise()
		if self.options and (
			self.enabled or self.is_new()
		):  # whatever is wrong with a question, it can be withdrawn
			self._check_options()
		if self.is_new():
			self._check_id()
		if self.is_new() and frappe.flags.in_import:
			self._refuse_repetition()

	def after_insert(self) -> None:
		if question_status.is_withdrawn(self.name):  # a question of this id was deleted
			content_changes.note_changes([self.name])

	def on_update(self) -> None:
		if self.get_doc_before_save() and any(map(self.has_value_changed, ("enabled", "topic"))):
			content_changes.note_changes([self.name])

	def on_trash(self) -> None:
		content_changes.note_changes([self.name])

	def get_title(self) -> str:
		"""Returns how the question begins, as text: Frappe writes titles to fields of 140 characters, with each tag for one."""
		return strip_html(self.question or "").strip()[:MAX_TITLE]

	def _sanitise(self) -> None:
		"""Removes everything that could run: learners' pages show these fields as HTML, whoever wrote them."""
		for field in ("question", "answer", "explanation"):
			self.set(field, clean(self.get(field)))
		for option in self.options:
			option.option_text = clean(option.option_text)

	def _check_id(self) -> None:
		"""Refuses an ID that learners' clients could not send. Questions that exist keep theirs."""
		if not is_question_id(self.name):
			frappe.throw(
				quoting(_("An ID has letters, digits, and . _ : - behind the first, not {0}."), self.name),
				InvalidQuestion,
			)

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
				quoting(_("Exactly one option must be right, not {0}."), f"{len(right)}{named}"),
				InvalidQuestion,
			)

	def _refuse_repetition(self) -> None:
		"""Refuses a question that a file brings a second time. In the desk two equal questions may be meant.

		An ID that is taken does not stop the import: Frappe then makes up another ID.
		"""
		same = {"topic": self.topic, "question": self.question}
		known = frappe.db.exists("Game Question", self.name) or frappe.db.get_value("Game Question", same)
		if known:
			frappe.throw(
				quoting(
					_(
						"Question {0} exists already. To change it, give its ID in the file and import with 'Update Existing Records'."
					),
					known,
				),
				InvalidQuestion,
			)
