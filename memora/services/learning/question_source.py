"""The source of the content of questions.

A host app that has questions of its own sets the hook `memora_question_source`: the dotted path of an object
that has the two functions of QuestionSource. Without the hook, Memora's own question bank serves.
"""

from typing import Any, Protocol

import frappe

from memora.services.learning.question_html import clean_content
from memora.services.store.question_bank import QuestionBank

ANSWERS = ("answer", "explanation")  # the keys of content that say what is right
Topic = tuple[str | None, str | None]  # its subject, and its name


class QuestionSource(Protocol):
	"""The interface of a host app's source of questions.

	Content is any JSON-able dictionary. Its keys `subject` and `topic` (texts or None) are stored with the
	record. The learner's page shows its keys `question`, `answer`, `explanation` and `options`, which mean
	what they mean in QuestionBank: HTML, which is cleaned when it is read. An option without a `key` has its place in
	the list, from 1, as its key. With a true `withdrawn` a question is neither asked nor takes answers.

	A source may also have `get_subjects() -> list[str]`: the subjects that a learner may choose between.
	Without this function the page offers her no choice.

	A host app tells of what it changes by content_changes.note_changes and note_moves. What it does not tell is noticed
	when a learner is to be asked such a question, and within an hour.
	"""

	def get_questions(self, question_ids: list[str]) -> dict[str, dict[str, Any]]:
		"""Returns {question_id: content}. Leaves out ids that the source does not know."""

	def find_questions(self, subject: str | None, topic: str | None, offset: int, limit: int) -> list[str]:
		"""Returns a page of the ids that may be taught as new, in the order of teaching.

		`limit` exceeds the number of questions that a learner knows. Whatever a lesson of a question's own topic can't
		show is refused as a first answer. So it must know the question's `topic` by the name that its content gives.
		"""


def get_source() -> QuestionSource:
	"""Returns the question source of this site: that of the last app whose hook names one."""
	paths = frappe.get_hooks("memora_question_source")
	return frappe.get_attr(paths[-1]) if paths else QuestionBank


def is_own() -> bool:
	"""Says whether the questions are those of Memora's own bank."""
	return get_source() is QuestionBank


def get_content(question_ids: list[str]) -> dict[str, dict[str, Any]]:
	"""Returns {question_id: content} of the questions that are asked. The HTML is clean."""
	found = get_source().get_questions(question_ids)
	return {name: clean_content(content) for name, content in found.items() if not is_withdrawn(content)}


def is_withdrawn(content: dict[str, Any]) -> bool:
	return bool(content.get("withdrawn"))


def get_subjects() -> list[str]:
	"""Returns the subjects of this site's source, in the order to show them; [] if the source has no list."""
	names = getattr(get_source(), "get_subjects", list)
	return names()


def topic_of(content: dict[str, Any]) -> Topic:
	"""Returns the topic that find_questions knows a question under; None for what the source does not name."""
	subject, topic = content.get("subject"), content.get("topic")
	return (subject if isinstance(subject, str) else None), (topic if isinstance(topic, str) else None)


def options_of(content: dict[str, Any]) -> dict[str, bool]:
	"""Returns {key: is_correct} of a question's options, {} if it has none."""
	keyed = [option for option in _keyed(content) if isinstance(option, dict)]
	return {option["key"]: bool(option.get("is_correct")) for option in keyed}


def _keyed(content: dict[str, Any]) -> list[Any]:
	"""Returns copies of a question's options, each with its key. What a host app delivers in another form stays as it is."""
	options = content.get("options")
	numbered = enumerate(options if isinstance(options, list) else [], 1)
	return [{**o, "key": str(o.get("key") or place)} if isinstance(o, dict) else o for place, o in numbered]


def as_sent(content: dict[str, Any], reveal: bool) -> dict[str, Any]:
	"""Returns a question's content as a learner gets it: without `reveal`, nothing in it says what is right."""
	sent = dict(content)
	if isinstance(content.get("options"), list):
		sent["options"] = _keyed(content)
	return sent if reveal else _without_answers(sent)


def _without_answers(sent: dict[str, Any]) -> dict[str, Any]:
	question = {name: value for name, value in sent.items() if name not in ANSWERS}
	for option in question.get("options") or []:
		if isinstance(option, dict):
			option.pop("is_correct", None)
	return question
