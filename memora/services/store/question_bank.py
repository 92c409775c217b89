"""Memora's own questions: Game Question with its options, Game Topic, Game Subject."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import frappe

# One row for each question, its options as JSON: the driver's cost grows with rows, not with bytes.
QUESTIONS_SQL = """
	SELECT q.name, COALESCE(t.subject, q.subject), q.topic, q.enabled, q.question, q.answer, q.explanation,
		(SELECT JSON_ARRAYAGG(JSON_ARRAY(o.name, o.option_text, o.is_correct) ORDER BY o.idx)
		FROM `tabGame Question Option` o WHERE o.parent = q.name AND o.parenttype = 'Game Question')
	FROM `tabGame Question` q LEFT JOIN `tabGame Topic` t ON t.name = q.topic WHERE q.name IN %(names)s"""

FIND_SQL = """
	SELECT q.name FROM `tabGame Question` q JOIN `tabGame Topic` t ON t.name = q.topic
	WHERE q.enabled = 1 AND (%(subject)s IS NULL OR t.subject = %(subject)s)
	AND (%(topic)s IS NULL OR t.name = %(topic)s)
	ORDER BY t.subject, t.position, t.name, q.position, q.name LIMIT %(limit)s OFFSET %(offset)s"""

# The version of a topic: when one of its questions was changed last. One row of the index for each topic.
TOPICS_SQL = """
	SELECT t.name, (SELECT q.modified FROM `tabGame Question` q FORCE INDEX (topic_modified)
		WHERE q.topic = t.name ORDER BY q.modified DESC LIMIT 1)
	FROM `tabGame Topic` t WHERE (%(subject)s IS NULL OR t.subject = %(subject)s) AND {where}
	ORDER BY t.subject, t.position, t.name"""
# The next enabled questions of a topic behind a place in it, in one row, since the driver's cost grows with rows
PAGE_SQL = """(
	SELECT %s, JSON_ARRAYAGG(JSON_ARRAY(position, name) ORDER BY position, name) FROM (
	SELECT position, name FROM `tabGame Question` FORCE INDEX (topic_place)
	WHERE topic = %s AND enabled = 1 AND (position > %s OR (position = %s AND name > %s))
	ORDER BY position, name LIMIT %s) page)"""

STILL_SQL = "SELECT name, topic FROM `tabGame Question` WHERE name IN %(names)s AND enabled = 1"

NEW_VERSION_SQL = """
	UPDATE `tabGame Question` SET modified = NOW(6) WHERE topic = %s ORDER BY modified DESC LIMIT 1"""
IDS_SQL = """
	SELECT q.name FROM `tabGame Question` q LEFT JOIN `tabGame Topic` t ON t.name = q.topic
	WHERE (%(topic)s IS NULL OR q.topic = %(topic)s) AND (%(subject)s IS NULL OR t.subject = %(subject)s)"""
MOVE_TOPIC_SQL = "UPDATE `tabGame Question` SET subject = %(subject)s WHERE topic = %(topic)s"
SUBJECTS_SQL = "SELECT name FROM `tabGame Subject` ORDER BY name"
LAST_POSITION_SQL = "SELECT COALESCE(MAX(position), 0) FROM `tabGame Question` WHERE topic = %s"


Place = tuple[int, str]  # of a question in its topic: position, name
BEGINNING: Place = (-(2**31) - 1, "")  # no Int is lower


class TopicVersion(NamedTuple):
	"""A topic, and what changes with each change of its questions; None if it has none."""

	name: str
	version: datetime | None


class QuestionBank:
	"""The question source that Memora brings along: Game Question and its options.

	The content of a question is {subject, topic, question, answer, explanation, options}. Question, answer
	and explanation are HTML, the explanation may be None. Options are a list of {key, option, is_correct};
	the list is empty if the learner reveals the answer and grades herself. A key stays the option's while its text
	changes. A question that is not enabled has `withdrawn`, too.
	"""

	@staticmethod
	def get_questions(question_ids: list[str]) -> dict[str, dict[str, Any]]:
		"""Returns {question_id: content} of the questions that exist; one query."""
		if not question_ids:
			return {}
		rows = frappe.db.sql(QUESTIONS_SQL, {"names": question_ids})
		return {name: _content(*values) for name, *values in rows}

	@staticmethod
	def find_questions(subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		"""Returns a page of the enabled questions' ids, in the order of teaching."""
		values = {"subject": subject, "topic": topic, "offset": offset, "limit": limit}
		return [name for (name,) in frappe.db.sql(FIND_SQL, values)]

	@staticmethod
	def find_topics(subject: str | None, names: Iterable[str] | None = None) -> list[TopicVersion]:
		"""Returns the topics, all or those with these names, in the order of teaching; one query."""
		values = {"subject": subject, "names": list(names or ()) or [""]}
		statement = TOPICS_SQL.format(where="1 = 1" if names is None else "t.name IN %(names)s")
		return [TopicVersion(*row) for row in frappe.db.sql(statement, values)]

	@staticmethod
	def find_behind(places: dict[str, Place], limit: int) -> dict[str, list[Place]]:
		"""Returns, of each topic, the places of the next enabled questions behind a place; one query, by index alone."""
		found: dict[str, list[Place]] = {topic: [] for topic in places}
		arms = [(topic, topic, position, position, name, limit) for topic, (position, name) in places.items()]
		statement = " UNION ALL ".join([PAGE_SQL] * len(arms))
		for topic, page in frappe.db.sql(statement, [value for arm in arms for value in arm]):
			found[topic] = [(position, name) for position, name in json.loads(page or "[]")]
		return found

	@staticmethod
	def get_topics_of(names: list[str]) -> dict[str, str]:
		"""Returns {question_id: topic} of those of these questions that are enabled; one query at most."""
		return dict(frappe.db.sql(STILL_SQL, {"names": names})) if names else {}

	@staticmethod
	def get_subjects() -> list[str]:
		"""Returns all subjects, in the order of their names."""
		return [name for (name,) in frappe.db.sql(SUBJECTS_SQL)]


def _content(
	subject: str,
	topic: str,
	enabled: int,
	question: str,
	answer: str,
	explanation: str | None,
	options: str | None,
) -> dict[str, Any]:
	rows = json.loads(options) if options else []
	return {
		"subject": subject,
		"topic": topic,
		"question": question,
		"answer": answer,
		"explanation": explanation,
		"options": [
			{"key": key, "option": text, "is_correct": bool(is_correct)} for key, text, is_correct in rows
		],
		**({} if enabled else {"withdrawn": True}),
	}


def get_ids(topic: str | None = None, subject: str | None = None) -> list[str]:
	"""Returns the ids of all questions of a topic or of a subject, also of those that are not enabled."""
	return [name for (name,) in frappe.db.sql(IDS_SQL, {"topic": topic, "subject": subject})]


def move_topic(topic: str, subject: str) -> None:
	"""Gives the questions of a topic the topic's subject, which lists in the desk filter by. The caller commits."""
	frappe.db.sql(MOVE_TOPIC_SQL, {"topic": topic, "subject": subject})


def get_last_position(topic: str) -> int:
	"""Returns the position of the topic's last question; 0 if it has none."""
	return frappe.db.sql(LAST_POSITION_SQL, (topic,))[0][0]


def note_new_questions(topic: str) -> None:
	"""Gives a topic another version, after it got questions without a change of these. The caller commits."""
	frappe.db.sql(NEW_VERSION_SQL, (topic,))
