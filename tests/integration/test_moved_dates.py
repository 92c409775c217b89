"""A season's end, or the hour at which a learning day starts, is changed: the dates follow, in MariaDB and in Redis."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import frappe
import pytest

from memora.services import site_time
from memora.services.figures import due_forecast
from memora.services.learning import judging, reviews, submissions
from memora.services.learning.answers import Response
from memora.services.operations import date_run, moving_dates
from memora.services.operations.replay import replay_season
from memora.services.operations.season_state import get_season_state
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import database, date_moves, outbox
from tests.integration import folding, state
from tests.integration.accounts import rename
from tests.integration.cleaning import srs_redis
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, make_waiting_submission

DOCTYPE = "Game Subscription Season"


def today() -> date:
	return site_time.learning_day()


def end_in(season: str, days: int) -> date:
	"""Moves the season's end as a manager does."""
	frappe.db.commit()
	frappe.local.message_log = []
	doc = frappe.get_doc(DOCTYPE, season)
	doc.end_date = today() + timedelta(days=days)
	doc.save()
	frappe.db.commit()
	return doc.end_date


def said() -> str:
	"""Returns what the save has told the manager."""
	return " ".join(str(m) for m in frappe.local.message_log)


def answer(player: str, questions: list[str], quality: int = 5) -> None:
	submissions.submit(player, [Response(q, quality) for q in questions])


def learnt_long_ago(player: str, how_many: int = 30) -> list[str]:
	"""Questions that are due, and so well known that an answer puts them off for months."""
	records = make_records(player, how_many, stability=90.0, reps=4)
	return [record.question_id for record in records]


def days(player: str) -> dict[str, date]:
	"""Returns the learning day on which each question falls due, by the tracker."""
	return {q: (row.next_review_date - timedelta(hours=4)).date() for q, row in state.tracker(player).items()}


def note(season: str) -> date_moves.DateMoves:
	frappe.db.rollback()
	return date_moves.get(season)


@pytest.fixture
def answered(player, season) -> str:
	"""A learner who has answered thirty questions that then lie months ahead, folded, and in Redis."""
	questions = learnt_long_ago(player)
	answer(player, questions)
	folding.drain()
	reviews.read_reviews(player)
	assert state.is_loaded(player, season)
	assert min(days(player).values()) > today() + timedelta(days=60)
	return player


@pytest.mark.each_redis
def test_an_end_moved_earlier_and_later_is_followed_by_all_dates(answered, season):
	before = days(answered)
	end = end_in(season, 30)
	assert ": 30." in said()
	assert moving_dates.move_dates(season) == {"season": season, "moved": 30}
	assert set(days(answered).values()) == {end}
	assert state.cached(answered, season) == state.scores(answered, season)
	assert state.is_loaded(answered, season)
	end_in(season, 300)
	assert ": 30." in said()
	assert moving_dates.move_dates(season)["moved"] == 30
	assert days(answered) == before
	assert state.cached(answered, season) == state.scores(answered, season)


def test_what_an_end_has_cut_short_at_once_is_spread_when_it_is_extended(player, season):
	questions = learnt_long_ago(player)
	end = end_in(season, 2)
	moving_dates.move_dates(season)
	answer(player, questions)
	folding.drain()
	assert set(days(player).values()) == {end}
	end_in(season, 300)
	moving_dates.move_dates(season)
	spread = list(days(player).values())
	assert len(set(spread)) > 3
	assert end not in spread
	assert max(spread) <= today() + timedelta(days=300)


def test_nothing_else_is_touched(player, season):
	"""What is overdue stays, and so do dates that other apps have set."""
	make_records(player, 3)
	own = make_records(
		player, question_ids=["own"], next_review_date=datetime(2027, 1, 2, 15, 30), stability=900
	)
	end_in(season, 400)
	assert moving_dates.move_dates(season)["moved"] == 0
	before = state.tracker(player)
	assert before["own"].next_review_date == own[0].next_review_date


def test_a_submission_that_can_not_be_folded_keeps_no_old_date(answered, season):
	frappe.db.rollback()
	old = next(iter(state.tracker(answered).values())).next_review_date
	fresh = folding.record(bank_questions()[0], next_review_date=old, reps=9)
	name = make_waiting_submission(answered, season, fresh)
	frappe.db.set_value("Review Outbox", name, "parked_at", frappe.utils.now())
	end = end_in(season, 30)
	moving_dates.move_dates(season)
	(row,) = outbox.take([name])
	assert [r.next_review_date for r in row.records] == [datetime.combine(end, time(4))]
	assert state.cached(answered, season) == state.scores(answered, season)


