"""An answer and its effect: from the client's response to the stored record and the journal's entry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memora.services.learning import scheduling
from memora.services.learning.plain_names import plain
from memora.services.learning.question_source import get_source
from memora.services.store.records import JournalEntry, MemoryRecord


@dataclass(frozen=True)
class Response:
	"""An answer as the learner's client sends it, validated.

	`chosen` is the key of an option; then grading.graded sets the quality. Else the client has set it, 0 to 5.
	Practice is journalled, but moves neither the record nor the schedule.
	"""

	question_id: str
	quality: int = 0
	response_time_ms: int | None = None
	practice: bool = False
	chosen: str | None = None


@dataclass(frozen=True)
class Step:
	"""An answer with its effect: the record before, the record after, and the model's outcome.

	`before` is None at the first sight of a question; then `known` is her record of an earlier season, if her memory goes on
	from there. `answered_at` is naive site time. `is_practice` is true of an
	answer that was sent as practice, and of one to a question that was answered on this learning day already.
	`is_graded` says that the server compared the option chosen with the right one, which it had not told on this day.
	"""

	response: Response
	before: MemoryRecord | None
	after: MemoryRecord
	outcome: scheduling.Outcome
	answered_at: datetime
	is_practice: bool = False
	is_graded: bool = False
	known: MemoryRecord | None = None


@dataclass(frozen=True)
class Origin:
	"""The fields of a new record that do not come from the model. `creation` is naive site time."""

	question_id: str
	subject: str | None
	topic: str | None
	creation: datetime

	@classmethod
	def of(cls, question_id: str, content: dict[str, dict[str, Any]], now: datetime) -> "Origin":
		"""Returns the origin of a question first answered `now` (naive site time).

		`content` must know the question.
		"""
		known = content[question_id]
		return cls(question_id, plain(known.get("subject")), plain(known.get("topic")), now)


def record_after(origin: MemoryRecord | Origin, memory: scheduling.Memory) -> MemoryRecord:
	"""Returns the record to store once an answer has led to the model's state `memory`."""
	return MemoryRecord(
		question_id=origin.question_id,
		subject=origin.subject,
		topic=origin.topic,
		stability=memory.stability,
		difficulty=memory.difficulty,
		state=memory.state,
		reps=memory.reps,
		lapses=memory.lapses,
		next_review_date=memory.due.replace(tzinfo=None),
		last_review_date=memory.last_review.replace(tzinfo=None),
		creation=origin.creation,
	)


def journal_entry(step: Step, source: str) -> JournalEntry:
	"""Returns the journal's entry for an answer. `source` is an option of that field in Player Review Log."""
	before, after, memory = step.before, step.after, step.before or step.known
	return JournalEntry(
		question_id=after.question_id,
		kind=_kind(step),
		quality=step.response.quality,
		rating=step.outcome.rating.name,
		response_time_ms=step.response.response_time_ms or 0,
		reviewed_at=step.answered_at,
		stability_before=memory.stability if memory else 0,
		difficulty_before=memory.difficulty if memory else 0,
		next_review_date_before=before.next_review_date if before else None,
		predicted_recall=step.outcome.predicted_recall or 0,
		stability_after=after.stability,
		difficulty_after=after.difficulty,
		next_review_date_after=after.next_review_date,
		source=source,
		graded_by="Server" if step.is_graded else "Learner",
		chosen=step.response.chosen,
	)


def _kind(step: Step) -> str:
	if step.is_practice:
		return "Practice"
	return "Review" if step.before else "Learn"


def origins(question_ids: list[str], records: dict[str, MemoryRecord]) -> dict[str, dict[str, Any]]:
	"""Returns {question_id: {subject, topic}} from the records; for new questions, from the question source.

	A question that neither knows is left out.
	"""
	content = get_source().get_questions([q for q in question_ids if q not in records])
	known = {q: {"subject": r.subject, "topic": r.topic} for q, r in records.items()}
	return known | {
		q: {"subject": plain(c.get("subject")), "topic": plain(c.get("topic"))} for q, c in content.items()
	}
