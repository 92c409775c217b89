"""Compares the tracker with the journal, which holds every answer with the record it led to, and repairs the tracker.

A replay takes the states as the journal has them and does not compute them anew. Settings may have changed since, and
what counts is what the learner was told. A repair never sets back: what is newer than the journal, or older than it, stays.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from memora.services.cache.schedules import Schedules
from memora.services.learning.answers import origins
from memora.services.learning.moved_dates import MovedCalendar
from memora.services.operations import moving_dates
from memora.services.store import database, journal, tracker
from memora.services.store.records import EXTERNAL, JournalEntry, MemoryRecord

EXAMPLES = 10  # differences that a report spells out
DATE = "next_review_date"
# The journal settles these fields. Subject and topic come from the question.
COMPARED = (
	"stability",
	"difficulty",
	"state",
	"reps",
	"lapses",
	DATE,
	"last_review_date",
	"creation",
)


@dataclass
class ReplayReport:
	"""The findings of a replay.

	`differences` counts questions whose tracker row is missing, or has not got what the journal has. Of the other rows, which
	a repair leaves as they are, `unjournalled` counts those that no answer explains, `newer` those that are ahead of the
	journal, and `from_before` those that had repetitions before the journal has any.
	"""

	season: str
	learners: int = 0
	answers: int = 0
	questions: int = 0
	differences: int = 0
	unjournalled: int = 0
	newer: int = 0
	from_before: int = 0
	repaired: int = 0
	examples: list[str] = field(default_factory=list)


def replay_season(
	season: str,
	learner: str | None = None,
	repair: bool = False,
	progress: Callable[[ReplayReport], None] | None = None,
) -> ReplayReport:
	"""Compares the tracker, overlaid with the outbox, with the journal, for a season or one learner in it.

	With `repair`, writes what the journal says wherever the tracker lacks it, one learner at a time, and drops her schedule
	in Redis. What a row has from before the journal is kept: repetitions, lapses, creation. `progress`, if given, is called with the report after each learner. Commits with `repair`.
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
	return {question_id: _record(answers) for question_id, answers in moving_entries(entries).items()}


def moving_entries(entries: Iterable[JournalEntry]) -> dict[str, list[JournalEntry]]:
	"""Returns the entries that changed a record, by question, in the order of time."""
	by_question: dict[str, list[JournalEntry]] = defaultdict(list)
	for entry in sorted(entries, key=lambda e: e.reviewed_at):
		if _moved(entry):
			by_question[entry.question_id].append(entry)
	return dict(by_question)


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
		lapses=sum(map(_is_lapse, moving)),
		next_review_date=last.next_review_date_after,
		last_review_date=last.reviewed_at,
		creation=moving[0].reviewed_at,
	)


def _is_lapse(entry: JournalEntry) -> bool:
	return entry.kind == "Review" and entry.rating == "Again"


def _moved(entry: JournalEntry) -> bool:
	"""Says whether an answer changed the record. An answer that did may still leave all values as they were.

	Practice changes no record. An answer that came too late changes none either: no recall was predicted before it.
	"""
	return entry.kind in ("Learn", EXTERNAL) or (entry.kind == "Review" and entry.predicted_recall > 0)


# The journal against a row


class Verdict(NamedTuple):
	"""What the journal says of a tracker row: the record to expect, how the row falls short of it (None if it does not),
	and whether the row is newer than the journal, or began before it.
	"""

	expected: MemoryRecord
	difference: str | None = None
	is_newer: bool = False
	is_from_before: bool = False


def judge(moving: list[JournalEntry], found: MemoryRecord | None, calendar: MovedCalendar) -> Verdict:
	"""Compares a tracker row with the entries that moved its question, which are in the order of time."""
	if not found:
		return Verdict(_record(moving), "is not in the tracker")
	expected, is_from_before = _record(moving), _began_before(moving, found)
	if moving[-1].kind == EXTERNAL:
		expected = replace(expected, state=found.state)  # such a result leaves the state as it was
	is_newer = not is_from_before and found.reps > expected.reps
	if is_from_before or is_newer:
		expected = with_former(expected, moving, found)
	if found.age > expected.age:
		return Verdict(expected, None, True, is_from_before)
	return Verdict(expected, _difference(expected, found, calendar), is_newer, is_from_before)


