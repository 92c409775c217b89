"""A question with options: France's capital, which is Paris."""

from memora.services.learning import question_source
from tests.integration.factories import make_questions


def make_choice() -> str:
	options = [{"option_text": text, "is_correct": text == "Paris"} for text in ("Rome", "Paris", "Bonn")]
	(name,) = make_questions(subject="France", options=options, explanation="<p>On the Seine.</p>")
	return name


def keys_of(question: str) -> dict[str, str]:
	"""The key of each option, by its text."""
	content = question_source.get_source().get_questions([question])[question]
	return {option["option"]: option["key"] for option in content["options"]}
