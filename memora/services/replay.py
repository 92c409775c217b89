"""Rebuilds the tracker from the journal, which holds every answer with the memory it led to.

The states are taken from the journal as they were recorded, not computed anew: settings may have changed
since, and what a learner was told is what counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from memora.services import memory_store
from memora.services.memory_store import JournalEntry, MemoryRecord
from memora.services.question_source import get_source
from memora.services.srs_redis_manager import SRSRedisManager

EXAMPLES = 10  # of differences, in a report

# What the journal settles. Subject and topic come from the question.
COMPARED = (
	*("stability", "difficulty", "state", "reps", "lapses"),
	*("next_review_date", "last_review_date", "creation"),
)


@dataclass
class Report:
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


def replay(season: str, player: str | None = None, repair: bool = False, progress=None) -> Report:
	"""Compares the tracker, overlaid with the outbox, with the journal: of a season, or one learner in it.

	With `repair`, writes what the journal says wherever they differ, one learner at a time, and drops her
	cached schedule. `progress`, if given, is called with the report after each learner.
	"""
	report = Report(season)
	for learner, entries in journal_by_learner(season, player):
		_check(learner, entries, report)
		if repair:
			_repair(learner, report)
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


def journal_by_learner(season: str, player: str | None = None) -> Iterator[tuple[str, list[JournalEntry]]]:
	"""Each learner's answers of a season, unsorted."""
	rows = memory_store.iterate_journal(season, player)
	for learner, group in groupby(rows, key=lambda row: row[0]):
		yield learner, [entry for _player, entry in group]


def _check(player: str, entries: list[JournalEntry], report: Report) -> None:
	records, expected, wrong = _compare(player, report.season, entries)
	if wrong:  # or she has answered since her answers were read
		memory_store.new_snapshot()
		entries = [entry for _player, entry in memory_store.iterate_journal(report.season, player)]
		records, expected, wrong = _compare(player, report.season, entries)
	report.learners += 1
	report.answers += len(entries)
	report.questions += len(expected)
	report.unjournalled += len(records.keys() - expected.keys())
	report.differences += len(wrong)
	room = EXAMPLES - len(report.examples)
	report.examples += [f"{player}, {q}: {difference}" for q, difference in list(wrong.items())[:room]]


def _compare(player: str, season: str, entries: list[JournalEntry]):
	"""(records there, records that the journal leads to, {question_id: how they differ})."""
	records, expected = memory_store.get_all_records(player, season), rebuilt(entries)
	differences = {q: _difference(record, records.get(q)) for q, record in expected.items()}
	return records, expected, {q: text for q, text in differences.items() if text}


def _difference(expected: MemoryRecord, found: MemoryRecord | None) -> str | None:
	if not found:
		return "is not in the tracker"
	wrong = [name for name in COMPARED if getattr(expected, name) != getattr(found, name)]
	return "; ".join(f"{n} is {getattr(found, n)}, journalled {getattr(expected, n)}" for n in wrong) or None


def _repair(player: str, report: Report) -> None:
	"""Reads all of it again under the learner's lock: she may have answered meanwhile."""
	season = report.season
	with memory_store.player_lock(player):
		entries = [entry for _player, entry in memory_store.iterate_journal(season, player)]
		records, expected, wrong = _compare(player, season, entries)
		if not wrong:
			return
		known = origins(list(wrong), records)
		mended = [replace(expected[q], **known.get(q, {})) for q in wrong]
		with memory_store.transaction():
			memory_store.keep_from_archive(season)
			memory_store.overwrite_records(player, season, mended)
		SRSRedisManager().clear_user_cache(player, season)
	report.repaired += len(wrong)


def origins(question_ids: list[str], records: dict[str, MemoryRecord]) -> dict[str, dict]:
	"""Subject and topic: as they were, or as the question's source has them."""
	content = get_source().get_questions([q for q in question_ids if q not in records])
	known = {q: {"subject": r.subject, "topic": r.topic} for q, r in records.items()}
	return known | {q: {"subject": c.get("subject"), "topic": c.get("topic")} for q, c in content.items()}
