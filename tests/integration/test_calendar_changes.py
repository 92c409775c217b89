"""Before and after a change of the calendar: what the forms are told, the job that follows, the start of a day, the zone."""

from datetime import datetime, time, timedelta

import frappe
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools import ports, processes
from memora.exceptions import JournalUnavailable
from memora.services.cache.server import server_of
from memora.services.learning import reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import calendar_changes, moving_dates, season_state
from memora.services.settings import forget_settings
from memora.services.store import tables
from tests.integration import bench_commands, folding, state
from tests.integration.client import Client, message
from tests.integration.factories import bank_questions, lift_limits, make_learner, make_records, make_season
from tests.integration.test_http import refused
from tests.integration.test_moved_dates import answer, days, end_in, learnt_long_ago, note, today
from tests.integration.waiting import wait_until

API = "memora.api.desk."
DOCTYPE = "Game Subscription Season"


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


def make_future(player: str, season: str, how_many: int = 4, in_days: int = 100) -> None:
	due = datetime.combine(today() + timedelta(days=in_days), time(4))
	make_records(player, how_many, season=season, next_review_date=due)


# What the forms are told


def test_managers_are_told_how_many_dates_an_earlier_end_moves(manager, player, season):
	make_future(player, season)
	end = today() + timedelta(days=99)
	found = message(manager.get(f"{API}preview_end_date", season=season, end_date=str(end)))
	assert (found["records"], found["is_estimate"]) == (4, False)
	assert f"({frappe.format(end, 'Date')}): 4. A job moves them to that day." in found["message"]
	later = str(today() + timedelta(days=100))
	assert message(manager.get(f"{API}preview_end_date", season=season, end_date=later))["message"] == ""


def test_managers_are_told_how_many_dates_lie_on_the_old_last_day(manager, player, season):
	# a date of the calendar, while today() is a learning day's, which begins later
	last = frappe.db.get_value(DOCTYPE, season, "end_date")
	make_future(player, season, in_days=(last - today()).days)
	later = str(last + timedelta(days=100))
	found = message(manager.get(f"{API}preview_end_date", season=season, end_date=later))
	assert found["records"] == 4
	assert "Dates on the old last day" in found["message"]


def test_a_share_of_a_big_season_stands_for_all(season, monkeypatch):
	monkeypatch.setattr(calendar_changes, "EXACT_ROWS", 10)
	monkeypatch.setattr(calendar_changes, "SAMPLE_ROWS", 40)
	monkeypatch.setattr(tables, "estimate_rows", lambda doctype, season: 400)
	for number in range(100):
		make_future(f"{number * 0x0290000000000000:016x}", season)
	frappe.db.commit()
	found = calendar_changes.preview_end(season, today() + timedelta(days=50))
	assert found["is_estimate"]
	assert 300 <= found["records"] <= 500
	assert "about 4" in found["message"]


@pytest.mark.parametrize(
	("endpoint", "arguments", "status", "exception", "named"),
	[
		(
			"preview_end_date",
			{"season": "Nowhere", "end_date": "2027-01-01"},
			404,
			"UnknownSeason",
			"Nowhere",
		),
		("preview_end_date", {"season": "SEASON-2026"}, 400, "InvalidFilter", "end_date is missing"),
		("preview_end_date", {"season": "SEASON-2026", "end_date": "soon"}, 400, "InvalidFilter", "soon"),
		("preview_day_start_hour", {"hour": "24"}, 400, "InvalidFilter", "24"),
		("preview_day_start_hour", {"hour": "-1"}, 400, "InvalidFilter", "-1"),
	],
)
def test_what_can_not_be_read_is_named(manager, endpoint, arguments, status, exception, named):
	with state.nothing_changes():
		refused(manager.get(API + endpoint, **arguments), status, exception, named)


def test_learners_are_told_nothing(client, season):
	for endpoint in ("preview_end_date", "preview_day_start_hour"):
		refused(
			client.get(API + endpoint, season=season, end_date="2027-01-01", hour=5), 403, "PermissionError"
		)


# The job


def test_a_save_over_http_starts_the_job_and_says_how_many(manager, player, season):
	make_future(player, season)
	end = today() + timedelta(days=30)
	reply = manager.request("PUT", f"/api/resource/{DOCTYPE}/{season}", json={"end_date": str(end)})
	assert reply.status_code == 200, reply.text
	assert ": 4. A job moves them" in reply.text
	with processes.worker(["long"]):
		wait_until(lambda: not note(season).is_open, "the dates to be moved")
	assert set(days(player).values()) == {end}
	frappe.db.rollback()
	found = season_state.get_season_state(season)
	assert found["dates"] == {
		"is_pending": False,
		"is_running": False,
		"percent": 100,
		"moved": 4,
		"error": None,
	}
	assert found["jobs"]["dates"]["status"] == "finished"


def test_without_a_queue_the_season_is_saved_and_the_scheduler_starts_the_job(
	player, season, queue_url, monkeypatch
):
	make_future(player, season)
	with monkeypatch.context() as patched:
		queue_url(f"redis://127.0.0.1:{ports.any_free()}/0")
		end_in(season, 30)
		patched.undo()
	assert note(season).is_open
	assert season_state.get_season_state(season)["dates"]["is_pending"]
	started: list[str] = []
	monkeypatch.setattr(moving_dates, "start", started.append)
	moving_dates.resume_unfinished()
	assert started == [season]


