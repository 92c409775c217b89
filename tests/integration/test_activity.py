"""Each day's figures count each answer once, whatever happens to its fold, and agree with the journal."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import frappe
import pytest

from devtools import ports
from memora.services import site_time, srs_persistence
from memora.services.figures import activity, activity_rebuild
from memora.services.folding import counting, folds, queueing
from memora.services.settings import get_settings
from memora.services.store import figure_tables, outbox, tracker
from memora.services.store.records import JournalEntry
from tests.integration import state
from tests.integration.connections import at_once, in_other_connection
from tests.integration.factories import bank_questions, make_learner, make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.test_drain import statements

BOTH_SUBJECTS = [bank_questions()[0], bank_questions("Bank Biology")[0]]
SHOWN = ("answers", "reviews", "recalled")
CHANGES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


def drain() -> int:
	return len(folds.drain(site_now()).folded)


def assert_as_journalled() -> None:
	assert state.activity() == state.journalled_activity()


def daily(season: str) -> dict[str, tuple[int, int, int, int]]:
	"""(learners, answers, reviews, recalled) by day; that the parts add up is looked at, too."""
	subjects: dict[str, Counter] = {}
	for row in state.rows("Daily Activity Subject"):
		subjects.setdefault(row.parent, Counter()).update({name: row[name] for name in SHOWN})
	days = state.rows("Daily Activity", season=season)
	for day in days:
		figures = {name: day[name] for name in SHOWN}
		assert {name: subjects[day.name][name] for name in figures} == figures
	return {str(d.day): (d.learners, d.answers, d.reviews, d.recalled) for d in days}


def today() -> str:
	return str(site_time.learning_day())


# What is counted


def entry(question_id: str, kind: str = "Review", rating: str = "Good", **values) -> JournalEntry:
	"""An answer as the journal has it; what is not counted is left out."""
	fields = dict.fromkeys(JournalEntry.__dataclass_fields__)
	named = {"question_id": question_id, "kind": kind, "rating": rating, "reviewed_at": site_now()}
	return JournalEntry(**{**fields, **named, **values})


def test_reviews_are_answers_to_what_was_learnt_before_and_only_again_is_not_recalled():
	ratings = ("Again", "Hard", "Good", "Easy")
	entries = [entry("q", kind, rating) for kind in ("Learn", "Review", "Practice") for rating in ratings]
	assert counting.count_entries(entries, {"q": "Geography"}) == [(today(), "Geography", 12, 4, 3, 0, 0)]


def test_a_question_without_a_subject_is_counted_without_one():
	assert counting.count_entries([entry("q")], {"q": None}) == [(today(), "", 1, 1, 1, 0, 0)]


def test_a_day_is_a_learning_day():
	midnight = site_now().replace(hour=0, minute=0, second=0, microsecond=0)
	hour = timedelta(hours=get_settings().day_start_hour)
	moments = [midnight + hour - timedelta(microseconds=1), midnight + hour]
	counted = counting.count_entries([entry("q", reviewed_at=moment) for moment in moments], {})
	days = [midnight.date() - timedelta(days=1), midnight.date()]
	assert [day for day, *_ in counted] == [str(day) for day in days]


def test_folds_count_what_was_answered(player, season):
	other = make_learner().name
	submit(player, answers(questions=BOTH_SUBJECTS))
	make_records(player, question_ids=bank_questions()[9:10])
	submit(player, answers(questions=bank_questions()[9:10], quality=1))
	submit(other, answers(questions=BOTH_SUBJECTS, quality=0))
	assert state.activity() == {}
	drain()
	figures = {"Bank Geography": (3, 1, 0, 0, 0), "Bank Biology": (2, 0, 0, 0, 0)}
	expected = {(today(), subject): counts for subject, counts in figures.items()}
	assert state.activity() == expected == state.journalled_activity()
	assert not daily(season)
	activity.sum_up()
	assert daily(season) == {today(): (2, 5, 1, 0)}
	assert state.activity() == expected
	assert not state.rows("Activity Count")


def test_sums_grow_with_what_is_folded_later(player, season):
	make_records(player, 9)
	for first, quality in ((0, 4), (3, 1), (6, 4)):
		submit(player, answers(quality=quality, questions=bank_questions()[first : first + 3]))
		drain()
		activity.sum_up()
		activity.sum_up()
	assert daily(season) == {today(): (1, 9, 9, 6)}
	assert_as_journalled()


def test_figures_of_the_present_day_are_up_to_the_last_fold(player):
	day = site_time.learning_day()
	assert (activity.learners_of_day(day), activity.answers_of_day(day)) == (0, 0)
	submit(player, answers(3))
	drain()
	activity.sum_up()
	submit(player, answers(2))
	submit(make_learner().name, answers(2))
	drain()
	day = site_time.learning_day()
	assert (activity.learners_of_day(day), activity.answers_of_day(day)) == (2, 7)
	assert figure_tables.count_learners_of_day(day, exact_up_to=2) == 2
	assert (
		figure_tables.count_learners_of_day(day, exact_up_to=0) == 1
	)  # of the last sum, or as far as it counts


# Once


def test_a_fold_that_is_repeated_counts_nothing(player):
	submit(player, answers(3), "s-1")
	(row,) = state.outbox(player)
	assert folds.fold(row.name)
	assert folds.fold(row.name) is None
	submit(player, answers(3), "s-1")
	srs_persistence.persist_review_batch([], player, row.season, submission=row.name)
	assert_as_journalled()


def test_folds_of_one_learner_at_once_count_each_answer_once(player):
	for number in range(12):
		submit(player, answers(3, quality=number % 6))
	names = [row.name for row in state.outbox(player)]
	at_once(*[lambda: [folds.fold(name) for name in names]] * 3)
	assert_as_journalled()


def test_two_who_sum_up_at_once_add_each_count_once(player, season):
	for _ in range(10):
		submit(player, answers(2))
		drain()
	assert sorted(at_once(activity.sum_up, activity.sum_up)) == [0, 10]
	assert sum(answers for _learners, answers, *_ in daily(season).values()) == 20


@pytest.mark.parametrize("is_rebuilt", [False, True], ids=["sum", "rebuild"])
def test_one_whose_transaction_is_older_than_anothers_sums_adds_none_of_them_again(
	player, season, is_rebuilt
):
	submit(player, answers(2))
	drain()
	yesterday = site_time.learning_day() - timedelta(days=1)
	frappe.db.sql("UPDATE `tabActivity Count` SET day = %s", (yesterday,))
	frappe.db.sql("UPDATE `tabPlayer Review Log` SET reviewed_at = reviewed_at - INTERVAL 1 DAY")
	frappe.db.commit()

	def sum_meanwhile(*_report) -> None:
		assert in_other_connection(activity.sum_up).result(30) == 1

	if is_rebuilt:
		activity_rebuild.rebuild_activity(season, sum_meanwhile)
	else:
		frappe.db.sql("SELECT COUNT(*) FROM `tabActivity Count`")
		sum_meanwhile()
		activity.sum_up()
	assert [answers for _learners, answers, *_ in daily(season).values()] == [2]


def test_a_fold_without_a_queue_counts(player, queue_url, monkeypatch):
	monkeypatch.setattr(queueing._inline, "next_at", 0.0)
	queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
	submit(player, answers(3))
	assert not state.outbox(player)
	assert len(state.rows("Activity Count")) == 1
	assert_as_journalled()


@pytest.mark.parametrize("work", [drain, activity.sum_up], ids=["fold", "sum"])
def test_one_that_is_killed_after_any_statement_has_counted_once_or_not_at_all(player, season, work):
	submit(player, answers(questions=BOTH_SUBJECTS))
	if work is activity.sum_up:
		drain()
	deaths = 0
	while is_killed(work, after=deaths + 1):
		deaths += 1
		assert state.activity(with_outbox=True) == state.journalled_activity()
	assert deaths >= 3
	assert_as_journalled()
	activity.sum_up()
	assert daily(season) == {today(): (1, 2, 0, 0)}


def is_killed(work: Callable[[], object], after: int) -> bool:
	"""Does the work in another process, which SIGKILL meets after so many statements that change something.

	False where it came to its end before.
	"""
	site, sites_path = frappe.local.site, frappe.local.sites_path
	if not (pid := os.fork()):
		_inherited = frappe.local.db  # forgotten, it would end the connection of both processes
		try:
			frappe.init(site, sites_path=sites_path)
			frappe.connect()
			_die_after(after)
			work()
		finally:
			os._exit(0)
	return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def _die_after(statements_left: int) -> None:
	sql = frappe.db.sql

	def counting(query, *values, **options):
		nonlocal statements_left
		result = sql(query, *values, **options)
		statements_left -= str(query).split()[0].upper() in CHANGES
		if not statements_left:
			os.kill(os.getpid(), signal.SIGKILL)
		return result

	frappe.db.sql = counting


# What it costs


def test_a_full_batch_counts_in_two_statements(monkeypatch):
	learners = [make_learner().name for _ in range(5)]
	costs = []
	for how_many in (1, 5):
		for learner in learners[:how_many]:
			submit(learner, answers(questions=BOTH_SUBJECTS))
		with statements(monkeypatch) as sent:
			assert drain() == how_many
		costs.append([s for s in sent if "Activity Count" in s or "Daily Learner" in s])
	assert [len(cost) for cost in costs] == [2, 2]


def test_folds_do_not_wait_for_each_other(player):
	"""One that has counted and not committed yet holds nothing that another learner's fold wants."""
	other = make_learner().name
	for learner in (player, other):
		submit(learner, answers(2))
	(mine,), (theirs,) = state.outbox(player), state.outbox(other)
	frappe.db.begin()
	rows = outbox.take([mine.name])
	tracker.upsert_submissions(rows)
	outbox.delete(rows)
	counting.count_folded(rows)
	assert in_other_connection(lambda: folds.fold(theirs.name)).result(10).name == theirs.name
	frappe.db.commit()
	assert_as_journalled()


# Old rows


def test_learners_of_long_ago_go_and_what_was_counted_of_them_stays(player, season):
	submit(player, answers(1))
	drain()
	activity.sum_up()
	old = site_time.learning_day() - timedelta(days=activity.LEARNERS_KEPT_DAYS + 1)
	name = figure_tables.learner_row_name(season, old, player)
	insert = "INSERT INTO `tabDaily Learner` (name, day, season, player) VALUES (%s, %s, %s, %s)"
	frappe.db.sql(insert, (name, old, season, player))
	frappe.db.commit()
	activity.sum_up()
	assert [str(row.day) for row in state.rows("Daily Learner")] == [today()]
	frappe.db.delete("Daily Learner")
	make_records(player, question_ids=bank_questions()[1:2])
	submit(player, answers(questions=bank_questions()[1:2]))
	frappe.db.commit()
	frappe.db.sql("UPDATE `tabDaily Activity` SET learners = 7")
	drain()
	activity.sum_up()
	assert daily(season) == {today(): (7, 2, 1, 1)}
