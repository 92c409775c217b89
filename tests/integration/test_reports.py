"""The desk's reports: their figures as plain counts of tracker and journal have them, who may run them, their cost."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import frappe
import pytest
from frappe.desk import query_report

from memora.services import site_time
from memora.services.figures import activity, due_forecast, survey
from memora.services.folding import folds
from memora.services.settings import get_settings
from memora.services.store import figure_tables, row_names, scans
from memora.services.store.figure_tables import Counts
from tests.integration import bench_commands, factories, state
from tests.integration.cleaning import FIGURES
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, make_learner, make_records, make_season, site_now
from tests.integration.submitting import answers, submit
from tests.integration.test_budgets import counted

REPORTS = {
	"Activity by Day": 0,
	"Retention by Subject": 0,
	"Due Forecast": 0,
	"Cache Discrepancies": 0,
	"Leeches": 1,
	"Learner Overview": 1,
}
TODAY_AND_DAYS = due_forecast.DAYS + 1


def run(report: str, **filters: Any) -> dict[str, Any]:
	"""Runs a report as the desk does, without a job."""
	return query_report.run(report, filters=filters, ignore_prepared_report=True)


def rows_of(report: str, **filters: Any) -> list[dict[str, Any]]:
	return run(report, **filters)["result"]


@pytest.fixture
def learners() -> list[str]:
	"""Two with records of two subjects: overdue, due today, in days to come and in months."""
	names = [make_learner().name for _ in range(2)]
	start = datetime.combine(site_time.learning_day(), datetime.min.time())
	start += timedelta(hours=get_settings().day_start_hour)
	for number, name in enumerate(names):
		make_records(
			name,
			question_ids=[*bank_questions()[:20], *bank_questions("Bank Biology")[:10]],
			subject=lambda n: "Bank Geography" if n < 20 else "Bank Biology",
			next_review_date=lambda n: start + timedelta(days=[-40, -1, 0, 1, 1, 29, 30, 31, 200][n % 9]),
			lapses=lambda n, number=number: (n + number) % 12,
			stability=lambda n: 1.5 + n,
		)
	return names


# Figures


def test_the_forecast_counts_what_falls_due_on_each_day(learners, season):
	due_forecast.compute_forecast(season)
	hour, today = timedelta(hours=get_settings().day_start_hour), site_time.learning_day()
	days = Counter((row.next_review_date - hour).date() for row in state.rows("Player Memory Tracker"))
	shown = run("Due Forecast")
	assert {row["day"]: row["due"] for row in shown["result"]} == {
		today + timedelta(days=n): days[today + timedelta(days=n)] for n in range(TODAY_AND_DAYS)
	}
	overdue = sum(number for day, number in days.items() if day < today)
	later = sum(number for day, number in days.items() if day > today + timedelta(days=due_forecast.DAYS))
	assert [s["value"] for s in shown["report_summary"]] == [overdue, days[today], later, days.total()]
	assert overdue and later and days[today]
	assert shown["result"][-1]["in_all"] == days.total() - later
	assert due_forecast.due_until(season, today) == overdue + days[today]
	assert "exactly" in shown["message"]


def test_a_forecast_of_a_share_says_so_and_the_shares_make_the_whole(season, monkeypatch):
	for _ in range(20):
		make_records(factories.learner_id(frappe.generate_hash()), 6)
	today, hour = site_time.learning_day(), get_settings().day_start_hour
	whole = scans.get_due_by_day(season, today, 31, hour)
	parts = Counter()
	for share in row_names.shares(7):
		parts.update(scans.get_due_by_day(season, today, 31, hour, share))
	assert (parts, parts.total()) == (whole, 120)
	monkeypatch.setattr(due_forecast, "EXACT_ROWS", -1)
	monkeypatch.setattr(due_forecast, "SAMPLE_ROWS", 10)
	monkeypatch.setattr(due_forecast.tables, "estimate_rows", lambda *_: 40)
	monkeypatch.setattr(due_forecast.random, "choice", lambda shares: shares[2])
	result = due_forecast.compute_forecast(season)
	sampled = scans.get_due_by_day(season, today, 31, hour, row_names.shares(4)[2])
	assert (result["is_estimate"], result["sampled_percent"]) == (1, 25)
	assert 0 < result["records"] == 4 * sum(sampled.values())
	assert "Estimated from 25 %" in run("Due Forecast")["message"]


def test_the_forecast_is_made_anew_on_each_learning_day(learners, season):
	due_forecast.compute_daily_forecast()
	(first,) = state.rows("Due Forecast")
	due_forecast.compute_daily_forecast()
	assert state.rows("Due Forecast") == [first]
	frappe.db.set_value("Due Forecast", season, "first_day", first.first_day - timedelta(days=1))
	due_forecast.compute_daily_forecast()
	(second,) = state.rows("Due Forecast")
	assert (second.first_day, second.computed_at > first.computed_at) == (first.first_day, True)
	assert len(state.rows("Due Forecast Day")) == TODAY_AND_DAYS


def test_the_command_computes_it(learners, season):
	result = bench_commands.run(
		"--site", frappe.local.site, "memora", "forecast", "--season", season, "--json"
	)
	assert result.exit_code == 0, result.stderr
	found = frappe.parse_json(result.stdout)
	assert (found["season"], found["records"], found["is_estimate"]) == (season, 60, 0)
	assert len(rows_of("Due Forecast")) == TODAY_AND_DAYS


@pytest.mark.parametrize("threshold", [survey.LEECH_LAPSES, 10])
def test_leeches_are_the_questions_forgotten_that_often(learners, threshold):
	expected = {
		(row.player, row.question_id): row.lapses
		for row in state.rows("Player Memory Tracker")
		if row.lapses >= threshold
	}
	shown = run("Leeches", lapses=threshold)
	assert {(row["player"], row["question_id"]): row["lapses"] for row in shown["result"]} == expected
	lapses = [row["lapses"] for row in shown["result"]]
	assert lapses == sorted(lapses, reverse=True) and expected
	(bars,) = shown["chart"]["data"]["datasets"]
	assert sum(bars["values"]) == len(expected)
	biology = rows_of("Leeches", lapses=threshold, subject="Bank Biology")
	assert {row["subject"] for row in biology} == {"Bank Biology"}


def test_of_too_many_leeches_the_worst_are_shown(learners, monkeypatch):
	monkeypatch.setattr(survey, "MAX_ROWS", 3)
	monkeypatch.setattr(survey, "SHARE_ROWS", 10)
	shown = run("Leeches", lapses=1)
	worst = sorted((row.lapses for row in state.rows("Player Memory Tracker")), reverse=True)
	assert [row["lapses"] for row in shown["result"]] == worst[:3]
	assert str(sum(lapses >= 1 for lapses in worst)) in shown["message"]


def test_the_overview_counts_what_each_learner_knows(learners):
	shown = run("Learner Overview")
	now = site_now()
	for name in learners:
		records = [row for row in state.rows("Player Memory Tracker") if row.player == name]
		(row,) = [row for row in shown["result"] if row["player"] == name]
		assert (row["questions"], row["lapses"]) == (30, sum(r.lapses for r in records))
		assert row["due"] == sum(r.next_review_date <= now for r in records)
		assert row["stability"] == pytest.approx(sum(r.stability for r in records) / 30)
		assert row["last_answer"] == max(r.last_review_date for r in records)
	assert [s["value"] for s in shown["report_summary"]] == [2, 60, sum(r["due"] for r in shown["result"])]
	assert sum(shown["chart"]["data"]["datasets"][0]["values"]) == 2


def test_retention_and_days_are_those_of_the_journal(season):
	players = [make_learner().name for _ in range(2)]
	geography, biology = bank_questions(), bank_questions("Bank Biology")
	for player in players:
		make_records(player, question_ids=geography[4:12])
		make_records(player, question_ids=biology[2:6], subject="Bank Biology")
		for n, quality in enumerate((4, 1, 5)):
			questions = [*geography[4 * n : 4 * n + 4], *biology[2 * n : 2 * n + 2]]
			submit(player, answers(questions=questions, quality=quality))
	folds.drain(site_now())
	activity.sum_up()
	journal = state.journalled_activity()
	by_subject = {row["subject"]: row for row in rows_of("Retention by Subject")}
	assert by_subject.keys() == {subject for _day, subject in journal}
	for (_day, subject), counts in journal.items():
		row = by_subject[subject]
		assert tuple(row[name] for name in counts._fields) == counts
		assert row["retention"] == 50.0
	(day,) = rows_of("Activity by Day")
	assert (day["day"], day["learners"], day["answers"]) == (site_time.learning_day(), 2, 36)
	assert (day["reviews"], day["recalled"], day["retention"]) == (24, 12, 50.0)
	assert sum(run("Activity by Day")["chart"]["data"]["datasets"][0]["values"]) == 36
	assert run("Retention by Subject")["chart"]["data"]["datasets"][0]["values"] == [50.0]


def test_weeks_begin_on_monday_and_those_without_reviews_are_left_out(season):
	sunday = date(2026, 3, 1)
	sums = {
		(season, sunday): {"A": Counts(5, 4, 3)},
		(season, sunday + timedelta(days=1)): {"A": Counts(4, 2, 2), "B": Counts(3, 2, 1)},
		(season, sunday + timedelta(days=8)): {"A": Counts(9, 0, 0)},
	}
	figure_tables.add_to_days(sums, dict.fromkeys(sums, 1), site_time.naive_now())
	frappe.db.commit()
	weeks = activity.by_week(season, sunday, sunday + timedelta(days=20))
	mondays = [date(2026, 2, 23), date(2026, 3, 2), date(2026, 3, 9)]
	assert weeks == dict(zip(mondays, (Counts(5, 4, 3), Counts(7, 4, 3), Counts(9)), strict=True))
	period = {"from_date": "2026-02-01", "to_date": "2026-03-30"}
	shown = run("Retention by Subject", **period)
	assert shown["chart"]["data"]["datasets"][0]["values"] == [75.0, 75.0]
	assert [row["retention"] for row in shown["result"]] == [83.3, 50.0]


@pytest.mark.parametrize("hour", [0, 5, 23])
def test_a_run_is_shown_on_the_learning_day_on_which_it_began(season, hour):
	started_at = site_now().replace(hour=hour, minute=30)
	values = {"season": season, "started_at": started_at, "sample_size": 1000, "discrepancies_found": 1}
	frappe.get_doc({"doctype": "Cache Reconciliation", **values, "discrepancy_rate": 0.001}).insert()
	day = site_time.learning_day(started_at)
	shown = run("Cache Discrepancies", from_date=day, to_date=day)
	assert [row["started_at"] for row in shown["result"]] == [started_at]
	assert shown["chart"]["data"]["labels"] == [f"{day.day} {day:%b}"]
	assert (
		run("Cache Discrepancies", from_date=day - timedelta(days=1), to_date=day - timedelta(days=1))[
			"result"
		]
		== []
	)


def test_discrepancies_are_shown_in_percent(season):
	values = {"season": season, "started_at": site_now(), "sample_size": 1000, "discrepancies_found": 1}
	frappe.get_doc({"doctype": "Cache Reconciliation", **values, "discrepancy_rate": 0.001}).insert()
	shown = run("Cache Discrepancies")
	assert shown["result"][0]["percent"] == pytest.approx(0.1)
	assert shown["chart"]["data"]["datasets"][0]["values"] == [10]  # in 10,000 records


def test_figures_go_with_their_season(player):
	other = make_season().name
	due_forecast.compute_forecast(other)
	key = (other, site_time.learning_day())
	figure_tables.add_to_days({key: {"A": Counts(3, 2, 1)}}, {key: 1}, site_time.naive_now())
	frappe.db.commit()
	frappe.delete_doc("Game Subscription Season", other)
	frappe.db.commit()
	for doctype in FIGURES:
		assert not state.rows(doctype)


# Filters


@pytest.mark.parametrize("report", REPORTS)
def test_without_any_data_a_report_is_empty(report):
	shown = run(report)
	assert shown["result"] == [] and shown["columns"]
	assert not shown["chart"]["data"]


@pytest.mark.parametrize("report", REPORTS)
def test_without_any_season_a_report_is_empty(report, season):
	frappe.db.delete("Game Subscription Season")
	try:
		assert run(report)["result"] == []
	finally:
		frappe.db.rollback()


@pytest.mark.parametrize(
	("report", "filters", "problem"),
	[
		("Activity by Day", {"from_date": "2020-01-01"}, "366"),
		("Activity by Day", {"from_date": "2026-02-02", "to_date": "2026-02-01"}, "366"),
		("Retention by Subject", {"to_date": "soon"}, "to_date"),
		("Due Forecast", {"season": "Nowhere"}, "Nowhere"),
		("Leeches", {"lapses": -1}, "lapses"),
		("Leeches", {"lapses": "many"}, "many"),
	],
)
def test_a_wrong_filter_is_named(report, filters, problem):
	shown = run(report, **filters)
	assert (shown["result"], shown["columns"]) == ([], [])
	assert problem in shown["message"]


def test_a_report_is_of_the_season_that_is_asked_for(learners):
	assert rows_of("Learner Overview", season=make_season().name) == []
	assert len(rows_of("Learner Overview")) == 2


# Who, and how


@pytest.mark.parametrize(("report", "is_prepared"), REPORTS.items())
def test_those_that_go_through_a_season_do_so_in_the_background(report, is_prepared):
	assert frappe.db.get_value("Report", report, "prepared_report") == is_prepared


@pytest.mark.parametrize("role", ["Memora Manager", "System Manager"])
def test_managers_run_reports(web, learners, role):
	client = Client(web.url, make_learner(roles=[role]).token)
	for report in REPORTS:
		reply = client.get("frappe.desk.query_report.run", report_name=report, ignore_prepared_report=1)
		assert message(reply)["columns"], report
	assert len(message(reply)["result"]) == 2


def test_learners_run_none(client):
	for report in REPORTS:
		reply = client.get("frappe.desk.query_report.run", report_name=report, ignore_prepared_report=1)
		assert reply.status_code == 403, report


# What it costs


@pytest.mark.parametrize(("service", "budget"), [(survey.survey_learners, 2), (survey.find_leeches, 3)])
def test_a_walk_costs_the_same_few_statements_a_share(season, service, budget, monkeypatch):
	costs = []
	for shares in (1, 5):
		for _ in range(shares):
			make_records(factories.learner_id(frappe.generate_hash()), 10)
		monkeypatch.setattr(survey.tables, "estimate_rows", lambda *_, n=shares: (n - 1) * survey.SHARE_ROWS)
		with counted() as queries:
			service(season)
		costs.append(queries.total)
	assert costs[1] - costs[0] <= 4 * budget
	assert costs[0] <= budget + 6


@pytest.mark.parametrize("report", ["Activity by Day", "Retention by Subject", "Due Forecast"])
def test_what_the_workspace_draws_costs_the_same_however_much_there_is(report, season):
	run(report)
	costs = []
	for how_many in (2, 40):
		make_records(factories.learner_id(frappe.generate_hash()), how_many)
		due_forecast.compute_forecast(season)
		first = site_time.learning_day()
		days = {(season, first - timedelta(days=n)): {"A": Counts(3, 2, 1)} for n in range(how_many)}
		figure_tables.add_to_days(days, dict.fromkeys(days, 1), site_time.naive_now())
		frappe.db.commit()
		with counted() as queries:
			run(report)
		costs.append(queries.total)
	assert costs[0] == costs[1] <= 12


def test_the_exact_forecast_reads_nothing_but_the_index(learners, season):
	values = {"season": season, "today": site_time.learning_day(), "days": 31, "day_start_hour": 4}
	(plan,) = frappe.db.sql("EXPLAIN PARTITIONS " + scans.DUE_BY_DAY_SQL, values, as_dict=True)
	assert plan.key == "schedule"
	assert "Using index" in plan.Extra