def test_a_submission_that_hangs_in_a_fold_keeps_the_note_until_it_is_done(answered, season):
	"""Its fold may write an old date after the run has passed."""
	fresh = folding.record("late", next_review_date=datetime.combine(today() + timedelta(days=200), time(4)))
	name = make_waiting_submission(answered, season, fresh)
	end = end_in(season, 30)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (name,))
		result = moving_dates.move_dates(season)
		assert "folding" in result["error"]
		other.rollback()
	assert note(season).is_open
	folding.drain()
	assert days(answered)["late"] > end
	assert "error" not in moving_dates.move_dates(season)
	assert set(days(answered).values()) == {end}
	assert not note(season).is_open


def test_answers_that_wait_win_over_the_moved_dates_of_older_ones(answered, season):
	question, *_others = bank_questions()
	frappe.db.rollback()
	record = state.tracker(answered)[question]
	end = end_in(season, 30)
	soon = datetime.combine(today() + timedelta(days=3), time(4))
	newer = folding.record(question, reps=record.reps + 1, next_review_date=soon)
	name = make_waiting_submission(answered, season, newer)
	frappe.db.set_value("Review Outbox", name, "parked_at", frappe.utils.now())
	frappe.db.commit()
	moving_dates.move_dates(season)
	assert days(answered)[question] == end
	assert state.cached(answered, season)[question] == site_time.to_epoch(soon)
	assert state.cached(answered, season) == state.scores(answered, season)


def test_an_answer_that_was_judged_by_the_old_end_is_judged_again(player, season, monkeypatch):
	"""It is committed after the end has moved, and while the run is going on or is done."""
	decide, ends = judging.Judge.decide, []

	def slow(judge, responses):
		ends.append(judge.season.end_date)
		if len(ends) == 1:
			in_other_connection(lambda: (end_in(season, 30), moving_dates.move_dates(season))).result(20)
		return decide(judge, responses)

	(question,) = learnt_long_ago(player, 1)
	monkeypatch.setattr(judging.Judge, "decide", slow)
	result = submissions.submit(player, [Response(question, 5)])
	assert len(ends) == 2 and ends[1] == today() + timedelta(days=30)
	assert result["schedule"][question] == str(datetime.combine(ends[1], time(4)))
	folding.drain()
	assert days(player) == {question: ends[1]}
	assert not note(season).is_open


def test_a_run_that_dies_is_resumed_where_it_was(season, monkeypatch):
	players = sorted(make_learner().name for _ in range(4))
	far = datetime.combine(today() + timedelta(days=200), time(4))
	for player in players:
		make_records(player, 3, next_review_date=far, last_review_date=far - timedelta(days=250))
	monkeypatch.setattr(date_run, "PAGE_ROWS", 2)
	monkeypatch.setattr(date_run, "REPORT_SECONDS", 0)
	end_in(season, 30)
	pages = []

	def dying(percent: int) -> None:
		pages.append(percent)
		if len(pages) == 3:
			raise KeyboardInterrupt

	with pytest.raises(KeyboardInterrupt):
		moving_dates.move_dates(season, progress=dying)
	found = note(season)
	assert found.is_open and found.position and 0 < found.moved < 12
	assert get_season_state(season)["dates"]["is_pending"]
	assert moving_dates.move_dates(season) == {"season": season, "moved": 12}
	assert {d for player in players for d in days(player).values()} == {today() + timedelta(days=30)}


def test_a_second_change_during_a_run_begins_it_anew(answered, season, monkeypatch):
	monkeypatch.setattr(date_run, "PAGE_ROWS", 10)
	monkeypatch.setattr(date_run, "REPORT_SECONDS", 0)
	before = days(answered)
	end_in(season, 30)
	reports = []

	def meanwhile(percent: int) -> None:
		reports.append(percent)
		if len(reports) == 1:
			in_other_connection(lambda: end_in(season, 300)).result(20)

	moving_dates.move_dates(season, progress=meanwhile)
	assert days(answered) == before
	assert state.cached(answered, season) == state.scores(answered, season)
	assert note(season).ends == [] and len(note(season).former_ends) == 2


def test_a_learner_who_is_answering_is_waited_for(answered, season, monkeypatch):
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	end = end_in(season, 30)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(answered),))
		result = moving_dates.move_dates(season)
		assert answered in result["error"]
		assert note(season).error == result["error"]
		told = {"document_type": DOCTYPE, "document_name": season}
		assert frappe.db.exists("Notification Log", told) or frappe.db.exists(
			"Error Log", {"reference_name": season}
		)
	assert "error" not in moving_dates.move_dates(season)
	assert set(days(answered).values()) == {end}


