"""Counts answers while they are folded, so that no figure ever has to count a big table.

A submission brings its counts along to the outbox. The fold that takes the submission out of the outbox
inserts the counts in its one transaction. So each answer is counted once, whatever dies or is repeated.
"""

from collections import defaultdict
from collections.abc import Iterable

from memora.services import site_time
from memora.services.store import figure_tables
from memora.services.store.figure_tables import Counts
from memora.services.store.records import EXTERNAL, ActivityCount, Effort, JournalEntry, OutboxRow


def count_entries(entries: Iterable[JournalEntry], subjects: dict[str, str | None]) -> list[ActivityCount]:
	"""Returns the counts that answers add to the figures of their days.

	`subjects` is {question_id: subject}. A result of kind External is no answer of hers, and counts for nothing.
	"""
	sums: dict[tuple[str, str], Counts] = defaultdict(Counts)
	for entry in entries:
		if entry.kind == EXTERNAL:
			continue
		key = site_time.learning_day(entry.reviewed_at).isoformat(), subjects.get(entry.question_id) or ""
		is_review = entry.kind == "Review"
		is_recalled, is_graded = is_review and entry.rating != "Again", entry.graded_by == "Server"
		graded = is_review and is_graded, is_recalled and is_graded
		sums[key] = sums[key].plus((1, is_review, is_recalled, *graded))
	return [ActivityCount(*key, *map(int, counts)) for key, counts in sums.items()]


def count_folded(rows: list[OutboxRow]) -> None:
	"""Counts the answers of submissions that are being folded.

	The caller's transaction commits fold and counts.
	"""
	sums = figure_tables.sum_counts((row.season, counted) for row in rows for counted in row.activity)
	if not sums:
		return
	now = site_time.naive_now()
	figure_tables.insert_counts(sums, now)
	# last in the fold: from here to the commit, folds that have a learner in common wait for each other
	figure_tables.insert_learners(_efforts(rows), now)


def _efforts(rows: list[OutboxRow]) -> dict[tuple[str, str, str], Effort]:
	"""Returns {(season, learning day, learner): effort} of all learners who answered.

	Answers that bring no effort along, such as imported ones, add nothing to it.
	"""
	efforts: dict[tuple[str, str, str], Effort] = {}
	for row in rows:
		for day in {counted.day for counted in row.activity}:
			key = row.season, day, row.player
			known = efforts.get(key, Effort(day))
			efforts[key] = known.plus(row.effort) if row.effort else known
	return efforts
