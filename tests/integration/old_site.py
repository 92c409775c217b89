"""A site of an earlier version, and what its learners know before and after it has been brought over."""

from dataclasses import dataclass, field
from typing import Any

import frappe
from frappe.utils import background_jobs

from memora.services.folding import folds, queueing
from memora.services.learning import learners as learning_learners
from memora.services.operations.replay import replay_season
from memora.services.store import journal, tracker
from memora.services.store.row_names import digest
from tests.integration import cleaning, state
from tests.integration.archiving import move_to_archive
from tests.integration.factories import (
	STANDING_SEASON,
	Learner,
	bank_questions,
	make_learner,
	make_record,
	make_records,
	make_season,
	make_waiting_submission,
	site_now,
)
from tests.integration.old_learners import age, key_then, unconverted
from tests.integration.submitting import answers, days_ago, ids, read, submit

SUBJECT = "Bank Geography"


@dataclass
class Expected:
	"""What a learner knew, and what she asks after, before the patch."""

	due: list[str]
	due_of_subject: list[str]
	records: dict[str, dict[str, Any]]
	journal: dict[str, list]
	archived: list[str]
	jobs: dict[str, str] = field(default_factory=dict)


@dataclass
class OldSite:
	learners: list[Learner]
	seasons: list[str]
	expected: dict[str, Expected]


def make_old_site(how_many: int = 6) -> OldSite:
	"""Learners with answers of two days, some folded, one waiting, one parked; two seasons, and one archived."""
	other, past = (make_season(partition_created=1).name for _ in range(2))
	learners = [make_learner() for _ in range(how_many)]
	for number, learner in enumerate(learners):
		with days_ago(20):
			submit(learner.name, answers(3 + number % 3))
		with days_ago(9):
			submit(learner.name, answers(2, quality=1))
		folds.drain(site_now())
		for season in (other, past):
			make_records(learner.name, 3, season=season)
	move_to_archive(past)
	frappe.db.set_value(
		"Game Subscription Season", past, {"archived_at": site_now(), "archive_started_at": site_now()}
	)
	expected = {}
	for learner in learners:
		job = submit(learner.name, answers(1, questions=bank_questions()[10:11]))["persistence_job_id"]
		parked = make_waiting_submission(learner.name, STANDING_SEASON, make_record(bank_questions()[12]))
		frappe.db.set_value("Review Outbox", parked, {"parked_at": site_now(), "error": "ValueError: no"})
		cleaning.empty_schedules()  # they lack what a factory has made
		expected[learner.user] = look(learner, [other])
		expected[learner.user].jobs = {
			key_then(learner, queueing.key_of(job)): "queued",
			key_then(learner, parked): "parked",
		}
	frappe.db.commit()
	age(*learners)
	return OldSite(learners, [STANDING_SEASON, other], expected)


def look(learner: Learner, others: list[str]) -> Expected:
	frappe.db.commit()
	name = learning_learners.look_up(learner.user)
	return Expected(
		due=ids(read(name, limit=100)),
		due_of_subject=ids(read(name, SUBJECT, limit=100)),
		records={s: tracker.get_all_records(name, s) for s in (STANDING_SEASON, *others)},
		journal={s: _entries(s, name) for s in (STANDING_SEASON, *others)},
		archived=sorted(row.question_id for row in state.rows("Archived Memory Tracker", player=name)),
	)


def _entries(season: str, learner: str) -> list:
	return sorted(repr(entry) for _learner, entry in journal.iterate_journal(season, learner))


def check(site: OldSite) -> None:
	"""All is as it was, under ids, wherever one looks."""
	assert unconverted() == {}
	for learner in site.learners:
		found, expected = look(learner, site.seasons[1:]), site.expected[learner.user]
		jobs = {key: queueing.get_status(background_jobs.create_job_id(key)) for key in expected.jobs}
		found.jobs = {key: status and status["status"] for key, status in jobs.items()}
		assert found == expected
	for season in site.seasons:
		assert replay_season(season).differences == 0
	assert not [key for key in cleaning.srs_keys() if "@" in key]
	assert {row.name for row in state.rows("Memora Learner")} == {digest(one.user) for one in site.learners}
