"""The source of the content of questions.

A host app that has questions of its own sets the hook `memora_question_source`: the dotted path of an object
that has the two functions of QuestionSource. Without the hook, Memora's own question bank serves.
"""

from typing import Any, Protocol

import frappe

from memora.services.learning.question_html import clean_content
from memora.services.store.question_bank import QuestionBank


class QuestionSource(Protocol):
	"""The interface of a host app's source of questions.

	Content is any JSON-able dictionary. Its keys `subject` and `topic` (texts or None) are stored with the
	record. The learner's page shows its keys `question`, `answer`, `explanation` and `options`, which mean
	what they mean in QuestionBank: HTML, which is cleaned when it is read.

	A source may also have `get_subjects() -> list[str]`: the subjects that a learner may choose between.
	Without this function the page offers her no choice.
	"""

	def get_questions(self, question_ids: list[str]) -> dict[str, dict[str, Any]]:
		"""Returns {question_id: content}. Leaves out ids that the source does not know."""

	def find_questions(self, subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		"""Returns a page of the ids that may be taught as new, in the order of teaching.

		`limit` exceeds the number of questions that a learner knows.
		"""


def get_source() -> QuestionSource:
	"""Returns the question source of this site: that of the last app whose hook names one."""
	paths = frappe.get_hooks("memora_question_source")
	return frappe.get_attr(paths[-1]) if paths else QuestionBank


def get_content(question_ids: list[str]) -> dict[str, dict[str, Any]]:
	"""Returns {question_id: content} as learners may see it: its HTML is clean, whatever the source delivers."""
	found = get_source().get_questions(question_ids)
	return {name: clean_content(content) for name, content in found.items()}


def get_subjects() -> list[str]:
	"""Returns the subjects of this site's source, in the order to show them; [] if the source has no list."""
	names = getattr(get_source(), "get_subjects", list)
	return names()
