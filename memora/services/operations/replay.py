"""Compares the tracker with the journal, which holds every answer with the record it led to, and repairs the tracker.

A replay takes the states as the journal has them and does not compute them anew. Settings may have changed since, and
what counts is what the learner was told.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from memora.services.cache.schedules import Schedules
from memora.services.learning.answers import origins
from memora.services.store import database, journal, tracker
from memora.services.store.records import JournalEntry, MemoryRecord

EXAMPLES = 10  # differences that a report spells out
# The journal settles these fields. Subject and topic come from the question.
COMPARED = (
	"stability",
	"difficulty",
	"state",
	"reps",
	"lapses",
	"next_review_date",
	"last_review_date",
	"creation",
)


@dataclass
class ReplayReport:
	"""The findings of a replay.

	`differences` counts questions whose tracker row is missing or differs. `unjournalled` counts tracker rows that no
	answer explains: SRSPersistenceService writes such rows, and a repair leaves them as they are.
	"""

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
	"""Compares the tracker, overlaid with the outbox, with the journal, for a season or one learner in it.

	With `repair`, writes what the journal says wherever the two differ, one learner at a time, and drops her schedule in
	Redis. `progress`, if given, is called with the report after each learner. Commits with `repair`.
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
	"""Returns the records that a learner's answers of one season lead to, by question_id, without subject and topic.

	A question that she has only practised is left out: its record comes from elsewhere.
	"""
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
	"""Says whether an answer changed the record. An answer that did may still leave all values as they were.

	Practice changes no record. An answer that came too late changes none either: no recall was predicted before it.
	"""
	return entry.kind == "Learn" or (entry.kind == "Review" and entry.predicted_recall > 0)


def _check(learner: str, entries: list[JournalEntry], report: ReplayReport) -> None:
	records, expected, wrong = _compare(learner, report.season, entries)
	if wrong:  # or the learner has answered since her journal was read
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
	"""Returns (records in the tracker, records that the journal leads to, {question_id: how they differ})."""
	records, expected = tracker.get_all_records(learner, season), rebuilt(entries)
	differences = {q: _difference(record, records.get(q)) for q, record in expected.items()}
	return records, expected, {q: text for q, text in differences.items() if text}


def _difference(expected: MemoryRecord, found: MemoryRecord | None) -> str | None:
	if not found:
		return "is not in the tracker"
	wrong = [name for name in COMPARED if getattr(expected, name) != getattr(found, name)]
	return "; ".join(f"{n} is {getattr(found, n)}, journalled {getattr(expected, n)}" for n in wrong) or None


def _repair(learner: str, report: ReplayReport) -> None:
	"""Repairs one learner's records. Reads them again under her lock, because she may have answered meanwhile."""
	season = report.season
	with database.learner_lock(learner):
		entries = [entry for _learner, entry in journal.iterate_journal(season, learner)]
		records, expected, wrong = _compare(learner, season, entries)
		if not wrong:
			return
		known = origins(list(wrong), records)
		mended = [replace(expected[q], **known.get(q, {})) for q in wrong]
		with database.transaction():
			tracker.keep_from_removal(learner, season)
			tracker.overwrite_records(learner, season, mended)
		Schedules().clear_learner(learner, season)
	report.repaired += len(wrong)
