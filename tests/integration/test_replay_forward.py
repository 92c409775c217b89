"""A repair goes forward only: what is newer than the journal, or older than all of it, is recognised and kept."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import frappe
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memora.services.folding import folds
from memora.services.operations.replay import replay_season
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import tracker
from memora.services.store.records import MemoryRecord
from tests.integration import bench_commands, factories
from tests.integration.accounts import become_learner, rename
from tests.integration.factories import STANDING_SEASON, bank_questions, make_records, make_user
from tests.integration.submitting import answers, days_ago, submit

LONG_AGO = datetime(2025, 1, 1, 5)
DUE = datetime(2030, 1, 1, 4)


def fold() -> None:
	folds.drain(factories.site_now())
	frappe.db.commit()


def answer(player: str, question: str, days: int, quality: int = 4) -> None:
	with days_ago(days):
		submit(player, answers(quality=quality, questions=[question]))


def write_externally(player: str, question: str, stability: float = 99.0, due: datetime = DUE) -> None:
	result = {"question_id": question, "new_stability": stability, "new_next_review_date": due}
	assert SRSPersistenceService().persist_review_batch([result], player, STANDING_SEASON)["success"]


def set_back(player: str, record: MemoryRecord) -> None:
	"""Has the tracker say what it said before, as an old backup does."""
	tracker.overwrite_records(player, STANDING_SEASON, [record])
	frappe.db.commit()


def records(player: str) -> dict[str, MemoryRecord]:
	frappe.db.rollback()
	return tracker.get_all_records(player, STANDING_SEASON)


def forget(player: str, question: str) -> None:
	frappe.db.delete("Player Memory Tracker", {"player": player, "question_id": question})
	frappe.db.commit()


@pytest.fixture
def question() -> str:
	return bank_questions()[0]


def test_what_a_host_app_stored_is_no_difference_and_stays(player, season, question):
	"""Case r6: the command called it a difference, and set it back."""
	answer(player, question, 1)
	fold()
	write_externally(player, question)
	before = records(player)[question]
	for options in ((), ("--repair",)):
		args = ["--site", frappe.local.site, "memora", "replay", "--season", season, "--json", *options]
		done = bench_commands.run(*args)
		report = json.loads(done.stdout)
		found = report["differences"], report["newer"], report["unjournalled"], report["repaired"]
		assert (done.exit_code, *found) == (0, 0, 0, 0, 0)
	assert records(player)[question] == before
	assert (before.stability, before.next_review_date, before.reps) == (99.0, DUE, 2)


def test_what_a_host_app_stored_comes_back_when_it_is_lost(player, season, question):
	answer(player, question, 1)
	fold()
	write_externally(player, question)
	before = records(player)[question]
	forget(player, question)
	assert replay_season(season, repair=True).repaired == 1
	assert records(player)[question] == before


def test_a_row_that_is_newer_than_the_journal_stays(player, season, question):
	"""An earlier version journalled no results of host apps."""
	answer(player, question, 1)
	fold()
	(row,) = records(player).values()
	newer = replace(row, reps=2, stability=99.0, next_review_date=DUE, last_review_date=factories.site_now())
	set_back(player, newer)
	report = replay_season(season, repair=True)
	assert (report.differences, report.newer, report.repaired) == (0, 1, 0)
	assert records(player)[question] == newer
	answer(player, question, -1)
	fold()
	report = replay_season(season, repair=True)
	assert (report.differences, report.newer, report.repaired) == (0, 1, 0)
	assert records(player)[question].reps == 3


def test_a_newer_row_that_lacks_the_last_answer_gets_it(player, season, question):
	answer(player, question, 3)
	fold()
	(row,) = records(player).values()
	newer = replace(row, reps=5, lapses=1, last_review_date=row.last_review_date + timedelta(days=1))
	set_back(player, newer)
	answer(player, question, 1)
	fold()
	(last,) = records(player).values()
	set_back(player, newer)
	assert replay_season(season, repair=True).repaired == 1
	assert records(player)[question] == last
	assert last.reps == 6


@pytest.fixture
def migrated(player, question) -> MemoryRecord:
	"""Her record as setup_partitioning brings it over: no journal, 37 repetitions."""
	values = {"reps": 37, "lapses": 4, "creation": LONG_AGO, "last_review_date": datetime(2025, 6, 1, 9)}
	return make_records(player, question_ids=[question], **values)[0]


def test_a_migrated_site_has_no_differences(player, season, question, migrated):
	other = bank_questions()[1]
	make_records(player, question_ids=[other], reps=12, creation=LONG_AGO)
	answer(player, question, 2)
	answer(player, question, 0, quality=1)
	fold()
	before = records(player)
	assert (before[question].reps, before[question].lapses) == (39, 5)
	report = replay_season(season, repair=True)
	assert (report.differences, report.unjournalled, report.newer, report.from_before) == (0, 1, 0, 1)
	assert records(player) == before


def test_a_migrated_row_that_lacks_answers_keeps_what_it_had_before(player, season, question, migrated):
	answer(player, question, 2)
	fold()
	once = records(player)[question]
	answer(player, question, 0, quality=1)
	fold()
	twice = records(player)[question]
	for earlier in (migrated, once):
		set_back(player, earlier)
		assert replay_season(season).differences == 1
		assert replay_season(season, repair=True).repaired == 1
		assert records(player)[question] == twice


def test_a_migrated_row_that_is_lost_comes_back_as_far_as_the_journal_goes(
	player, season, question, migrated
):
	answer(player, question, 0)
	fold()
	before = records(player)[question]
	forget(player, question)
	assert replay_season(season, repair=True).repaired == 1
	after = records(player)[question]
	assert (after.reps, after.stability, after.next_review_date) == (
		1,
		before.stability,
		before.next_review_date,
	)
	report = replay_season(season)
	assert (report.differences, report.from_before) == (0, 1)


# Any of this in any order

QUESTIONS = 2
ACTIONS = st.sampled_from(("answer", "wrong", "external", "lost", "stale", "fold"))


@settings(
	max_examples=12,
	deadline=None,
	suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
	migrated=st.booleans(),
	actions=st.lists(st.tuples(ACTIONS, st.integers(0, QUESTIONS - 1)), min_size=2, max_size=9),
)
def test_after_a_repair_nothing_is_older_and_what_was_lost_is_back(season, migrated, actions):
	player = factories.make_learner().name
	questions = bank_questions()[:QUESTIONS]
	if migrated:
		make_records(player, question_ids=questions, reps=37, lapses=4, creation=LONG_AGO)
	past: dict[str, list[MemoryRecord]] = {q: [] for q in questions}
	damaged: dict[str, MemoryRecord] = {}  # as it was, until it is changed again
	for step, (action, number) in enumerate(actions):
		question = questions[number]
		if action in ("answer", "wrong"):
			answer(player, question, len(actions) - step, quality=1 if action == "wrong" else 4)
		elif action == "external":
			with days_ago(len(actions) - step):
				write_externally(player, question, stability=5.0 + step)
		fold()
		row = records(player).get(question)
		if action in ("lost", "stale") and row:
			damaged.setdefault(question, row)
			earlier = past[question][step % len(past[question])] if past[question] else None
			if action == "lost" or not earlier:
				forget(player, question)
			else:
				set_back(player, earlier)
		elif row and action != "fold":
			damaged.pop(question, None)
			past[question].append(row)
	before = records(player)
	report = replay_season(season, player, repair=True)
	after = records(player)
	assert report.repaired == report.differences
	assert before.keys() <= after.keys()
	assert all(after[q].age >= row.age and after[q].creation <= row.creation for q, row in before.items())
	for question, row in damaged.items():
		if question in after:  # a migrated row that was never answered is in no journal
			assert after[question].last_review_date == row.last_review_date
			assert after[question].next_review_date == row.next_review_date
			assert after[question].stability == row.stability
	assert replay_season(season, player).differences == 0
	state_after = records(player)
	replay_season(season, player, repair=True)
	assert records(player) == state_after


def test_a_merge_of_users_keeps_what_their_records_have_beside_the_journal(question, season):
	old, new = (make_user(["System Manager"]) for _user in range(2))
	leaving, staying = become_learner(old), become_learner(new)
	make_records(leaving, question_ids=[question], reps=36, lapses=2, creation=LONG_AGO)
	answer(leaving, question, days=9)
	answer(staying, question, days=12)
	fold()
	newer = replace(records(staying)[question], stability=77.0, last_review_date=DUE, next_review_date=DUE)
	set_back(staying, newer)
	rename(old, new, merge=True)
	(record,) = records(staying).values()
	assert (record.reps, record.lapses, record.creation) == (38, 2, LONG_AGO)
	assert (record.stability, record.last_review_date, record.next_review_date) == (77.0, DUE, DUE)
