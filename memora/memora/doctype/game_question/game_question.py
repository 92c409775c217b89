from copy import deepcopy

import frappe
import nh3
from frappe import _
from frappe.model.document import Document

from memora.exceptions import InvalidQuestion

MAX_OPTIONS = 8

# What nh3 allows of itself, and what the desk's editor and right-to-left texts need.
ATTRIBUTES = deepcopy(nh3.ALLOWED_ATTRIBUTES) | {"*": {"class", "dir", "lang"}}


class GameQuestion(Document):
	def validate(self) -> None:
		self._sanitise()
		if self.options:
			self._check_options()

	def _sanitise(self) -> None:
		"""Learners' pages show these as HTML; whatever could run there goes, whoever wrote it."""
		for field in ("question", "answer", "explanation"):
			self.set(field, _clean(self.get(field)))
		for option in self.options:
			option.option_text = _clean(option.option_text)

	def _check_options(self) -> None:
		if not 2 <= len(self.options) <= MAX_OPTIONS:
			frappe.throw(
				_("A choice question has 2 to {0} options, not {1}.").format(MAX_OPTIONS, len(self.options)),
				InvalidQuestion,
			)
		right = sum(bool(option.is_correct) for option in self.options)
		if right != 1:
			frappe.throw(_("Exactly one option must be right, not {0}.").format(right), InvalidQuestion)


def _clean(html: str | None) -> str | None:
	return html and nh3.clean(html, attributes=ATTRIBUTES)
