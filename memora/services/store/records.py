"""The rows of the four big tables as values, and the payload in which records travel through the outbox.

A payload is JSON: `{"version": 1, "fields": [names], "records": [[values], …]}`, datetimes as ISO texts. A
payload names its fields. So a field with a default can be added to the record, and payloads of earlier
versions can still be read. A payload from before there were versions is a bare list of records, each with the
values of UNVERSIONED_FIELDS.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from memora.services.store import row_names


@dataclass(frozen=True)
class MemoryRecord:
	"""A tracker row without learner and season.

	Datetimes are naive site time; `creation` is the time of the first answer.
	"""

	question_id: str
	subject: str | None
	topic: str | None
	stability: float
	difficulty: float
	state: str
	reps: int
	lapses: int
	next_review_date: datetime
	last_review_date: datetime
	creation: datetime

	@property
	def age(self) -> tuple[int, datetime]:
		"""Orders the records of one question: the record of the newest answer is the greatest.

		Each answer that moves the memory adds one repetition, under the learner's lock. So a clock that is
		set back does not confuse the order.
		"""
		return self.reps, self.last_review_date


@dataclass(frozen=True)
class JournalEntry:
	"""An answer in the journal, or a result that another program has stored (kind External). Datetimes are naive site time.

	`graded_by` is Server where the server compared `chosen`, the key of an option, with the right one, which it had not
	told before on this learning day. Else it is Learner: the quality is what her client said, or what she had been told.

	Frappe's number columns hold no NULL. So at the first sight of a question (kind Learn) the stability,
	difficulty and predicted recall from before the answer are 0, unless she knows it from an earlier season; a response time that was not measured is 0.
	"""

	question_id: str
	kind: str
	quality: int
	rating: str
	response_time_ms: int
	reviewed_at: datetime
	stability_before: float
	difficulty_before: float
	next_review_date_before: datetime | None
	predicted_recall: float
	stability_after: float
	difficulty_after: float
	next_review_date_after: datetime
	source: str
	graded_by: str = "Learner"
	chosen: str | None = None


class ActivityCount(NamedTuple):
	"""Counts of a submission's answers in one subject on one learning day.

	`subject` is "" for questions without a subject. `day` is the learning day as ISO text. `reviews` counts
	answers of kind Review: to questions learnt before. `recalled` counts the reviews whose question the
	learner had not forgotten. `graded_reviews` and `graded_recalled` count those of them that the server graded.
	"""

	day: str
	subject: str
	answers: int
	reviews: int
	recalled: int
	graded_reviews: int = 0
	graded_recalled: int = 0


class Effort(NamedTuple):
	"""What a learner's answers of one learning day count for in her daily budget.

	`day` is the learning day as ISO text. `answers` counts all answers. `practised` has PRACTICE_DIGITS hex digits for
	each answer that was practice, which stand for its question. `learnt` counts the questions that she answered for the
	first time.
	"""

	day: str
	answers: int = 0
	practised: str = ""
	learnt: int = 0

	def plus(self, more: "Effort") -> "Effort":
		"""Returns the sums. Another day's effort counts for nothing."""
		if more.day != self.day:
			return self
		return Effort(
			self.day,
			self.answers + more.answers,
			self.practised + more.practised,
			self.learnt + more.learnt,
		)

	def count_practice(self, question_id: str) -> int:
		"""Returns how often the question was practised on this day."""
		parts = (
			self.practised[at : at + PRACTICE_DIGITS] for at in range(0, len(self.practised), PRACTICE_DIGITS)
		)
		return sum(part == practice_digits(question_id) for part in parts)


@dataclass(frozen=True)
class OutboxRow:
	"""A submission that waits to be folded: the records it led to, and the counts it adds to the figures."""

	name: str
	player: str
	season: str
	activity: list[ActivityCount]
	records: list[MemoryRecord]
	effort: Effort | None = None


class Standing(NamedTuple):
	"""A learner's records of some questions, her effort of one learning day, and how many submissions of hers wait."""

	records: dict[str, MemoryRecord]
	effort: Effort
	waiting: int


class StoredAnswer(NamedTuple):
	"""An answer as the journal has it. `due` is the question's next review date, naive site time."""

	quality: int
	is_practice: bool
	due: datetime
	answered_at: datetime
	graded_by: str = "Learner"
	chosen: str | None = None


class OutboxEntry(NamedTuple):
	"""A submission that waits to be folded, without its records and counts. Datetimes are naive site time."""

	name: str
	player: str
	season: str
	accepted_at: datetime
	parked_at: datetime | None
	error: str | None


