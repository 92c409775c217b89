"""A learner is erased, or detached: what goes, what stays, what is refused meanwhile."""

from typing import NamedTuple

import frappe
import pytest

from devtools import processes
from memora.exceptions import InvalidErasure, LearnerIsErased, UnknownLearner
from memora.services import site_time
from memora.services.folding import folds
from memora.services.learning import learners
from memora.services.operations import archiving, erasing, exporting
from memora.services.store import admissions, database, erasures, outbox, swap, tables, tracker
from memora.services.store import learners as stored_learners
from tests.integration import state, whole_site
from tests.integration.archiving import make_ended_season
from tests.integration.cleaning import srs_keys
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_learner, make_record, make_records, make_waiting_submission
from tests.integration.submitting import answers, read, submit
from tests.integration.waiting import wait_until

FULL = (
	"Player Review Log",
	"Player Memory Tracker",
	"Review Outbox",
	"Archived Memory Tracker",
	"Daily Learner",
)


class Her(NamedTuple):
	user: str
	id: str


def make_her() -> Her:
	learner = make_learner()
	return Her(learner.user, learner.name)


@pytest.fixture
def her() -> Her:
	return make_her()


@pytest.fixture
def other() -> Her:
	return make_her()


def live(who: Her, season: str) -> None:
	"""Answers that are folded, answers that wait, records of a season that is over, a schedule, a read in Safe Mode."""
	make_records(who.id, 5)
	submit(who.id, answers(3))
	folds.fold(state.outbox(who.id)[0].name)
	read(who.id)
	make_waiting_submission(who.id, season, make_record("q-waiting"))
	admissions.admit(who.id, 60)


def archive_of(who: Her) -> str:
	season = make_ended_season(3)
	make_records(who.id, 4, season=season)
	assert archiving.archive_season(season)["success"]
	return season


def rows_of(who: Her) -> dict[str, int]:
	return {doctype: len(state.rows(doctype, player=who.id)) for doctype in FULL}


def erased(who: Her, **options) -> dict:
	return erasing.run(who.user, erasing.ERASE, "Command", **options)


def test_nothing_is_left_of_her_and_all_of_the_others(her, other, season):
	for who in (her, other):
		archive_of(who)
	for who in (her, other):
		live(who, season)
	others = rows_of(other)
	assert all(rows_of(her).values())
	result = erased(her, reference="Letter 17")
	assert "error" not in result
	assert result["removed"]["Player Memory Tracker"] == 5
	assert result["removed"]["Archived Memory Tracker"] == 4
	assert whole_site.find(her.id) == []
	assert frappe.db.exists("User", her.user)
	assert [
		p for p in whole_site.find(her.user) if not p.startswith(("tabUser.", "__Auth.", "redis_cache"))
	] == []
	assert rows_of(other) == others
	assert read(other.id)["total_due"]


def test_the_record_of_it_names_nobody(her, season):
	live(her, season)
	result = erased(her, reference="Letter 17")
	doc = frappe.get_doc("Memora Erasure", result["erasure"])
	assert (doc.kind, doc.way, doc.status, doc.reference) == ("Erase", "Command", "Completed", "Letter 17")
	assert {row.kept_in: row.removed for row in doc.counts} == result["removed"]
	assert doc.done_at >= doc.begun_at
	assert her.user not in frappe.as_json(doc) and her.id not in frappe.as_json(doc)


def test_who_comes_back_begins_at_nothing(her, season):
	live(her, season)
	erased(her)
	assert learners.look_up(her.user) is None
	again = learners.identify(her.user)
	assert again != her.id
	assert read(again)["total_due"] == 0


def test_a_dry_run_counts_and_changes_nothing(her, season):
	live(her, season)
	with state.nothing_changes():
		found = erasing.count_rows(her.user)
	assert found["Player Memory Tracker"] == 5
	assert found["Review Outbox"] == 1
	assert found["Daily Learner"] == 1
	assert found["Safe Mode Admission"] == 1


@pytest.mark.parametrize("who", ["nobody@learners.example", "0123456789abcdef", ""])
def test_who_is_no_learner_is_unknown(who):
	with pytest.raises(UnknownLearner):
		erasing.run(who, erasing.ERASE, "Command")
	assert UnknownLearner.http_status_code == 404


