"""Safe Mode limits reads while Redis is gone: for each learner and for all together, at a bounded cost."""

import frappe
import pytest
from frappe.exceptions import PermissionError

from memora.api import reviews, sessions, utils
from memora.exceptions import InvalidLimit, RateLimitExceeded, UnknownLearner, UnknownSeason
from memora.services.cache import incidents, safe_mode
from memora.services.cache.safe_mode import SafeModeManager
from memora.services.store import row_names
from tests.integration import fleet as members
from tests.integration import state
from tests.integration.connections import raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, set_limits
from tests.integration.fleet import CONNECTIONS, PROCESSES
from tests.integration.submitting import answers, ids, read, submit
from tests.integration.test_budgets import counted

ADMISSION = "Safe Mode Admission"


def admit(*players: str) -> list[bool]:
	return [SafeModeManager().check_rate_limit(player) for player in players]


def wait_of(player: str) -> int:
	"""The seconds that a refused learner is told to wait."""
	with pytest.raises(RateLimitExceeded):
		SafeModeManager().require(player)
	return frappe.flags.retry_after_seconds


def make_older(seconds: float) -> None:
	"""All admissions, as if this process had not seen them."""
	sql = f"UPDATE `tab{ADMISSION}` SET admitted_at = admitted_at - INTERVAL %s SECOND"
	frappe.db.sql(sql, (seconds,))
	frappe.db.commit()
	safe_mode.forget()


def players_admitted() -> list[str]:
	return sorted(row.player for row in state.rows(ADMISSION))


# One learner


def test_the_manager_is_what_the_api_offers(learner):
	assert utils.SafeModeManager is SafeModeManager
	assert utils.check_rate_limit(learner.user)
	assert not utils.check_rate_limit(learner.user)


def test_a_learner_is_admitted_once_in_thirty_seconds():
	assert admit("a", "a", "a") == [True, False, False]
	assert 28 <= wait_of("a") <= 30
	make_older(20)
	assert 8 <= wait_of("a") <= 10
	make_older(10)
	assert admit("a", "a") == [True, False]
	assert players_admitted() == ["a", "a"]


def test_other_learners_are_not_affected():
	assert admit("a", "a", "b", "c", "b") == [True, False, True, True, False]


def test_a_refusal_by_another_process_says_how_long_too():
	assert admit("a") == [True]
	safe_mode.forget()
	assert 28 <= wait_of("a") <= 30


def test_what_a_process_remembers_ends_with_the_limits_it_was_noted_under():
	assert admit("a", "a") == [True, False]
	set_limits(user_seconds=3600)
	assert 3500 < wait_of("a") <= 3600
	set_limits(user_seconds=0)
	assert admit("a", "a", "a") == [True, True, True]


def test_a_longer_pause_than_the_window_holds():
	set_limits(user_seconds=300)
	assert admit("a") == [True]
	make_older(200)
	assert admit("a", "b") == [False, True]
	make_older(101)
	assert admit("a", "b") == [True, False]


# All of them together


def test_the_system_admits_so_many_in_any_sixty_seconds():
	set_limits(requests_per_minute=5)
	assert admit(*"abcde", "f", "g") == [True] * 5 + [False] * 2
	assert players_admitted() == [*"abcde"]
	make_older(59)
	assert admit("f") == [False]
	make_older(1)
	assert admit("f", "g") == [True, True]


def test_the_window_slides():
	set_limits(requests_per_minute=3)
	assert admit("a") == [True]
	make_older(40)
	assert admit("b", "c", "d") == [True, True, False]
	make_older(20)
	assert admit("d", "e") == [True, False]


def test_when_all_places_are_taken_learners_are_told_to_come_back_at_different_times():
	set_limits(requests_per_minute=1)
	assert admit("a") == [True]
	make_older(50)
	waits = [wait_of(f"b{n}") for n in range(30)]
	assert 9 <= min(waits) and max(waits) <= 10 + 30
	assert len(set(waits)) > 3


