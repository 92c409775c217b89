"""Says what may be answered, and grades what was answered.

Whoever chooses an option is graded here. A quality is what the learner's client says of her: it moves her own memory, and
is counted apart.
"""

from dataclasses import replace
from typing import Any

from frappe import _
from typing_extensions import TypedDict

from memora.services.learning.answers import Response
from memora.services.learning.question_source import options_of
from memora.services.learning.scheduling import Quality, is_right
from memora.services.settings import get_settings
from memora.services.store.records import MemoryRecord

RIGHT, WRONG = Quality.GOOD, Quality.WRONG  # what a chosen option counts as

Content = dict[str, Any]


class AnswerResult(TypedDict):
	"""What became of an answer. `practice` says that it moved no date.

	`right_options` has the keys of the right options, [] without options. `answer` and `explanation` are the
	question's.
	"""

	practice: bool
	is_correct: bool
	graded_by: str
	right_options: list[str]
	answer: str | None
	explanation: str | None


def graded(response: Response, content: Content) -> Response:
	"""Returns the response with the quality that the server gives for the option that was chosen, if any."""
	if response.chosen is None:
		return response
	return replace(response, quality=int(RIGHT if options_of(content)[response.chosen] else WRONG))


def why_refused(response: Response, record: MemoryRecord | None, content: Content | None) -> str | None:
	"""Returns why an answer can't be taken, whatever else the learner answers today; None if it can."""
	if response.practice and not record:
		return _("This question has not been learnt yet.")
	if content is None:
		return _("This question has been withdrawn.") if record else _("There is no such question.")
	options = options_of(content)
	if response.chosen is not None and response.chosen not in options:
		if not options:
			return _("This question has no options to choose from: send quality instead of chosen.")
		return _("This question has no option {0}. Its options are {1}.").format(
			response.chosen, ", ".join(options)
		)
	return None


def why_not_today() -> str:
	return _("This is a new question, and there are at most {0} new questions a day.").format(
		get_settings().new_per_day
	)


def why_not_yet() -> str:
	return _("This question is not taught yet: other questions of its topic come before it.")


def result_of(quality: int, graded_by: str, practice: bool, content: Content | None) -> AnswerResult:
	"""Returns what the reply says of an answer that was taken."""
	content = content or {}
	return {
		"practice": practice,
		"is_correct": is_right(quality),
		"graded_by": graded_by,
		"right_options": [key for key, is_one in options_of(content).items() if is_one],
		"answer": content.get("answer"),
		"explanation": content.get("explanation"),
	}
