"""Imports a learner's answers from Anki, as if she had given the answers here.

The journal gets the answers with the dates that they have in Anki. Replaying the answers gives the schedule. A question
that the learner has already answered in the season is left out: the journal is in the order of time, and an earlier
answer can't move what later answers have led to. So a second import adds nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import zip_longest
from typing import Any

from frappe.utils import create_batch

from memora.services import site_time
from memora.services.anki.package import Review
from memora.services.cache.schedules import Schedules
from memora.services.folding import counting, folds
from memora.services.learning.answers import Origin, Response, Step, journal_entry, record_after
from memora.services.learning.question_source import get_source
from memora.services.learning.season_scheduler import GRADES, SeasonScheduler
from memora.services.settings import forget_settings, get_settings
from memora.services.store import database, row_names, seasons, tracker
from memora.services.store.outbox import Calendar, CalendarChanged
from memora.services.store.seasons import Season
from memora.services.store.submissions import write_submission

SOURCE = "Import"
BATCH = 50  # questions that one transaction journals
QUALITIES = dict(enumerate(GRADES.values(), start=1))  # by Anki's buttons: 1 (Again) to 4 (Easy)


def write(learner: str, questions: dict[int, str], reviews: Iterable[Review]) -> Iterator[int]:
	"""Journals a learner's reviews. `questions` names the question of each card, by the card's id.

	`reviews` are in the order of time. Reviews of other cards, and reviews dated in the future, are left out. Yields the
	number of answers after each batch. Commits. Raises NoActiveSeason. Raises JournalUnavailable while the learner is
	answering here.
	"""
	season = seasons.require_active_season()
	now_ts = site_time.now().timestamp()
	by_question: dict[str, list[Review]] = defaultdict(list)
	for review in reviews:
		if review.card_id in questions and 0 < review.reviewed_ts <= now_ts:
			by_question[questions[review.card_id]].append(review)
	for batch in create_batch(sorted(by_question), BATCH):
		of_batch = {question: by_question[question] for question in batch}
		try:
			yield _write_batch(learner, season, of_batch)
		except CalendarChanged:
			forget_settings()
			season = seasons.get_season(season.name)
			yield _write_batch(learner, season, of_batch)
	folds.drain(site_time.naive_now())


def _write_batch(learner: str, season: Season, reviews: dict[str, list[Review]]) -> int:
	content = get_source().get_questions(list(reviews))
	calendar = Calendar(season.end_date, get_settings().day_start_hour)
	with database.learner_lock(learner):
		known = tracker.get_records(learner, season.name, reviews)
		steps = [
			list(_steps(learner, season, question, answers, content))
			for question, answers in reviews.items()
			if question in content and question not in known
		]
		with database.transaction():
			_journal(learner, season.name, steps, calendar)
		Schedules().clear_learner(learner, season.name)
	return sum(map(len, steps))


def _steps(
	learner: str, season: Season, question: str, reviews: list[Review], content: dict[str, dict[str, Any]]
) -> Iterator[Step]:
	record, zone = None, site_time.site_zone()
	for review in reviews:
		moment = datetime.fromtimestamp(review.reviewed_ts, tz=zone)
		response = Response(question, QUALITIES[review.button], review.response_time_ms)
		outcome = SeasonScheduler(learner, season, moment).review(question, record, response.quality)
		answered_at = site_time.to_naive(moment)
		origin = record or Origin.of(question, content, answered_at)
		step = Step(response, record, record_after(origin, outcome.memory), outcome, answered_at)
		record = step.after
		yield step


def _journal(learner: str, season: str, steps: list[list[Step]], calendar: Calendar) -> None:
	"""Journals the answers in rounds: first each question's first answer, then each question's second, and so on.

	A submission has at most one journal row of a question. So each round is a submission.
	"""
	batch = row_names.digest(*(answers[0].after.question_id for answers in steps))
	for number, round_ in enumerate(zip_longest(*steps), start=1):
		given = [step for step in round_ if step]
		entries = [journal_entry(step, SOURCE) for step in given]
		write_submission(
			learner,
			season,
			f"anki-{batch}-{number}",
			entries,
			[step.after for step in given if step.outcome.moved],
			site_time.naive_now(),
			counting.count_entries(entries, {step.after.question_id: step.after.subject for step in given}),
			calendar=calendar,
		)