def test_the_command_counts_and_moves(player, season):
	make_future(player, season)
	frappe.db.set_value(DOCTYPE, season, "end_date", today() + timedelta(days=30))
	frappe.db.commit()
	options = ["--site", frappe.local.site, "memora", "move-dates", "--json", "--season"]
	assert bench_commands.run(*options, season, "--dry-run").output == (
		f'{{"season": "{season}", "would_move": 4}}\n'
	)
	assert set(days(player).values()) == {today() + timedelta(days=100)}
	done = bench_commands.run(*options, season)
	assert (done.output, done.exit_code) == (f'{{"season": "{season}", "moved": 4}}\n', 0)
	assert set(days(player).values()) == {today() + timedelta(days=30)}
	assert bench_commands.run(*options, "Nowhere").exit_code == 1


# The start of a day, and the time zone


def test_what_was_due_at_the_start_of_a_day_is_due_at_its_new_start(player, season):
	other = make_season().name
	make_future(player, season)
	make_future(player, other)
	odd = make_records(player, question_ids=["odd"], next_review_date=datetime(2027, 1, 2, 15, 30))
	reviews.read_reviews(player)
	frappe.get_single("Memora Settings").update({"day_start_hour": 6}).save()
	frappe.db.commit()
	assert "from 4:00 to 6:00" in str(frappe.message_log)
	for name in (season, other):
		assert moving_dates.move_dates(name)["moved"] == 4
	due = {
		row.question_id: row.next_review_date for row in state.rows("Player Memory Tracker", season=season)
	}
	assert due.pop("odd") == odd[0].next_review_date
	assert set(due.values()) == {datetime.combine(today() + timedelta(days=100), time(6))}
	assert state.cached(player, season) == state.scores(player, season)


def start_days_at_six() -> None:
	"""By another process: this one has the settings in memory for some seconds."""
	submissions.get_settings()
	frappe.db.sql(
		"UPDATE tabSingles SET value = '6' WHERE doctype = 'Memora Settings' AND field = 'day_start_hour'"
	)
	if not frappe.db._cursor.rowcount:
		values = ("Memora Settings", "day_start_hour", "6")
		frappe.db.sql("INSERT INTO tabSingles (doctype, field, value) VALUES (%s, %s, %s)", values)
	frappe.db.commit()


def test_an_answer_that_was_judged_by_the_old_hour_is_judged_again(player, season):
	(question,) = learnt_long_ago(player, 1)
	start_days_at_six()
	result = submissions.submit(player, [Response(question, 5)])
	assert result["schedule"][question].endswith(" 06:00:00")


def test_answers_are_not_judged_again_for_ever(player, season, monkeypatch):
	(question,) = learnt_long_ago(player, 1)
	start_days_at_six()
	monkeypatch.setattr(submissions, "CALENDAR_TRIES", 1)
	with state.nothing_changes(), pytest.raises(JournalUnavailable):
		submissions.submit(player, [Response(question, 5)])


def test_another_time_zone_makes_each_schedule_load_again(player, season):
	make_records(player, 3)
	reviews.read_reviews(player)
	before = state.cached(player, season)
	zone = frappe.db.get_single_value("System Settings", "time_zone")
	try:
		frappe.db.set_single_value("System Settings", "time_zone", "Asia/Dubai")
		frappe.db.commit()
		in_a_new_process()
		reviews.read_reviews(player)
		assert state.cached(player, season) == state.scores(player, season)
		assert {q: score + 90 * 60 for q, score in before.items()} == state.cached(player, season)
	finally:
		frappe.db.set_single_value("System Settings", "time_zone", zone)
		frappe.db.commit()
		in_a_new_process()


def in_a_new_process() -> None:
	"""Forgets what a process has in memory for some seconds."""
	forget_settings()
	server_of.cache_clear()


def test_a_question_that_is_withdrawn_comes_back_with_its_moved_date(player, season):
	make_future(player, season, 3)
	reviews.read_reviews(player)
	question = frappe.get_doc("Game Question", bank_questions()[0])
	try:
		question.update({"enabled": 0}).save()
		frappe.db.commit()
		reviews.read_reviews(player)
		end = end_in(season, 30)
		assert moving_dates.move_dates(season)["moved"] == 3
		assert question.name not in state.cached(player, season)
	finally:
		question.reload()
		question.update({"enabled": 1}).save()
		frappe.db.commit()
	reviews.read_reviews(player)
	assert state.cached(player, season) == state.scores(player, season)
	assert days(player)[question.name] == end


# Whatever a manager does


ENDS = st.integers(0, 500)
STEPS = st.lists(
	st.one_of(
		st.tuples(st.just("end"), ENDS),
		st.tuples(st.just("answer"), st.integers(0, 3)),
		st.just(("fold", 0)),
		st.just(("move", 0)),
		st.just(("hour", 0)),
	),
	min_size=3,
	max_size=10,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, quality=st.integers(3, 5))
def test_after_any_changes_no_date_lies_beyond_the_end_and_redis_has_the_dates_of_mariadb(
	steps, quality, site, season
):
	lift_limits()
	player, questions = make_learner().name, bank_questions()[:6]
	make_records(player, 6, stability=120.0, reps=4)
	hours = iter([5, 4] * 10)
	for kind, value in [*steps, ("fold", 0), ("move", 0)]:
		if kind == "end":
			end_in(season, value)
		elif kind == "answer":
			answer(player, questions[value : value + 2], quality)
		elif kind == "fold":
			folding.drain()
		elif kind == "hour":
			frappe.get_single("Memora Settings").update({"day_start_hour": next(hours)}).save()
			frappe.db.commit()
		else:
			assert "error" not in moving_dates.move_dates(season)
			reviews.read_reviews(player)
			assert state.cached(player, season) == state.scores(player, season)
	end = frappe.db.get_value(DOCTYPE, season, "end_date")
	last = max(end, today() + timedelta(days=1))  # who answers on the last day is asked tomorrow
	assert max(days(player).values()) <= last
