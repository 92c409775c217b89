"""What is read of records, by every way: of several learners in two seasons, and against a plain model.

Dates and names lie on each limit that is asked for; questions are withdrawn, moved and told apart by letter case; answers wait
in outboxes, of which one has been overtaken.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import frappe
import pytest

from memora.exceptions import SeasonStateError
from memora.services.store import (
	figure_tables,
	question_status,
	row_names,
	scans,
	standing,
	tracker,
	whole_schedules,
)
from memora.services.store.question_status import Status
from memora.services.store.records import Effort, MemoryRecord
from tests.integration import factories
from tests.integration.factories import make_record, make_season
from tests.integration.folding import put

LEARNERS = ["1" * 16, "8" * 16, "f" * 16]
OTHERS = ["3" * 16]  # whose records are all of the other season
QUESTIONS = ["B", "a", "b", "c", "d", "é"]
NOW = datetime(2026, 3, 4, 5, 6, 7)
DAY = "2026-03-04"
DATES = [NOW + timedelta(seconds=s) for s in (-90_000, -1, -1, 0, 0, 1, 90_000)]
STATUSES = {"a": Status(False, "One", None), "c": Status(True, "Two", "Two: C"), "d": Status(True, "", "")}
SUBJECTS = [None, "One", "Two"]


@dataclass
class Model:
	"""Records by (learner, season). `stored` are the tracker's, `waiting` those of the outbox that count."""

	season: str
	other: str
	statuses: dict[str, Status] = field(default_factory=dict)
	stored: dict[tuple[str, str], dict[str, MemoryRecord]] = field(default_factory=dict)
	waiting: dict[tuple[str, str], dict[str, MemoryRecord]] = field(default_factory=dict)

	def records(self, learner: str, season: str) -> dict[str, MemoryRecord]:
		return self.stored.get((learner, season), {}) | self.waiting.get((learner, season), {})

	def is_live(self, question_id: str) -> bool:
		return question_id not in self.statuses or self.statuses[question_id].is_live

	def subject(self, record: MemoryRecord) -> str | None:
		status = self.statuses.get(record.question_id)
		return (record.subject if status is None or status.subject is None else status.subject) or None

	def topic(self, record: MemoryRecord) -> str | None:
		status = self.statuses.get(record.question_id)
		return (record.topic if status is None or status.topic is None else status.topic) or None

	def asked(self, records: Any, subject: str | None = None) -> list[MemoryRecord]:
		"""In the order of a schedule."""
		found = [r for r in records if self.is_live(r.question_id) and subject in (None, self.subject(r))]
		return sorted(found, key=lambda r: (r.next_review_date, r.question_id.encode()))

	def rows(self, season: str, share: dict[str, str]) -> list[tuple[str, str, MemoryRecord]]:
		"""(name, learner, record) of the tracker's rows of a share, by name."""
		return sorted(
			(name, learner, record)
			for (learner, of), records in self.stored.items()
			for record in records.values()
			if of == season
			and share["first"] <= (name := row_names.tracker_name(learner, season, record.question_id))
			and name < share["last"]
		)


@pytest.fixture(params=[True, False], ids=["changed", "unchanged"])
def model(request, season) -> Model:
	"""With questions whose status differs from the records, and with none."""
	made = Model(season, make_season().name, STATUSES if request.param else {})
	for index, learner in enumerate([*LEARNERS, *OTHERS]):
		factories.ensure_learner(learner)
		for shift, of in enumerate((made.season, made.other)):
			if of == made.season and learner in OTHERS:
				continue
			made.stored[learner, of] = {q: a_record(n, index, shift) for n, q in enumerate(QUESTIONS)}
			tracker.upsert_records(learner, of, made.stored[learner, of].values())
	add_waiting(made, LEARNERS[1], made.season, "a", "b", "only waits")
	add_waiting(made, LEARNERS[0], made.other, "c")
	factories.ensure_questions([*QUESTIONS, "only waits"])
	if made.statuses:
		question_status.put(made.statuses, ["a"])
	frappe.db.commit()
	return made


def a_record(number: int, index: int, shift: int, **values: Any) -> MemoryRecord:
	due = DATES[(number + index + 2 * shift) % len(DATES)]
	return make_record(
		QUESTIONS[number],
		subject=(None, "One", "Two")[(number + index) % 3],
		topic=(None, "One: A")[number % 2],
		stability=1.5 + number + 10 * index,
		difficulty=3.25 + number,
		reps=number + 2,
		lapses=(number + shift) % 4,
		next_review_date=due,
		last_review_date=NOW - timedelta(days=number + 1),
		creation=NOW - timedelta(days=20 - number - index),
		**values,
	)


