"""Reading due questions without an active season, and where Redis has something wrong."""

from datetime import timedelta

import frappe

from memora.services import site_time
from memora.services.learning.reviews import read_reviews
from memora.services.srs_redis_manager import SRSRedisManager
from tests.integration import state
from tests.integration.cleaning import srs_keys, srs_redis
from tests.integration.factories import bank_questions, make_records, site_now
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_read import SEASON


def test_without_any_season_a_message_says_so(player, season):
	frappe.db.delete(SEASON)
	session = read_reviews(player)
	frappe.db.rollback()
	assert session == {
		"questions": [],
		"total_due": 0,
		"season": None,
		"is_degraded": False,
		"message": "No season has been set up yet.",
	}


def test_without_an_active_season_a_message_names_the_latest(player, season):
	make_records(player, 2)
	frappe.db.set_value(SEASON, season, "is_active", 0)
	frappe.db.commit()
	session = read(player)
	assert (session["questions"], session["total_due"], session["season"]) == ([], 0, None)
	assert session["message"] == f"Season {season} is not open for learning."


def test_an_archived_season_says_that_it_is(player, season):
	frappe.db.set_value(SEASON, season, {"is_active": 0, "archived_at": frappe.utils.now()})
	frappe.db.commit()
	assert read(player)["message"] == f"Season {season} is over, and its records are archived."


def test_without_redis_nothing_is_cached(player, season):
	frappe.db.set_value(SEASON, season, "enable_redis", 0)
	frappe.db.commit()
	make_records(player, 2)
	read(player)
	submit(player, answers(1))
	read(player)
	assert not srs_keys("srs:*@*")
	assert not srs_keys("{srs:*}:loaded")


def test_degraded_reads_leave_the_schedule_alone(player, season, proxy):
	make_records(player, 2)
	read(player)
	before = state.everything()
	proxy.stop()
	assert read(player)["is_degraded"] is True
	assert state.everything() == before


# What Redis has wrong


def test_a_question_that_mariadb_does_not_know_is_not_shown(player, season, manager):
	make_records(player, 2)
	read(player)
	manager.add_item(player, season, "ghost", 1.0)
	session = read(player)
	assert ids(session) == bank_questions()[:2]
	assert session["total_due"] == 2
	assert session["is_degraded"] is False
	assert "ghost" not in read_again_from_redis(player, season)


def test_a_question_that_is_not_due_in_mariadb_is_not_shown(player, season, manager):
	make_records(player, 3)
	read(player)
	make_records(
		player,
		question_ids=bank_questions()[:1],
		reps=9,
		last_review_date=site_now(),
		next_review_date=site_now() + timedelta(days=2),
	)
	session = read(player)
	assert ids(session) == bank_questions()[1:3]
	assert session["total_due"] == 2
	assert read_again_from_redis(player, season) == state.scores(player, season)


def test_a_flushed_redis_shows_the_same(player, manager):
	make_records(player, 4)
	submit(player, answers(1))
	before = read(player)
	srs_redis().flushdb()
	assert read(player) == before
	assert read(player) == before


def test_redis_and_mariadb_agree_about_the_first_second_of_being_due(player, season):
	"""Scores are floats, columns have microseconds."""
	due = site_now() - timedelta(seconds=1)
	make_records(player, next_review_date=due)
	read(player)
	(score,) = state.cached(player, season).values()
	assert site_time.to_naive(score) == due


def read_again_from_redis(player: str, season: str) -> dict[str, float]:
	read(player)
	return SRSRedisManager().schedules.read_all(player, season)
