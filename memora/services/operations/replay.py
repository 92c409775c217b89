"""TODO"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from memora.services.cache.schedules import Schedules
from memora.services.learning.answers import origins
from memora.services.store import database, journal, tracker
from memora.services.store.records import JournalEntry, MemoryRecord

EXAMPLES = 10  # of differences, in a report
# What the journal settles. Subject and topic come from the question.
COMPARED = (
	*("stability", "difficulty", "state", "reps", "lapses"),
	*("next_review_date", "last_review_date", "creation"),
)


@dataclass
class ReplayReport:
	"""What a replay found. `differences` counts questions whose tracker row is missing or differs,
	`unjournalled` tracker rows that no answer explains (SRSPersistenceService writes such); these stay."""

	season: str
	learners: int = 0
	answers: int = 0
	questions: int = 0
	differences: int = 0
	unjournalled: int = 0
	repaired: int = 0
	examples: list[str] = field(default_factory=list)


def replay_season(
	season: str,
	learner: str | None = None,
	repair: bool = False,
	progress: Callable[[ReplayReport], None] | None = None,
) -> ReplayReport:
	"""Compares the tracker, overlaid with the outbox, with the journal: of a season, or one learner in it.

	With `repair`, writes what the journal says wherever they differ, one learner at a time, and drops her
	cached schedule. `progress`, if given, is called with the report after each learner.
	"""
	report = ReplayReport(season)
	for name, entries in journal.journal_by_learner(season, learner):
		_check(name, entries, report)
		if repair:
			_repair(name, report)
		if progress:
			progress(report)
	return report


def rebuilt(entries: Iterable[JournalEntry]) -> dict[str, MemoryRecord]:
	"""The records that a learner's answers of one season lead to, by question_id, without subject and topic.

	Questions that she has only practised, what she knows of them coming from elsewhere, are left out."""
	by_question: dict[str, list[JournalEntry]] = defaultdict(list)
	for entry in sorted(entries, key=lambda e: e.reviewed_at):
		by_question[entry.question_id].append(entry)
	moving = {q: [entry for entry in answers if _moved(entry)] for q, answers in by_question.items()}
	return {question_id: _record(answers) for question_id, answers in moving.items() if answers}


def _record(moving: list[JournalEntry]) -> MemoryRecord:
	last = moving[-1]
	return MemoryRecord(
		question_id=last.question_id,
		subject=None,
		topic=None,
		stability=last.stability_after,
		difficulty=last.difficulty_after,
		state="Review",
		reps=len(moving),
		lapses=sum(entry.rating == "Again" and entry.kind == "Review" for entry in moving),
		next_review_date=last.next_review_date_after,
		last_review_date=last.reviewed_at,
		creation=moving[0].reviewed_at,
	)


def _moved(entry: JournalEntry) -> bool:
	"""Whether an answer changed the memory: practice does not, nor does one that came too late, before
	which no recall was predicted. An answer may count and leave all values as they were."""
	return entry.kind == "Learn" or (entry.kind == "Review" and entry.predicted_recall > 0)


def _check(learner: str, entries: list[JournalEntry], report: ReplayReport) -> None:
	records, expected, wrong = _compare(learner, report.season, entries)
	if wrong:  # or she has answered since her answers were read
		database.new_snapshot()
		entries = [entry for _learner, entry in journal.iterate_journal(report.season, learner)]
		records, expected, wrong = _compare(learner, report.season, entries)
	report.learners += 1
	report.answers += len(entries)
	report.questions += len(expected)
	report.unjournalled += len(records.keys() - expected.keys())
	report.differences += len(wrong)
	room = EXAMPLES - len(report.examples)
	report.examples += [f"{learner}, {q}: {difference}" for q, difference in list(wrong.items())[:room]]


def _compare(
	learner: str, season: str, entries: list[JournalEntry]
) -> tuple[dict[str, MemoryRecord], dict[str, MemoryRecord], dict[str, str]]:
	"""(records there, records that the journal leads to, {question_id: how they differ})."""
	records, expected = tracker.get_all_records(learner, season), rebuilt(entries)
	differences = {q: _difference(record, records.get(q)) for q, record in expected.items()}
	return records, expected, {q: text for q, text in differences.items() if text}


def _difference(expected: MemoryRecord, found: MemoryRecord | None) -> str | None:
	if not found:
		return "is not in the tracker"
	wrong = [name for name in COMPARED if getattr(expected, name) != getattr(found, name)]
	return "; ".join(f"{n} is {getattr(found, n)}, journalled {getattr(expected, n)}" for n in wrong) or None


def _repair(learner: str, report: ReplayReport) -> None:
	"""Reads all of it again under the learner's lock: she may have answered meanwhile."""
	season = report.season
	with database.learner_lock(learner):
		entries = [entry for _learner, entry in journal.iterate_journal(season, learner)]
		records, expected, wrong = _compare(learner, season, entries)
		if not wrong:
			return
		known = origins(list(wrong), records)
		mended = [replace(expected[q], **known.get(q, {})) for q in wrong]
		with database.transaction():
			tracker.keep_from_archive(season)
			tracker.overwrite_records(learner, season, mended)
		Schedules().clear_learner(learner, season)
	report.repaired += len(wrong)
