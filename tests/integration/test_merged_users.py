"""Two Users are merged: what the one has learnt is the other's."""

from datetime import datetime, timedelta

import frappe
import pytest

from memora.api.reviews import get_persistence_status
from memora.exceptions import JournalUnavailable, LearnerIsErased, SeasonStateError
from memora.services.cache import loading
from memora.services.cache.schedules import Schedules
from memora.services.learning import learners as doors
from memora.services.store import database, learners
from memora.services.store.records import JournalEntry
from tests.integration import accounts, state
from tests.integration.accounts import answer, become_learner, put_answers, put_tracker, put_waiting, rename
from tests.integration.connections import in_other_connection
from tests.integration.factories import make_record, make_season, make_user, site_now
from tests.integration.folding import drain
from tests.integration.submitting import answers, submit


@pytest.fixture
def old() -> str:
	return make_user(["System Manager"])


@pytest.fixture
def new() -> str:
	"""Another System Manager: Frappe deletes no last one."""
	return make_user(["System Manager"])


@pytest.fixture
def leaving(old) -> str:
	return become_learner(old)


@pytest.fixture
def staying(new) -> str:
	return become_learner(new)


def merge(old: str, new: str) -> None:
	rename(old, new, merge=True)


def archived_season() -> str:
	season, now = make_season().name, site_now()
	frappe.db.set_value("Game Subscription Season", season, {"archive_started_at": now, "archived_at": now})
	frappe.db.commit()
	return season


def found(user: str) -> str | None:
	frappe.db.rollback()
	learner = learners.find_by_user(user)
	return learner.id if learner else None


def names(doctype: str, **filters) -> list[str]:
	return [row.name for row in state.rows(doctype, **filters)]


def test_the_only_learner_of_both_has_the_user_that_stays(old, new, leaving):
	merge(old, new)
	assert found(new) == leaving
	assert not frappe.db.exists("User", old)


def test_who_was_no_learner_leaves_the_other_as_she_is(old, new, staying):
	merge(old, new)
	assert found(new) == staying


def test_all_rows_are_those_of_the_learner_who_stays(old, new, leaving, staying, season):
	now, archived = site_now(), archived_season()
	put_tracker(leaving, season, make_record("q1"))
	put_tracker(leaving, archived, make_record("q2"), doctype="Archived Memory Tracker")
	put_answers(leaving, season, "s1", answer("q1", now))
	put_answers(leaving, archived, "s2", answer("q2", now))
	put_waiting(leaving, season, "s3", make_record("q3"))
	merge(old, new)
	assert found(new) == staying
	for doctype, keys in {
		"Player Memory Tracker": [accounts.tracker_name(staying, season, "q1")],
		"Archived Memory Tracker": [accounts.tracker_name(staying, archived, "q2")],
		"Player Review Log": sorted(
			accounts.key_of(staying, s, i) + accounts.digest(q)
			for s, i, q in ((season, "s1", "q1"), (archived, "s2", "q2"))
		),
		"Review Outbox": [accounts.key_of(staying, season, "s3")],
	}.items():
		assert names(doctype, player=staying) == names(doctype) == keys


def test_waiting_answers_are_folded_into_the_learner_who_stays(old, new, leaving, staying, season):
	put_waiting(leaving, season, "s", make_record("q1"))
	parked = put_waiting(leaving, season, "p", make_record("q2"))
	frappe.db.sql("UPDATE `tabReview Outbox` SET parked_at = NOW(), error = 'x' WHERE name = %s", (parked,))
	frappe.db.commit()
	merge(old, new)
	assert drain() == 1
	assert state.tracker(staying).keys() == {"q1"}
	assert names("Review Outbox") == [accounts.key_of(staying, season, "p")]


def times(entries: list[JournalEntry]) -> dict[str, datetime]:
	"""When the record was made, and changed last, that these answers lead to."""
	return {"creation": entries[0].reviewed_at, "last_review_date": entries[-1].reviewed_at}


def test_of_one_question_the_memory_is_what_both_histories_give(old, new, leaving, staying, season):
	now = site_now().replace(microsecond=0)
	mine = [answer("q1", now - timedelta(days=9), kind="Learn", stability_after=2.0)]
	theirs = [
		answer("q1", now - timedelta(days=12), kind="Learn", stability_after=2.0),
		answer("q1", now - timedelta(days=5), rating="Again", stability_after=1.5),
		answer("q1", now - timedelta(days=1), kind="Practice", stability_after=99.0),
	]
	put_answers(leaving, season, "a", *mine)
	for number, entry in enumerate(theirs):
		put_answers(staying, season, f"b{number}", entry)
	put_tracker(leaving, season, make_record("q1", reps=1, stability=2.0, **times(mine)))
	put_tracker(
		staying, season, make_record("q1", reps=2, stability=1.5, subject="Bank Biology", **times(theirs[:2]))
	)
	merge(old, new)
	(record,) = state.rows("Player Memory Tracker")
	assert (record.player, record.reps, record.lapses, record.stability) == (staying, 3, 1, 1.5)
	assert record.creation == theirs[0].reviewed_at and record.last_review_date == theirs[1].reviewed_at
	assert record.next_review_date == theirs[1].next_review_date_after
	assert record.subject == "Bank Biology"