def add_waiting(made: Model, learner: str, season: str, *question_ids: str) -> None:
	"""Answers that wait: newer ones, and before them one to the first of these questions that has been overtaken."""
	stored = made.stored[learner, season]
	first = stored[question_ids[0]]
	overtaken = replace(first, reps=first.reps - 1, next_review_date=NOW - timedelta(days=9))
	known = {q: stored.get(q, replace(first, question_id=q)) for q in question_ids[1:]}
	newer = {q: replace(r, reps=9, next_review_date=DATES[n]) for n, (q, r) in enumerate(known.items())}
	put(learner, season, "answers", [overtaken, *newer.values()])
	put(OTHERS[0], season, "answers", [make_record("B")])
	made.waiting[learner, season] = newer


def places(records: list[MemoryRecord]) -> list[tuple[datetime, str]]:
	return [(record.next_review_date, record.question_id) for record in records]


# Of one learner


def test_what_is_due_and_when_the_next_falls_due(model):
	for (learner, season), now in ((of, now) for of in model.stored for now in sorted(set(DATES))):
		if learner in OTHERS:
			continue
		for subject in SUBJECTS:
			asked = model.asked(model.records(learner, season).values(), subject)
			due = [record for record in asked if record.next_review_date <= now]
			for limit in (1, 2, 3, 20):
				found, total = tracker.get_due(learner, season, now, limit, subject)
				assert (places(found), total) == (places(due[:limit]), len(due))
			ahead = min((r.next_review_date for r in asked if r.next_review_date > now), default=None)
			assert tracker.get_next_due(learner, season, now, subject) == ahead