class Backlog(NamedTuple):
	"""Counts of the outbox: submissions that wait to be folded, and parked submissions; see outbox.as_text.

	`oldest` is the naive site time at which the oldest waiting submission was accepted.
	"""

	waiting: int
	parked: int
	oldest: datetime | None


EXTERNAL = "External"  # the kind of a result that a caller of persist_review_batch has stored

RECORD_FIELDS = [field.name for field in fields(MemoryRecord)]
RECORD_COLUMNS = ", ".join(RECORD_FIELDS)
JOURNAL_COLUMNS = ", ".join(field.name for field in fields(JournalEntry))

PRACTICE_DIGITS = 8  # enough to tell apart the questions that one learner practises in a day

PAYLOAD_VERSION = 1
DATETIME_FIELDS = {"next_review_date", "last_review_date", "creation"}
UNVERSIONED_FIELDS = [
	*("question_id", "subject", "topic", "stability", "difficulty", "state", "reps", "lapses"),
	*("next_review_date", "last_review_date", "creation"),
]


def practice_digits(question_id: str) -> str:
	"""Returns the hex digits that stand for a question in Effort.practised."""
	return row_names.digest(question_id)[:PRACTICE_DIGITS]


def pack_records(records: Iterable[MemoryRecord], effort: Effort | None = None) -> str:
	"""Returns the outbox payload of these records."""
	rows = [[v.isoformat() if isinstance(v, datetime) else v for v in values_of(r)] for r in records]
	payload = {"version": PAYLOAD_VERSION, "fields": RECORD_FIELDS, "records": rows, "effort": effort}
	return json.dumps(payload, separators=(",", ":"))


def unpack_records(payload: str) -> list[MemoryRecord]:
	"""Returns the records of an outbox payload, or of the tracker's rows as tracker.RECORDS_JSON gives them.

	Raises ValueError, TypeError, AttributeError or KeyError for a payload that this version can't read.
	"""
	content = json.loads(payload)
	if isinstance(content, list):
		return [_record(UNVERSIONED_FIELDS, values) for values in content]
	if (version := content.get("version", PAYLOAD_VERSION)) > PAYLOAD_VERSION:
		raise ValueError(
			f"the payload has version {version}, this Memora reads versions up to {PAYLOAD_VERSION}"
		)
	names = content.get("fields", RECORD_FIELDS)
	return [_record(names, values) for values in content["records"]]


def unpack_effort(payload: str | None) -> Effort | None:
	"""Returns the effort that a payload brings along, if any; None also for a payload that can't be read."""
	try:
		content = json.loads(payload or "[]")
		return Effort(*content["effort"]) if isinstance(content, dict) and content.get("effort") else None
	except (ValueError, TypeError):
		return None


def _record(names: Sequence[str], values: Sequence[Any]) -> MemoryRecord:
	"""Returns a record.

	Raises TypeError if a field is missing or unknown, ValueError if there are too many values.
	"""
	if len(values) > len(names):
		raise ValueError(f"a record has {len(values)} values for {len(names)} fields")
	by_name = dict(zip(names, values, strict=False))
	for name in DATETIME_FIELDS & by_name.keys():
		by_name[name] = datetime.fromisoformat(by_name[name])
	return MemoryRecord(**by_name)


def unpack_readable(payload: str) -> list[MemoryRecord]:
	"""Returns the records of a payload; none if the payload can't be read.

	A fold parks a payload that can't be read. Meanwhile the payload must not stop the learner's reads.
	"""
	try:
		return unpack_records(payload)
	except (ValueError, TypeError, AttributeError, KeyError):
		return []


def overlay(rows: Iterable[tuple[str | None]]) -> dict[str, MemoryRecord]:
	"""Merges the payloads of rows into {question_id: record}.

	Of several records of a question the newest wins.
	"""
	records: dict[str, MemoryRecord] = {}
	for (payload,) in rows:
		for record in unpack_readable(payload or "[]"):
			known = records.get(record.question_id)
			if not known or record.age >= known.age:
				records[record.question_id] = record
	return records


def unpack_activity(activity: str | None) -> list[ActivityCount]:
	"""Returns the counts that an outbox row adds to the figures; none if an earlier version wrote the row."""
	return [ActivityCount(*values) for values in json.loads(activity or "[]")]


def values_of(record: MemoryRecord | JournalEntry) -> tuple[Any, ...]:
	"""Returns the values of a record's fields, in order."""
	return tuple(vars(record).values())  # dataclasses.astuple would copy each value