@pytest.mark.parametrize("reps", [1, 5])
def test_of_one_question_without_journal_the_newer_memory_stays(old, new, leaving, staying, season, reps):
	put_tracker(leaving, season, make_record("q1", reps=3, stability=3.0))
	put_tracker(staying, season, make_record("q1", reps=reps, stability=float(reps)))
	merge(old, new)
	(record,) = state.rows("Player Memory Tracker")
	assert (record.player, record.reps, record.stability) == (staying, max(reps, 3), float(max(reps, 3)))


def test_a_question_that_waits_in_one_outbox_and_lies_in_the_others_tracker(
	old, new, leaving, staying, season
):
	now = site_now().replace(microsecond=0)
	first = answer("q1", now - timedelta(days=9), kind="Learn", stability_after=2.0)
	second = answer("q1", now - timedelta(days=2), kind="Learn", stability_after=2.5)
	put_answers(staying, season, "b", first)
	put_tracker(staying, season, make_record("q1", reps=1, stability=2.0, last_review_date=first.reviewed_at))
	put_answers(leaving, season, "a", second)
	waiting = make_record("q1", reps=1, stability=2.5, last_review_date=second.reviewed_at)
	put_waiting(leaving, season, "a", waiting)
	merge(old, new)
	drain()
	(record,) = state.rows("Player Memory Tracker")
	assert (record.player, record.reps, record.stability) == (staying, 2, 2.5)


def test_in_the_archive_too_one_record_is_left_of_one_question(old, new, leaving, staying):
	archived = archived_season()
	for learner, reps in ((leaving, 4), (staying, 2)):
		put_tracker(learner, archived, make_record("q1", reps=reps), doctype="Archived Memory Tracker")
	merge(old, new)
	(record,) = state.rows("Archived Memory Tracker")
	assert (record.player, record.reps) == (staying, 4)


def test_two_submissions_of_one_id_lose_no_answer(old, new, leaving, staying, season):
	now = site_now()
	put_answers(
		leaving, season, "s", answer("q1", now, quality=4), answer("q2", now, quality=1), answer("q3", now)
	)
	put_answers(staying, season, "s", answer("q1", now, quality=4), answer("q2", now, quality=5))
	put_waiting(leaving, season, "s", make_record("q3"))
	put_waiting(staying, season, "s", make_record("q1"))
	merge(old, new)
	answers = sorted((row.question_id, row.quality) for row in state.journal(staying))
	assert answers == [("q1", 4), ("q2", 1), ("q2", 5), ("q3", 4)]
	assert drain() == 2
	assert state.tracker(staying).keys() == {"q1", "q3"}
	assert {row.name[:16] for row in state.rows("Player Review Log")} == {staying}


def test_the_answers_of_a_day_count_together(old, new, leaving, staying, season):
	from memora.services import site_time

	day = str(site_time.learning_day()).replace("-", "")
	for learner, count in ((leaving, 3), (staying, 4)):
		name = day + accounts.digest(season) + learner
		values = (name, site_time.learning_day(), season, learner, count, "abcdabcd", 2, site_now())
		frappe.db.sql(accounts.DAY_SQL, values)
		put_tracker(learner, season, make_record("q1"))
	frappe.db.commit()
	merge(old, new)
	(row,) = state.rows("Daily Learner")
	assert (row.name, row.player, row.answers) == (day + accounts.digest(season) + staying, staying, 7)
	assert (row.practised, row.learnt) == (2 * "abcdabcd", 4)


def test_the_id_that_is_gone_means_the_learner_who_stays(old, new, leaving, staying):
	merge(old, new)
	assert doors.identify(leaving) == staying
	third = make_user(["System Manager"])
	last = become_learner(third)
	merge(new, third)
	assert [doors.identify(learner) for learner in (leaving, staying, third)] == [last] * 3
	assert learners.find(leaving).merged_into == last


def test_a_job_of_before_means_the_learner_who_stays(old, new, leaving, staying):
	before = site_now()
	rename(old, f"moved-{old}")
	merge(f"moved-{old}", new)
	assert doors.identify(old, before) == doors.identify(f"moved-{old}", before) == staying


def test_both_schedules_are_dropped(old, new, leaving, staying, season):
	for learner in (leaving, staying):
		Schedules().reschedule(learner, season, {"q1": 1.0}, version=0)
		loading.load_due(Schedules(), learner, season, 1)
	assert state.is_loaded(staying, season)
	put_tracker(leaving, season, make_record("q1"))
	merge(old, new)
	assert not state.is_loaded(leaving, season) and not state.is_loaded(staying, season)


