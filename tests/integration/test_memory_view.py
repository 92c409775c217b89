"""The forms of tracker, archive and journal show the model's own curve and the journal's answers."""

from datetime import date, timedelta

import frappe
import pytest
from frappe.desk.form.load import getdoc

from memora.exceptions import UnknownMemory
from memora.services import site_time
from memora.services.figures import memory_view
from memora.services.figures.memory_view import MAX_POINTS, curve_days
from memora.services.folding import folds
from memora.services.learning import scheduling, season_scheduler
from memora.services.store import tracker as tracker_store
from tests.integration import state
from tests.integration.archiving import move_to_archive
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records, site_now
from tests.integration.handlers import rows_read
from tests.integration.state import tracker
from tests.integration.submitting import answers, days_ago, submit
from tests.integration.test_budgets import counted
from tests.integration.test_http import refused

METHOD = "memora.api.desk.get_memory"
TRACKER, ARCHIVE = "Player Memory Tracker", "Archived Memory Tracker"


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.fixture
def answered(player, season) -> str:
	"""The name of the tracker of a question that was answered on two days."""
	question = bank_questions()[0]
	for days in (1, 0):
		with days_ago(days):
			submit(player, answers(questions=[question]))
	folds.drain_season(season)
	return tracker(player)[question].name


def test_the_curve_is_the_model_s(player, season):
	today = site_now().replace(hour=12, minute=0, second=0, microsecond=0)
	make_records(
		player,
		stability=10.0,
		last_review_date=today - timedelta(days=4),
		next_review_date=(today + timedelta(days=6)).replace(hour=4),
	)
	curve = memory_view.get_memory_view(TRACKER, state.rows(TRACKER)[0].name)["curve"]
	recall = dict(zip(curve["days"], curve["recall"], strict=True))
	assert curve["recall"] == sorted(curve["recall"], reverse=True)
	assert curve["recall"][0] == 1
	assert recall[curve["due"]] == pytest.approx(0.9)  # stability is the days until recall is 90 %
	assert 0.9 < recall[curve["today"]] < 1
	assert curve["desired_retention"] == 0.9


def test_the_curve_says_what_the_next_answer_was_predicted_by(answered, player, season):
	"""The journal's predicted recall of the next answer lies on the curve."""
	(record,) = tracker_store.get_all_records(player, season).values()
	calendar = scheduling.LearningCalendar(site_time.site_zone())
	memory = season_scheduler.memory_of(record, calendar.zone)
	later = memory.last_review + timedelta(days=30)
	outcome = scheduling.review(
		memory, 4, later, seed="s", calendar=calendar, season_end=date(2100, 1, 1), desired_retention=0.8
	)
	assert scheduling.recall(memory, [calendar.day_of(later)], calendar) == [outcome.predicted_recall]


@pytest.mark.parametrize("due_in", [1, 9, 80, 4000])
@pytest.mark.parametrize("passed", [0, 1, 50, 900, 10_000])
def test_a_curve_has_few_days_and_those_that_are_marked(due_in, passed):
	first = date(2026, 1, 1)
	due, today = first + timedelta(days=due_in), first + timedelta(days=passed)
	days = curve_days(first, due, today)
	assert days == sorted(set(days))
	assert len(days) <= MAX_POINTS + 3
	assert (days[0], due in days) == (first, True)
	assert (today in days) == (passed <= 10 * max(due_in, 7))
	assert days[-1] > due


def test_the_history_is_the_journal_s(answered, player, season):
	submit(player, answers(questions=bank_questions()[1:3]))
	found = memory_view.get_memory_view(TRACKER, answered)
	journal = [row for row in state.journal(player) if row.question_id == bank_questions()[0]]
	assert {answer["name"] for answer in found["history"]} == {row.name for row in journal}
	assert [answer["kind"] for answer in found["history"]] == ["Learn", "Review"]
	assert found["history"][0]["predicted_recall"] is None
	assert not found["has_more"]


def test_of_many_answers_the_last_are_shown(answered, monkeypatch):
	monkeypatch.setattr(memory_view, "MAX_ANSWERS", 1)
	found = memory_view.get_memory_view(TRACKER, answered)
	assert ([answer["kind"] for answer in found["history"]], found["has_more"]) == (["Review"], True)


def test_an_archived_memory_looks_the_same(answered, player, season):
	before = memory_view.get_memory_view(TRACKER, answered)
	move_to_archive(season)
	assert memory_view.get_memory_view(ARCHIVE, answered) == before
	with pytest.raises(UnknownMemory):
		memory_view.get_memory_view(TRACKER, answered)


def test_a_journal_entry_leads_to_memory_and_submission(answered, player, season):
	def links() -> dict:
		getdoc("Player Review Log", state.journal(player)[0].name)
		return frappe.response.docs[-1].get("__onload")

	assert (links().memory, links().submission_answers) == ({"doctype": TRACKER, "name": answered}, 1)
	move_to_archive(season)
	assert links().memory == {"doctype": ARCHIVE, "name": answered}
	frappe.db.delete(ARCHIVE)
	frappe.db.commit()
	assert links().memory is None


def test_managers_see_a_memory_over_http(manager, answered):
	found = message(manager.get(METHOD, doctype=TRACKER, name=answered))
	assert len(found["history"]) == 2


@pytest.mark.parametrize(
	("arguments", "status", "exception", "named"),
	[
		({"name": "x"}, 400, "InvalidFilter", "doctype is missing"),
		({"doctype": TRACKER}, 400, "InvalidFilter", "name is missing"),
		(
			{"doctype": "User", "name": "Administrator"},
			400,
			"InvalidFilter",
			"doctype must be Player Memory Tracker or",
		),
		({"doctype": TRACKER, "name": "x OR 1=1"}, 404, "UnknownMemory", "x OR 1=1"),
		({"doctype": ARCHIVE, "name": "<b>"}, 404, "UnknownMemory", "&lt;b&gt;"),
	],
)
def test_bad_names_are_named(manager, arguments, status, exception, named):
	refused(manager.get(METHOD, **arguments), status, exception, named)


def test_a_memory_costs_two_queries_and_her_own_rows(answered):
	"""However much is in the tables."""
	for _ in range(3):
		submit(make_learner().name, answers(questions=bank_questions()))
	memory_view.get_memory_view(TRACKER, answered)  # the settings are read
	frappe.db.rollback()
	with counted() as queries:
		memory_view.get_memory_view(TRACKER, answered)
	with rows_read() as read:
		memory_view.get_memory_view(TRACKER, answered)
	assert queries.total <= 2
	assert read.rows <= 10