def test_a_learner_who_has_to_wait_is_not_told_that_all_places_are_taken():
	set_limits(requests_per_minute=1)
	assert admit("a") == [True]
	assert not SafeModeManager().ask("a").is_full
	assert SafeModeManager().ask("b").is_full


def test_a_limit_below_what_is_admitted_already_holds_at_once():
	assert admit(*"abcde") == [True] * 5
	set_limits(requests_per_minute=3)
	assert admit("f") == [False]
	make_older(60)
	assert admit(*"fghi") == [True] * 3 + [False]


def test_a_raised_limit_holds_at_once():
	set_limits(requests_per_minute=1)
	assert admit("a", "b") == [True, False]
	set_limits(requests_per_minute=2)
	assert admit("b", "c") == [True, False]


def test_a_clock_that_is_set_back_keeps_nobody_out():
	"""Another server has taken over, whose clock is an hour behind."""
	set_limits(requests_per_minute=2)
	assert admit(*"abc") == [True, True, False]
	make_older(-3600)
	assert admit(*"abc") == [True, True, False]


def test_rows_that_count_no_more_go():
	admit(*(f"p{n}" for n in range(25)))
	make_older(61)
	for left, player in ((16, "a"), (7, "b"), (3, "c"), (4, "d")):
		admit(player)
		assert len(state.rows(ADMISSION)) == left


def test_whoever_does_not_get_to_look_is_put_off_for_a_second():
	with raw_connection() as connection, connection.cursor() as cursor:
		key = "memora:" + row_names.digest(frappe.conf.db_name, "safe mode")
		cursor.execute("SELECT GET_LOCK(%s, 0)", (key,))
		assert SafeModeManager().ask("a") == (safe_mode.LOCK_WAIT_SECONDS, True)
	assert admit("a") == [True]


def test_where_mariadb_takes_no_writes_a_process_counts_by_itself(monkeypatch):
	set_limits(requests_per_minute=2)
	monkeypatch.setitem(frappe.flags, "read_only", True)
	assert admit("a", "a", "b", "c") == [True, False, True, False]
	assert [SafeModeManager().ask(player).is_full for player in "abc"] == [False, False, True]
	assert 28 <= wait_of("a") <= 30
	assert players_admitted() == []


def test_a_read_that_was_admitted_beforehand_is_counted_once():
	manager = SafeModeManager()
	assert manager.admit_next_read("a")
	manager.require("a")
	assert not manager.admit_next_read("a")
	assert wait_of("a") > 0
	assert manager.admit_next_read("b")
	manager.require("c")  # hers is another read
	assert players_admitted() == ["a", "b", "c"]
	assert wait_of("b") > 0


# What it costs


def test_who_is_refused_again_costs_no_query():
	SafeModeManager().require("a")
	with counted() as queries:
		assert admit(*["a"] * 20) == [False] * 20
	assert queries.total == 0


def test_while_all_places_are_taken_nobody_costs_a_query():
	set_limits(requests_per_minute=1)
	assert admit("a", "b") == [True, False]
	with counted() as queries:
		assert admit("b", *(f"p{n}" for n in range(20))) == [False] * 21
	assert queries.total == 0


def test_an_admission_costs_nine_queries_and_a_first_refusal_five():
	admit("warm")
	safe_mode.forget()
	with counted() as admission:
		assert admit("a") == [True]
	safe_mode.forget()
	with counted() as refusal:
		assert admit("a") == [False]
	# lock, limits, begin, look, insert, delete, commit, Frappe's begin after it, unlock
	assert (admission.total, admission.commits) == (9, 1)
	assert (refusal.total, refusal.commits) == (5, 0)


# Many processes


def test_sixteen_connections_of_eight_processes_admit_exactly_as_many_as_the_limit_says(fleet):
	set_limits(requests_per_minute=100)
	admitted = [player for some in fleet.run(members.admit_many, attempts=20) for player in some]
	assert len(admitted) == 100
	assert players_admitted() == sorted(admitted)


def test_of_sixteen_connections_that_ask_for_one_learner_one_admits_her(fleet):
	admitted = fleet.run(members.admit, player="a")
	assert len(admitted) == PROCESSES * CONNECTIONS
	assert sum(admitted) == 1
	assert players_admitted() == ["a"]