def test_a_reference_must_not_name_her(her):
	with pytest.raises(InvalidErasure):
		erased(her, reference=f"asked by {her.user.upper()}")
	assert state.rows("Memora Erasure") == []
	assert not stored_learners.find(her.id).erasing_since


def test_pages_of_a_few_rows_leave_nothing_either(her, season, monkeypatch):
	make_records(her.id, 25)
	for name in ("PAGE_SQL", "OF_PLAYER_SQL"):
		text = getattr(erasures, name)
		monkeypatch.setattr(erasures, name, text.replace(f"LIMIT {erasures.PAGE_ROWS}", "LIMIT 4"))
	assert erased(her)["removed"]["Player Memory Tracker"] == 25
	assert whole_site.in_tables(her.id) == []


def test_rows_on_their_way_to_the_archive_go_too(her, season):
	season = make_ended_season(3)
	make_records(her.id, 4, season=season)
	frappe.db.commit()
	swap.take_out(season)
	removed = erased(her)["removed"]
	assert removed[swap.staging_table(season)] == 4
	assert tables.table_has_rows(swap.staging_table(season))
	assert archiving.archive_season(season)["archived_count"] == 3
	assert whole_site.in_tables(her.id) == []


def test_a_table_that_a_conversion_has_kept(her):
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("DROP TABLE IF EXISTS memora_unpartitioned_test")
		cursor.execute(
			"CREATE TABLE memora_unpartitioned_test (name varchar(140) PRIMARY KEY, player varchar(140))"
		)
		for name, player in (("a", her.user), ("b", "somebody@learners.example"), ("c", her.id)):
			cursor.execute("INSERT INTO memora_unpartitioned_test VALUES (%s, %s)", (name, player))
		connection.commit()
		try:
			assert erased(her)["removed"]["memora_unpartitioned_test"] == 2
			assert state.rows_of_table("memora_unpartitioned_test") == ["b"]
		finally:
			frappe.db.rollback()  # or the table stays locked
			cursor.execute("DROP TABLE memora_unpartitioned_test")


def test_a_learner_who_was_merged_into_her_goes_too(her, other, season):
	live(other, season)
	frappe.db.set_value("Memora Learner", other.id, {"merged_into": her.id, "user": None})
	frappe.db.commit()
	erased(her)
	assert whole_site.find(other.id) == []


# Beside others


def test_a_submission_that_has_passed_the_door_is_refused(her):
	erasing.begin(her.user, erasing.ERASE, "Command")
	with pytest.raises(LearnerIsErased):
		submit(her.id, answers(2))
	assert (state.journal(her.id), state.outbox(her.id)) == ([], [])


def test_a_submission_after_all_is_over_is_refused(her):
	erased(her)
	with pytest.raises(LearnerIsErased):
		submit(her.id, answers(2))
	assert whole_site.in_tables(her.id) == []


def test_a_submission_that_is_under_way_is_waited_for(her, season):
	row = {
		"name": f"{her.id}{'0' * 16}",
		"player": her.id,
		"season": season,
		"payload": "[]",
		"activity": "[]",
	}
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute(
			outbox.INSERT_SQL + outbox.LOCKED_SQL, {**row, "now": site_time.naive_now(), "grace_from": None}
		)
		erasing_ = in_other_connection(lambda: erased(her))
		wait_until(lambda: _waiting(cursor, "%tabMemora Learner%FOR UPDATE%"), "the erasure waits")
		connection.commit()
		assert erasing_.result(30)["removed"]["Review Outbox"] == 1
	assert whole_site.in_tables(her.id) == []


def test_a_record_of_another_way_is_refused(her, season):
	erasing.begin(her.user, erasing.ERASE, "Command")
	with pytest.raises(LearnerIsErased), database.transaction():
		tracker.keep_from_removal(her.id, season)