def test_her_records_and_their_dates(model):
	days = [(model.season, DAY), (model.season, "2026-03-05"), (model.other, DAY)]
	efforts = {
		(*days[n % 3], learner): Effort(days[n % 3][1], n + 1, "", n)
		for n, learner in enumerate(LEARNERS * 2)
	}
	efforts |= {(model.season, DAY, LEARNERS[2]): Effort(DAY, 9, "0123abcd", 3)}
	figure_tables.insert_learners(efforts, NOW)
	for (learner, season), stored in model.stored.items():
		if learner in OTHERS:
			continue
		waiting, records = model.waiting.get((learner, season), {}), model.records(learner, season)
		shown = {
			q: replace(r, subject=model.subject(r), topic=model.topic(r)) if q not in waiting else r
			for q, r in records.items()
		}
		overtaken = set(tracker.get_pending(learner, season)) - waiting.keys()
		assert tracker.get_all_records(learner, season) == shown
		for ids in ([], ["b"], QUESTIONS[2:], ["nowhere"], QUESTIONS * (tracker.FEW_RECORDS // 6 + 1)):
			found = tracker.get_records(learner, season, ids)
			for question_id in overtaken - set(ids):
				del found[question_id]  # only the outbox tells of it
			assert found == {q: shown[q] for q in shown if q in {*ids, *waiting}}
		dates = {r.question_id: r.next_review_date for r in model.asked(records.values())}
		assert tracker.get_dates(learner, season) == dates
		asked_for = standing.get_standing(learner, season, ["B", "b"], date(2026, 3, 4))
		assert asked_for.records.keys() - overtaken == {"B", "b", *waiting}
		assert asked_for.effort == efforts.get((season, DAY, learner), Effort(DAY))
		assert asked_for.waiting == ((learner, season) in model.waiting)
		for before in (None, *(record.creation for record in stored.values())):
			seen = {q for q, record in stored.items() if before is None or record.creation < before}
			assert tracker.get_all_seen(learner, season, before) == seen
		assert tracker.get_first_seen_of(learner, season, ["b", "nowhere"]) == {"b": stored["b"].creation}
	assert tracker.get_first_seen_of(LEARNERS[0], model.season, []) == {}


def test_one_row_as_a_form_shows_it(model):
	for (learner, season), stored in model.stored.items():
		name = row_names.tracker_name(learner, season, "é")
		assert tracker.get_memory("Player Memory Tracker", name) == (learner, season, stored["é"])
	assert tracker.get_memory("Player Memory Tracker", "nowhere") is None
	assert tracker.get_memory("Archived Memory Tracker", name) is None


# Of many learners


def test_whole_schedules_of_some_learners(model):
	for season in (model.season, model.other):
		for some in ([], LEARNERS[:2], LEARNERS[1:], [*LEARNERS, "9" * 16]):
			found = whole_schedules.get_schedules(season, some)
			assert {
				learner: {q: datetime.fromisoformat(due) for q, due in schedule.items()}
				for learner, schedule in found.items()
			} == {
				learner: {
					r.question_id: r.next_review_date
					for r in model.asked(model.records(learner, season).values())
				}
				for learner in some
			}
	for some in (LEARNERS[:1], LEARNERS[1:], LEARNERS):
		waiting = {LEARNERS[1]} & set(some)
		assert whole_schedules.get_waiting_learners(model.season, some) == waiting
	assert whole_schedules.get_waiting_learners(model.other, LEARNERS) == {LEARNERS[0]}


def test_a_seasons_learners_page_by_page_and_drawn_at_random(model, monkeypatch):
	for season in (model.season, model.other):
		all_ = sorted(learner for learner, of in model.stored if of == season)
		counted = [(learner, len(QUESTIONS)) for learner in all_]
		for at, after in enumerate(["", *all_]):
			for limit in (1, 2, 9):
				assert whole_schedules.get_learners(season, after, limit) == counted[at : at + limit]
		assert whole_schedules.pick_learners(season, 64) == set(all_)
		for number, place in enumerate([0, *(int(learner, 16) + 1 for learner in all_)]):
			monkeypatch.setattr(whole_schedules.random, "getrandbits", lambda bits, place=place: place)
			assert whole_schedules.pick_learners(season, 1) == {all_[number % len(all_)]}
		monkeypatch.undo()
	assert whole_schedules.pick_learners("Nowhere", 2) == set()


# Scans of a share of the learners


def bounds(model: Model) -> list[dict[str, str]]:
	"""Shares that begin and end at rows, and all."""
	names = [name for name, *_rest in model.rows(model.season, row_names.shares(1)[0])]
	return [*row_names.shares(1), *row_names.shares(2), {"first": names[3], "last": names[11]}]


def test_how_many_fall_due_on_each_day(model):
	today, hour = date(2026, 3, 4), 4

	def expected(season: str, share: dict[str, str], days: int) -> dict[int, int]:
		dates = [r.next_review_date for _, _, r in model.rows(season, share) if model.is_live(r.question_id)]
		ahead = [((due - timedelta(hours=hour)).date() - today).days for due in dates]
		return dict(Counter(min(max(day, -1), days) for day in ahead))

	moved = datetime.combine(today, time(hour))
	for index, due in enumerate((-86_401, -1, 0, 86_399, 86_400, 86_400 * 3)):
		key = LEARNERS[index % 3], model.season
		date_ = moved + timedelta(seconds=due)
		changed = replace(model.stored[key][QUESTIONS[index]], next_review_date=date_)
		model.stored[key][QUESTIONS[index]] = changed
		tracker.overwrite_records(*key, [changed])
	for season in (model.season, model.other):
		for days in (1, 2, 9):
			assert scans.get_due_by_day(season, today, days, hour) == expected(
				season, row_names.shares(1)[0], days
			)
			for share in bounds(model):
				assert scans.get_due_by_day(season, today, days, hour, share) == expected(season, share, days)


def test_leeches(model):
	for share in bounds(model):
		for lapses, subject in ((1, None), (2, None), (3, "One"), (1, "Two")):
			rows = [
				(record.lapses, learner, record.question_id, model.subject(record), model.topic(record))
				for name, learner, record in sorted(
					model.rows(model.season, share), key=lambda row: (-row[2].lapses, row[0])
				)
				if record.lapses >= lapses and model.asked([record], subject)
			]
			for limit in (2, 50):
				found = scans.get_leeches(model.season, share, lapses, subject, limit)
				assert [row[:5] for row in found] == rows[:limit]
			counts = Counter(row[3] or "" for row in rows)
			assert scans.count_leeches(model.season, share, lapses, subject) == counts


def test_an_overview_of_each_learner(model):
	for share in bounds(model):
		for now in set(DATES):
			expected = {}
			for learner in LEARNERS:
				records = [r for _, of, r in model.rows(model.season, share) if of == learner]
				if records:
					due = sum(r.next_review_date <= now and model.is_live(r.question_id) for r in records)
					expected[learner] = (
						*(len(records), due, sum(r.lapses for r in records)),
						pytest.approx(sum(r.stability for r in records) / len(records)),
						*(min(r.creation for r in records), max(r.last_review_date for r in records)),
					)
			found = scans.get_learner_overviews(model.season, share, now)
			assert {learner: values for learner, *values in found} == {k: [*v] for k, v in expected.items()}


# Writing


def test_a_season_that_is_being_archived_takes_no_records_though_others_do(model):
	frappe.db.set_value("Game Subscription Season", model.other, "archive_started_at", NOW)
	tracker.keep_from_archiving(model.season)
	with pytest.raises(SeasonStateError, match=model.other):
		tracker.keep_from_archiving(model.other)
	frappe.db.rollback()