def test_a_learner_who_is_answering_for_long_costs_the_others_nothing(season, monkeypatch):
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	monkeypatch.setattr(date_run, "PAGE_ROWS", 1)
	learners = sorted(make_learner().name for _ in range(3))  # the order of their rows
	late = datetime.combine(today() + timedelta(days=100), time(4))
	for learner in learners:
		make_records(learner, 2, season=season, next_review_date=late)
	end = end_in(season, 30)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(learners[0]),))
		assert learners[0] in moving_dates.move_dates(season)["error"]
	assert [max(days(learner).values()) <= end for learner in learners] == [False, True, True]
	assert "error" not in moving_dates.move_dates(season)
	assert max(days(learners[0]).values()) <= end


def test_redis_that_is_away_believes_no_old_date_afterwards(proxy, answered, season):
	SRSRedisManager().schedules.gateway.server.breaker.open_seconds = 0
	end_in(season, 30)
	proxy.stop()
	assert moving_dates.move_dates(season)["moved"] == 30
	proxy.start()
	reviews.read_reviews(answered)
	assert state.cached(answered, season) == state.scores(answered, season)


def test_a_schedule_that_is_not_whole_is_dropped(answered, season):
	end_in(season, 30)
	srs_redis().set(state.marker_key(answered, season), "another generation")
	moving_dates.move_dates(season)
	assert state.cached(answered, season) == {}


def test_the_forecast_follows(answered, season):
	due_forecast.compute_forecast(season)
	assert due_forecast.get_forecast(season).later == 30
	end_in(season, 10)
	moving_dates.move_dates(season)
	frappe.db.rollback()
	assert due_forecast.get_forecast(season).days[10].records == 30


def test_a_season_that_is_being_archived_keeps_its_dates(answered, season):
	end_in(season, 30)
	frappe.db.set_value(DOCTYPE, season, "archive_started_at", frappe.utils.now())
	frappe.db.commit()
	before = days(answered)
	assert "archived" in moving_dates.move_dates(season)["error"]
	assert days(answered) == before
	assert season not in date_moves.get_open()


def test_a_change_that_is_rolled_back_moves_nothing(answered, season):
	doc = frappe.get_doc(DOCTYPE, season)
	doc.update({"end_date": today() + timedelta(days=30)}).save()
	frappe.db.rollback()
	assert not note(season).is_open
	assert moving_dates.move_dates(season)["moved"] == 0


@pytest.mark.parametrize("end", [30, 300])
def test_a_replay_finds_moved_dates_right_and_a_repair_keeps_them(end, player, season):
	end_in(season, 150)
	answer(player, learnt_long_ago(player))
	folding.drain()
	end_in(season, end)
	moving_dates.move_dates(season)
	expected = days(player)
	frappe.db.commit()
	assert replay_season(season).differences == 0
	frappe.db.sql("UPDATE `tabPlayer Memory Tracker` SET stability = 7 WHERE player = %s", (player,))
	frappe.db.commit()
	assert replay_season(season, repair=True).repaired == 30
	assert days(player) == expected
	assert replay_season(season).differences == 0
	frappe.db.sql(
		"UPDATE `tabPlayer Memory Tracker` SET next_review_date = '2031-01-01' WHERE player = %s", (player,)
	)
	frappe.db.commit()
	assert replay_season(season).differences == 30


def test_a_merge_brings_no_date_from_before_the_end_had_moved(season):
	"""The run has passed the one whom the rows go to, when the other's come."""
	leaving, staying = (make_learner(["System Manager"]) for _ in range(2))
	(question, *others) = learnt_long_ago(leaving.name, 3)
	make_records(staying.name, question_ids=[question], stability=90.0, reps=4)
	for learner in (leaving, staying):
		answer(learner.name, [question])
	answer(leaving.name, others)
	folding.drain()
	assert max(days(leaving.name).values()) > today() + timedelta(days=60)
	end = end_in(season, 30)
	closed = date_moves.get(season)
	date_moves.note_run(season, replace(closed, ends=[]))
	rename(leaving.user, staying.user, merge=True)
	assert set(days(staying.name).values()) == {end}
	reviews.read_reviews(staying.name)
	assert state.cached(staying.name, season) == state.scores(staying.name, season)