def test_a_fold_that_has_taken_her_outbox_is_waited_for(her, season):
	key = make_waiting_submission(her.id, season, make_record("q-1"))
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT name FROM `tabReview Outbox` WHERE name = %s FOR UPDATE", (key,))
		erasing_ = in_other_connection(lambda: erased(her))
		wait_until(lambda: _waiting(cursor, "DELETE FROM `tabReview Outbox`%"), "the erasure waits")
		assert not erasing_.done()
		cursor.execute("DELETE FROM `tabReview Outbox` WHERE name = %s", (key,))
		connection.commit()
		result = erasing_.result(30)
	assert "error" not in result
	assert "Review Outbox" not in result["removed"]


def _waiting(cursor, statement: str) -> bool:
	"""Says whether a statement like this is under way; the one that asks is not."""
	cursor.execute(
		"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND ID != CONNECTION_ID()",
		(statement,),
	)
	return bool(cursor.fetchone()[0])


def test_an_archive_run_is_not_disturbed(her, monkeypatch):
	monkeypatch.setattr(erasing, "LOCK_WAIT_SECONDS", 0)
	with in_lock(archiving.LOCK):
		result = erased(her)
	assert "archive or retention run" in result["error"]
	assert learners.look_up(her.user) == her.id
	assert frappe.db.get_value("Memora Erasure", result["erasure"], "error") == result["error"]
	again = erased(her)
	assert (again["erasure"], "error" in again) == (result["erasure"], False)
	assert frappe.db.get_value("Memora Erasure", result["erasure"], "status") == "Completed"


class in_lock:
	"""Somebody else's connection holds a lock."""

	def __init__(self, name: str) -> None:
		self.key = database._lock_key(name)

	def __enter__(self) -> None:
		self.connection = frappe.db.create_connection()
		with self.connection.cursor() as cursor:
			cursor.execute("SELECT GET_LOCK(%s, 5)", (self.key,))

	def __exit__(self, *error) -> None:
		self.connection.close()


def test_without_redis_it_stops_and_goes_on_later(her, season, proxy):
	live(her, season)
	proxy.stop()
	result = erased(her)
	assert "Redis" in result["error"]
	assert stored_learners.find(her.id).erasing_since


def test_a_schedule_of_hers_that_is_being_loaded_is_not_stored(her, season):
	make_records(her.id, 3)
	read(her.id)
	assert srs_keys(f"*{her.id}*")
	erased(her)
	assert not srs_keys(f"*{her.id}*")


def test_an_erasure_whose_job_has_died_is_taken_up_again(her):
	erasure = erasing.begin(her.user, erasing.ERASE, "Desk")
	erasing.resume_unfinished()
	with processes.worker(["long"]):
		wait_until(
			lambda: state.rows("Memora Erasure", name=erasure)[0].status == "Completed", "the end of it"
		)
	assert whole_site.find(her.id) == []


# Detached


def test_who_is_detached_leaves_rows_that_are_nobodys(her, season):
	live(her, season)
	before = rows_of(her)
	result = erasing.run(her.user, erasing.DETACH, "Command")
	assert "error" not in result
	assert rows_of(her) == before
	row = stored_learners.find(her.id)
	assert (row.user, row.learner_name, row.erasing_since) == (None, None, None)
	assert learners.look_up(her.user) is None
	assert not srs_keys(f"*{her.id}*")
	assert frappe.db.get_value("Memora Erasure", result["erasure"], ["kind", "status"]) == (
		"Detach",
		"Completed",
	)
	assert learners.identify(her.user) != her.id


def test_who_was_detached_can_be_erased_by_id(her, season):
	live(her, season)
	erasing.run(her.user, erasing.DETACH, "Command")
	assert "error" not in erasing.run(her.id, erasing.ERASE, "Command")
	assert whole_site.find(her.id) == []


def test_who_is_being_erased_cannot_be_detached(her):
	erasing.begin(her.user, erasing.ERASE, "Command")
	with pytest.raises(LearnerIsErased):
		erasing.run(her.user, erasing.DETACH, "Command")


def test_who_is_being_erased_is_refused(her):
	erasing.begin(her.user, erasing.ERASE, "Command")
	with pytest.raises(LearnerIsErased):
		learners.sit_down(her.user)
	with pytest.raises(LearnerIsErased):
		exporting.export_for(her.id, "Administrator")
	assert erasing.count_rows(her.user)