def test_a_merge_waits_for_an_answer_that_is_being_saved_and_is_refused_if_that_takes_long(
	old, new, leaving, staying, season, monkeypatch
):
	put_tracker(leaving, season, make_record("q1"))
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with in_lock(leaving), pytest.raises(JournalUnavailable):
		merge(old, new)
	frappe.db.rollback()
	assert (found(old), found(new)) == (leaving, staying)
	assert state.tracker(leaving).keys() == {"q1"}


def in_lock(learner: str):
	"""Another connection holds her lock."""
	from contextlib import contextmanager
	from threading import Event

	@contextmanager
	def held():
		has, end = Event(), Event()

		def hold() -> None:
			with database.named_lock(learner, 1):
				has.set()
				end.wait(20)

		other = in_other_connection(hold)
		assert has.wait(10)
		try:
			yield
		finally:
			end.set()
			other.result(10)

	return held()


def test_the_locks_end_with_the_transaction(old, new, leaving, staying):
	frappe.rename_doc("User", old, new, merge=True, force=True, show_alert=False)
	assert database.is_locked(leaving) and database.is_locked(staying)
	frappe.db.commit()
	assert not database.is_locked(leaving) and not database.is_locked(staying)


def test_a_merge_that_fails_changes_nothing(old, new, leaving, staying, season):
	put_tracker(leaving, season, make_record("q1"))
	put_answers(leaving, season, "s", answer("q1", site_now()))
	tables = ("Player Memory Tracker", "Player Review Log", "Memora Learner", "Memora Former Address")
	before = [state.rows(doctype) for doctype in tables]
	frappe.rename_doc("User", old, new, merge=True, force=True, show_alert=False)
	frappe.db.rollback()
	assert [state.rows(doctype) for doctype in tables] == before
	assert not database.is_locked(leaving) and not database.is_locked(staying)
	assert (found(old), found(new)) == (leaving, staying)


def test_others_who_answer_meanwhile_wait_for_no_lock_of_the_merge(old, new, leaving, staying, season):
	for learner in (leaving, staying):
		put_tracker(learner, season, make_record("q1"))
		put_answers(learner, season, "s", answer("q1", site_now()))
	other = become_learner(make_user())
	frappe.rename_doc("User", old, new, merge=True, force=True, show_alert=False)

	def answers_of_another() -> None:
		frappe.db.sql("SET SESSION innodb_lock_wait_timeout = 1")
		put_answers(other, season, "s", answer("q1", site_now()))
		put_waiting(other, season, "s", make_record("q1"))
		put_tracker(other, season, make_record("q1"))

	in_other_connection(answers_of_another).result(20)
	frappe.db.commit()
	assert state.tracker(staying).keys() == state.tracker(other).keys() == {"q1"}


def assert_refused(error: type[Exception], old: str, new: str, leaving: str) -> None:
	with pytest.raises(error):
		merge(old, new)
	frappe.db.rollback()
	assert found(old) == leaving


def test_no_merge_while_a_season_is_being_archived(old, new, leaving, staying):
	season = make_season().name
	put_tracker(leaving, season, make_record("q1"))
	frappe.db.set_value("Game Subscription Season", season, "archive_started_at", site_now())
	frappe.db.commit()
	assert_refused(SeasonStateError, old, new, leaving)


def test_no_merge_with_a_learner_who_is_being_erased(old, new, leaving, staying):
	frappe.db.set_value("Memora Learner", leaving, "erasing_since", site_now())
	frappe.db.commit()
	assert_refused(LearnerIsErased, old, new, leaving)


def test_frappe_finds_the_link_again_after_a_merge(old, new, leaving, staying):
	from frappe.model.rename_doc import get_link_fields

	merge(old, new)
	assert "Memora Learner" in {field["parent"] for field in get_link_fields("User")}


def test_a_rename_after_a_merge_that_failed_moves_the_link(old, leaving):
	with pytest.raises(frappe.ValidationError, match="does not exist"):
		frappe.rename_doc("User", old, "nobody@learners.example", merge=True, force=True)
	rename(old, f"new-{old}")  # the script that merges did not roll back
	assert found(f"new-{old}") == leaving


def test_the_job_ids_of_both_answer_on(old, new, leaving, staying, season):
	queued = submit(leaving, answers(1), "s-1")["persistence_job_id"]
	submit(staying, answers(2), "s-2")
	merge(old, new)
	for expected in ("queued", "finished"):
		frappe.set_user(new)
		assert get_persistence_status(queued)["status"] == expected
		frappe.set_user("Administrator")
		drain()
	frappe.set_user(make_user())
	with pytest.raises(frappe.PermissionError):
		get_persistence_status(queued)
