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
from tests.integration import bench_commands, state
from tests.integration.connections import at_once, in_other_connection
from tests.integration.factories import bank_questions, make_learner, make_records, make_season, site_now
from tests.integration.submitting import answers, submit
from tests.integration.test_drain import statements

BOTH_SUBJECTS = [bank_questions()[0], bank_questions("Bank Biology")[0]]
SHOWN = ("answers", "reviews", "recalled")
CHANGES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


def drain() -> int:
	return len(folds.drain(site_now()))


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
	assert daily(season)[today()][1] == 20


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


# From the journal


@pytest.fixture
def played(player, season) -> None:
	"""Two learners have answered four days ago and yesterday, and one of them today; all is folded."""
	other = make_learner().name
	for days, learners in ((3, (player, other)), (1, (player, other)), (0, (player,))):
		for learner in learners:
			submit(learner, answers(questions=BOTH_SUBJECTS, quality=4 - days))
		drain()
		let_days_pass(days)


def let_days_pass(days: int) -> None:
	"""The figures have not moved along: they are those of an app that did not count yet."""
	shift = f"- INTERVAL {days} DAY"
	frappe.db.sql(f"UPDATE `tabPlayer Review Log` SET reviewed_at = reviewed_at {shift}")
	frappe.db.sql(
		f"UPDATE `tabPlayer Memory Tracker` SET last_review_date = last_review_date {shift}, "
		f"next_review_date = next_review_date {shift}"
	)
	if days:
		for doctype in ("Activity Count", "Daily Learner"):
			frappe.db.delete(doctype)
	frappe.db.commit()


def test_days_before_the_app_counted_are_counted_from_the_journal(played, player, season):
	activity.sum_up()
	report = activity_rebuild.rebuild_activity(season)
	assert (report.learners, report.answers, report.days) == (2, 10, 2)
	assert_as_journalled()
	assert [learners for learners, *_ in daily(season).values()] == [2, 2, 1]
	before = daily(season)
	activity_rebuild.rebuild_activity(season)
	assert daily(season) == before


def test_what_is_still_to_be_counted_is_not_counted_twice_by_a_rebuild(played, player, season):
	"""An answer of yesterday is folded late: its fold will count it, or has just done so."""
	yesterday = str(site_time.learning_day() - timedelta(days=1))
	for fold in (False, True):
		submit(player, answers(3))
		(row,) = state.outbox(player)
		moved = row.activity.replace(today(), yesterday)
		frappe.db.set_value("Review Outbox", row.name, "activity", moved, update_modified=False)
		frappe.db.sql(
			"UPDATE `tabPlayer Review Log` SET reviewed_at = reviewed_at - INTERVAL 1 DAY WHERE name LIKE %s",
			(f"{row.name}%",),
		)
		frappe.db.commit()
		if fold:
			drain()
		activity_rebuild.rebuild_activity(season)
		drain()
		activity.sum_up()
		assert_as_journalled()


def test_the_command_counts_anew(played, season):
	result = bench_commands.run(
		"--site", frappe.local.site, "memora", "activity", "--rebuild", season, "--json"
	)
	assert result.exit_code == 0, result.stderr
	assert frappe.parse_json(result.stdout) == {
		"season": season,
		"learners": 2,
		"answers": 10,
		"days": 2,
		"counts": 2,
	}
	assert_as_journalled()


def test_another_seasons_figures_stay(played, player, season):
	other = make_season().name
	activity.sum_up()
	before = daily(season)
	activity_rebuild.rebuild_activity(other)
	assert daily(season) == before