def test_of_sixteen_reads_of_one_learner_one_is_answered(fleet, player):
	make_records(player, 3)
	read = fleet.run(members.read, player=player)
	assert sorted(read, key=str) == [None] * (PROCESSES * CONNECTIONS - 1) + [True]


# What is limited


def test_reading_by_subject_is_limited_too(no_redis, player):
	make_records(player, 3)
	session = read(player, "Bank Geography")
	assert (len(ids(session)), session["is_degraded"]) == (3, True)
	with pytest.raises(RateLimitExceeded):
		read(player, "Bank Geography")
	with pytest.raises(RateLimitExceeded):
		read(player)


def test_answers_and_lessons_are_not_limited(no_redis, learner, player):
	set_limits(requests_per_minute=1)
	admit("somebody")
	for question in bank_questions()[:3]:
		assert submit(player, answers(questions=[question]))["is_degraded"] is True
	frappe.set_user(learner.user)
	for _ in range(3):
		assert len(ids(sessions.get_lesson_session(subject="Bank Geography"))) == 10
	assert players_admitted() == ["somebody"]


def test_where_redis_is_switched_off_nothing_is_limited(no_redis, player, season):
	frappe.db.set_value("Game Subscription Season", season, "enable_redis", 0)
	make_records(player, 12)
	assert [len(ids(read(player))) for _ in range(3)] == [12] * 3


def test_the_manager_knows_whether_redis_is_there(proxy):
	assert not SafeModeManager().is_safe_mode_active()
	proxy.stop()
	assert SafeModeManager().is_safe_mode_active()


# get_reviews_safe_mode


def test_it_is_limited_while_redis_is_there_too(learner, player, season):
	make_records(player, 12)
	frappe.set_user(learner.user)
	assert reviews.get_reviews_safe_mode(player, season) == bank_questions()[:10]
	with pytest.raises(RateLimitExceeded):
		reviews.get_reviews_safe_mode(player, season)
	assert not read(player)["is_degraded"]


def test_it_is_not_counted_in_an_incident_that_is_over(proxy):
	SafeModeManager().schedules.gateway.server.breaker.open_seconds = 0
	proxy.stop()
	assert SafeModeManager().is_safe_mode_active()
	assert admit("a", "a") == [True, False]
	proxy.start()
	assert not SafeModeManager().is_safe_mode_active()
	assert admit("b", "b") == [True, False]
	incidents.write_counts()
	(incident,) = state.rows("Safe Mode Incident")
	assert (incident.requests_served, incident.requests_limited) == (1, 1)


def test_subject_and_limit_narrow_it(learner, player, season):
	set_limits(user_seconds=0)
	make_records(player, 8, subject=lambda i: "Bank Geography" if i % 2 else "Bank Biology")
	frappe.set_user(learner.user)
	found = reviews.get_reviews_safe_mode(player, season, subject="Bank Biology")
	assert found == bank_questions()[:8:2]
	assert reviews.get_reviews_safe_mode(player, season, limit="3") == bank_questions()[:3]
	for limit in (0, 11, "many"):
		with pytest.raises(InvalidLimit, match="1 to 10"):
			reviews.get_reviews_safe_mode(player, season, limit=limit)


def test_it_shows_another_learners_reviews_to_managers_only(player, season):
	make_records(player, 2)
	frappe.set_user(make_learner().user)
	with pytest.raises(PermissionError):
		reviews.get_reviews_safe_mode(player, season)
	frappe.set_user(make_learner(roles=["Memora Manager"]).user)
	assert len(reviews.get_reviews_safe_mode(player, season)) == 2
	assert players_admitted() == [player]


def test_it_names_a_season_and_a_learner_that_it_does_not_know(player, season):
	with pytest.raises(UnknownSeason, match="1999"):
		reviews.get_reviews_safe_mode(player, "1999")
	with pytest.raises(UnknownLearner, match="nobody@example"):
		reviews.get_reviews_safe_mode("nobody@example.com", season)
	assert players_admitted() == []
