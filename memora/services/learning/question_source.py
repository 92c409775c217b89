"""Where the content of questions comes from.

A host app with questions of its own names, under the hook `memora_question_source`, a dotted path to an
object with the two functions of QuestionSource. Without one, Memora's own question bank serves.
"""

from typing import Any, Protocol

import frappe

from memora.services.store.question_bank import QuestionBank


class QuestionSource(Protocol):
	"""What a host app's source of questions provides. Content is any JSON-able dictionary; its keys
	`subject` and `topic` (texts or None) are stored with the schedule. The learner's page shows `question`,
	`answer`, `explanation` and `options` as those of QuestionBank.

	A source may also have `get_subjects() -> list[str]`, what a learner may choose between; without it the
	page lets her choose none.
	"""

	def get_questions(self, question_ids: list[str]) -> dict[str, dict[str, Any]]:
		"""Content by question id; ids it does not know are left out."""

	def find_questions(self, subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		"""A page of the ids that may be taught as new, in the order of teaching."""


def get_source() -> QuestionSource:
	"""The source of this site: the last app to name one wins."""
	paths = frappe.get_hooks("memora_question_source")
	return frappe.get_attr(paths[-1]) if paths else QuestionBank


def get_subjects() -> list[str]:
	"""The subjects of this site's source, in the order they are shown; none where it does not tell."""
	names = getattr(get_source(), "get_subjects", list)
	return names()
