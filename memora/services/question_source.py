"""Where the content of questions comes from.

A host app with questions of its own names, under the hook `memora_question_source`, a dotted path to an
object with the two functions of QuestionSource. Without one, Memora's own question bank serves.
"""

import json
from typing import Any, Protocol

import frappe


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


# One row a question, its options as JSON: of rows, not of bytes, the driver makes the cost.
QUESTIONS_SQL = """
	SELECT q.name, q.subject, q.topic, q.question, q.answer, q.explanation,
		(SELECT JSON_ARRAYAGG(JSON_ARRAY(o.option_text, o.is_correct) ORDER BY o.idx)
		FROM `tabGame Question Option` o WHERE o.parent = q.name AND o.parenttype = 'Game Question')
	FROM `tabGame Question` q WHERE q.name IN %(names)s"""

FIND_SQL = """
	SELECT q.name FROM `tabGame Question` q JOIN `tabGame Topic` t ON t.name = q.topic
	WHERE q.enabled = 1 AND (%(subject)s IS NULL OR t.subject = %(subject)s)
	AND (%(topic)s IS NULL OR t.name = %(topic)s)
	ORDER BY t.subject, t.position, t.name, q.position, q.name LIMIT %(limit)s OFFSET %(offset)s"""

SUBJECTS_SQL = "SELECT name FROM `tabGame Subject` ORDER BY name"


class QuestionBank:
	"""Game Question and its options. Content: question, answer, explanation (HTML or None) and options
	(list of {option, is_correct}, empty where the learner reveals and grades herself)."""

	@staticmethod
	def get_questions(question_ids: list[str]) -> dict[str, dict[str, Any]]:
		"""One query for all of them."""
		if not question_ids:
			return {}
		rows = frappe.db.sql(QUESTIONS_SQL, {"names": question_ids})
		return {name: _content(*values) for name, *values in rows}

	@staticmethod
	def find_questions(subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		values = {"subject": subject, "topic": topic, "offset": offset, "limit": limit}
		return [name for (name,) in frappe.db.sql(FIND_SQL, values)]

	@staticmethod
	def get_subjects() -> list[str]:
		return [name for (name,) in frappe.db.sql(SUBJECTS_SQL)]


def _content(
	subject: str, topic: str, question: str, answer: str, explanation: str | None, options: str | None
) -> dict[str, Any]:
	pairs = json.loads(options) if options else []
	return {
		"subject": subject,
		"topic": topic,
		"question": question,
		"answer": answer,
		"explanation": explanation,
		"options": [{"option": text, "is_correct": bool(is_correct)} for text, is_correct in pairs],
	}