def _began_before(moving: list[JournalEntry], found: MemoryRecord) -> bool:
	"""Says whether a question had a record before the first entry of the journal."""
	first = moving[0]  # at the first sight a stability from before is that of an earlier season
	return (first.kind != "Learn" and first.stability_before > 0) or found.creation < first.reviewed_at


def with_former(record: MemoryRecord, moving: list[JournalEntry], found: MemoryRecord) -> MemoryRecord:
	"""Adds what a row has beside the journal: all that the entries up to its last review do not account for."""
	seen = [entry for entry in moving if entry.reviewed_at <= found.last_review_date]
	reps, lapses = len(seen), sum(map(_is_lapse, seen))
	return replace(
		record,
		reps=record.reps + max(0, found.reps - reps),
		lapses=record.lapses + max(0, found.lapses - lapses),
		creation=min(found.creation, record.creation),
	)


def _difference(expected: MemoryRecord, found: MemoryRecord, calendar: MovedCalendar) -> str | None:
	wrong = [
		name
		for name in COMPARED
		if getattr(expected, name) != getattr(found, name)
		and not (name == DATE and is_moved(expected, found, calendar))
	]
	return "; ".join(f"{n} is {getattr(found, n)}, journalled {getattr(expected, n)}" for n in wrong) or None


def is_moved(expected: MemoryRecord, found: MemoryRecord, calendar: MovedCalendar) -> bool:
	"""Says whether a row's date may have followed changes of the calendar since the journal's last entry."""
	return calendar.has_moved(expected.next_review_date, found.next_review_date, found.last_review_date)


# A learner


def _check(learner: str, entries: list[JournalEntry], report: ReplayReport) -> None:
	records, verdicts = _compare(learner, report.season, entries)
	if _differing(verdicts):  # or the learner has answered since her journal was read
		database.new_snapshot()
		entries = [entry for _learner, entry in journal.iterate_journal(report.season, learner)]
		records, verdicts = _compare(learner, report.season, entries)
	wrong = _differing(verdicts)
	report.learners += 1
	report.answers += len(entries)
	report.questions += len(verdicts)
	report.unjournalled += len(records.keys() - verdicts.keys())
	report.differences += len(wrong)
	right = [verdict for verdict in verdicts.values() if not verdict.difference]
	report.newer += sum(verdict.is_newer for verdict in right)
	report.from_before += sum(verdict.is_from_before and not verdict.is_newer for verdict in right)
	room = EXAMPLES - len(report.examples)
	report.examples += [f"{learner}, {q}: {verdict.difference}" for q, verdict in list(wrong.items())[:room]]


def _compare(
	learner: str, season: str, entries: list[JournalEntry]
) -> tuple[dict[str, MemoryRecord], dict[str, Verdict]]:
	"""Returns (records in the tracker, what the journal says of them)."""
	records, calendar = tracker.get_all_records(learner, season), moving_dates.get_calendar(season)
	return records, {
		q: judge(moving, records.get(q), calendar) for q, moving in moving_entries(entries).items()
	}


def _differing(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
	return {question_id: verdict for question_id, verdict in verdicts.items() if verdict.difference}


def _repair(learner: str, report: ReplayReport) -> None:
	"""Repairs one learner's records. Reads them again under her lock, because she may have answered meanwhile."""
	season = report.season
	with database.learner_lock(learner):
		entries = [entry for _learner, entry in journal.iterate_journal(season, learner)]
		records, verdicts = _compare(learner, season, entries)
		wrong = _differing(verdicts)
		if not wrong:
			return
		known = origins(list(wrong), records)
		mended = [replace(verdict.expected, **known.get(q, {})) for q, verdict in wrong.items()]
		with database.transaction():
			tracker.keep_from_removal(learner, season)
			tracker.overwrite_records(learner, season, mended)
		Schedules().clear_learner(learner, season)
	moving_dates.follow_learner(
		season, learner
	)  # the journal has the dates from before changes of the calendar
	report.repaired += len(wrong)
