"""What store/learners reads and writes of one learner, beside others."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import frappe
import pytest

from memora.exceptions import LearnerIsErased
from memora.services.store import ddl, failures, learners, outdated_schedules, tables
from memora.services.store.learners import Arrival, Learner
from tests.integration import state
from tests.integration.accounts import answer, put_answers, put_tracker, put_waiting
from tests.integration.connections import raw_connection
from tests.integration.factories import learner_id, make_record, make_season, make_user

HER, OTHER, THIRD = (learner_id(name) for name in ("her", "other", "third"))
LONG_AGO, NOW = datetime(2025, 1, 1, 9), datetime(2026, 3, 2, 9)
STAGING = f"{tables.STAGING[0]}of_the_tests"
LOCK_WAIT_TIMEOUT = 1205

Rows = dict[str, tuple[Any, ...]]  # by id: user, name for people, erasing since, merged into, modified


def make(id: str, user: str | None = None, name: str | None = "Her Name", **values: Any) -> str:
	doc = frappe.new_doc("Memora Learner", name=id, user=user, learner_name=name, **values)
	doc.db_insert()
	frappe.db.sql("UPDATE `tabMemora Learner` SET modified = %s", (LONG_AGO,))
	frappe.db.commit()
	return id


@pytest.fixture
def users(site) -> list[str]:
	return [make_user(full_name=name) for name in ("First Last", "other@learners.example", "Third")]


@pytest.fixture
def three(users) -> list[str]:
	"""Three learners with a User each; the first stands behind the others by name and by age."""
	for id, user in ((OTHER, users[1]), (THIRD, users[2]), (HER, users[0])):
		make(id, user)
	return users


def all_rows() -> Rows:
	columns = ("user", "learner_name", "erasing_since", "merged_into", "modified")
	return {row.name: tuple(row[c] for c in columns) for row in state.rows("Memora Learner")}


def assert_changed(before: Rows, **expected: Any) -> None:
	"""The rows are as before, but for one or some, which hold the values that are expected."""
	frappe.db.commit()
	assert all_rows() == before | expected


@pytest.fixture
def other_connection(site) -> Iterator[Callable[..., int]]:
	"""Runs a statement that waits for no lock on another connection; returns the number of its error, or 0."""
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SET innodb_lock_wait_timeout = 0")

		def run(statement: str, *values: Any) -> int:
			try:
				cursor.execute(statement, values)
			except failures.ERRORS as error:
				return failures.number_of(error)
			connection.rollback()
			return 0

		yield run
	frappe.db.rollback()


# Reading


def test_a_learner_is_found_by_user_and_by_id(three):
	frappe.db.set_value("Memora Learner", HER, {"erasing_since": NOW, "merged_into": THIRD})
	hers = Learner(HER, three[0], "Her Name", NOW, THIRD)
	others = Learner(OTHER, three[1], "Her Name", None, None)
	for find, locks in ((learners.find_by_user, False), (learners.lock_user, True)):
		assert [find(user) for user in (*three[:2], "nobody@learners.example")] == [hers, others, None], locks
	assert [learners.find(id) for id in (HER, OTHER, learner_id("nobody"))] == [hers, others, None]


def test_names_are_those_of_the_learners_who_have_one(three):
	for id, name in ((HER, "Her Own"), (THIRD, "")):
		frappe.db.set_value("Memora Learner", id, "learner_name", name)
	make(learner_id("nameless"), name=None)
	assert learners.get_names([HER, THIRD, learner_id("nameless"), "gone"]) == {HER: "Her Own"}
	assert learners.get_names(iter([HER, OTHER])) == {HER: "Her Own", OTHER: "Her Name"}
	assert learners.get_names([]) == {}


def test_an_arrival_tells_of_the_learner_and_of_the_active_season(three, season):
	other = make_season().name
	outdated_schedules.note_at_once([(OTHER, season), (HER, other), (HER, season)], NOW)
	token = outdated_schedules.get_token(HER, season)
	found = learners.read_with_season(three[0])
	assert (found.id, found.is_erasing, found.season.name, found.outdated) == (HER, False, season, token)
	outdated_schedules.forget([(note.name, note.token) for note in outdated_schedules.get_page("")])
	frappe.db.set_value("Memora Learner", HER, "erasing_since", NOW)
	frappe.db.commit()
	assert learners.read_with_season(three[0]) == Arrival(HER, True, found.season, "")
	assert learners.read_with_season(three[1]) == Arrival(OTHER, False, found.season, "")
	assert learners.read_with_season("nobody@learners.example") == Arrival(None, False, found.season, "")
	frappe.db.sql("UPDATE `tabGame Subscription Season` SET is_active = 1")  # two, by a mistake
	assert learners.read_with_season(three[1]).season.name in (season, other)
	frappe.db.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
	assert learners.read_with_season(three[1]) == Arrival(OTHER, False, None, "")
	assert learners.read_with_season("nobody@learners.example") == Arrival(None, False, None, "")
	frappe.db.rollback()


def test_the_key_of_a_submission_follows_a_merge(three):
	frappe.db.set_value("Memora Learner", HER, "merged_into", THIRD)
	rest = 2 * "0123456789abcdef"
	found = [learners.current_key(id + rest) for id in (HER, OTHER, learner_id("nobody"))]
	assert found == [THIRD + rest, OTHER + rest, learner_id("nobody") + rest]


@pytest.mark.parametrize("values", [{"erasing_since": NOW}, {"merged_into": THIRD}])
def test_only_who_is_kept_passes(three, values):
	learners.require_kept(HER)
	frappe.db.set_value("Memora Learner", HER, values)
	for id in (HER, learner_id("nobody")):
		with pytest.raises(LearnerIsErased):
			learners.require_kept(id)
	learners.require_kept(OTHER)
	frappe.db.rollback()


# Making


def test_a_learner_is_made_of_a_user_as_the_user_spells_it(users):
	make(OTHER, users[1])
	her = learners.create(users[0].upper(), NOW)
	frappe.db.rollback()  # it is committed already
	assert_changed(
		{OTHER: (users[1], "Her Name", None, None, LONG_AGO)},
		**{her: (users[0], "First Last", None, None, NOW)},
	)
	assert learners.create(users[0], LONG_AGO) == her
	assert learners.create(users[1], NOW) == OTHER
	for nobody in ("Guest", "nobody@learners.example"):
		assert learners.create(nobody, NOW) is None
	assert len(all_rows()) == 2
	assert learners.find(learners.create(users[2], NOW)).learner_name == "Third"


def test_an_address_is_no_name_for_people(users):
	her = learners.create(users[1], NOW)
	assert learners.find(her).learner_name == "other"


# Writing


def test_another_user_or_none_is_given_to_one_learner(three):
	before, fourth = all_rows(), make_user()
	learners.relink(HER, fourth, NOW)
	assert_changed(before, **{HER: (fourth, "Her Name", None, None, NOW)})
	learners.relink(HER, None, NOW)
	assert_changed(before, **{HER: (None, "Her Name", None, None, NOW)})


def test_who_is_merged_takes_along_those_who_were_merged_into_her(three):
	former = make(learner_id("former"), merged_into=HER)
	another = make(learner_id("another's"), merged_into=OTHER)
	before = all_rows()
	learners.note_merged(HER, THIRD, NOW)
	gone = (None, "Her Name", None, THIRD, NOW)
	assert_changed(before, **{HER: gone, former: gone})
	learners.delete(THIRD)
	frappe.db.commit()
	assert all_rows() == {id: row for id, row in before.items() if id in (OTHER, another)}


def test_one_learner_is_called_otherwise(three):
	before = all_rows()
	for name, called, modified in (
		("Her Name", "Her Name", LONG_AGO),
		("her name", "her name", NOW),
		("her@learners.example", "her", NOW),
	):
		learners.rename(three[0], name, NOW)
		assert_changed(before, **{HER: (three[0], called, None, None, modified)})
	frappe.db.sql("UPDATE `tabMemora Learner` SET learner_name = NULL WHERE name = %s", (HER,))
	learners.rename(three[0], "Her Name", NOW)
	assert_changed(before, **{HER: (three[0], "Her Name", None, None, NOW)})


@pytest.mark.parametrize(
	"put",
	[
		lambda who, season: put_tracker(who, season, make_record("q1")),
		lambda who, season: put_tracker(who, season, make_record("q1"), doctype="Archived Memory Tracker"),
		lambda who, season: put_answers(who, season, "s", answer("q1", NOW)),
		lambda who, season: put_waiting(who, season, "s", make_record("q1")),
	],
	ids=["tracker", "archive", "journal", "outbox"],
)
def test_who_has_a_row_anywhere_has_rows(three, season, put):
	put(HER, season)
	assert [learners.has_rows(id) for id in (HER, OTHER, THIRD)] == [True, False, False]


def test_who_has_a_row_on_its_way_to_the_archive_has_rows(season):
	ddl.create_like(STAGING, "tabPlayer Memory Tracker")
	try:
		put_tracker(HER, season, make_record("q1"))
		frappe.db.sql(f"INSERT INTO `{STAGING}` SELECT * FROM `tabPlayer Memory Tracker`")
		frappe.db.sql("DELETE FROM `tabPlayer Memory Tracker`")
		frappe.db.commit()
		found = [learners.has_rows(id) for id in (HER, OTHER)]
	finally:
		frappe.db.rollback()
		ddl.drop(STAGING)
	assert found == [True, False]


# Locks


def test_an_erasure_waits_for_who_needs_the_learner(three, other_connection):
	begin = "UPDATE `tabMemora Learner` SET erasing_since = NOW() WHERE name = %s"
	learners.require_kept(HER)
	assert other_connection(begin, HER) == LOCK_WAIT_TIMEOUT
	assert other_connection(begin, OTHER) == 0


def test_a_user_who_is_locked_becomes_no_learner_meanwhile(three, other_connection):
	fourth = make_user()
	assert learners.lock_user(fourth) is None
	assert learners.lock_user(three[0]).id == HER
	lock = "SELECT 1 FROM tabUser WHERE name = %s LOCK IN SHARE MODE"
	found = [other_connection(lock, user) for user in (fourth, three[0], three[1])]
	assert found == [LOCK_WAIT_TIMEOUT, LOCK_WAIT_TIMEOUT, 0]
	lock = "SELECT 1 FROM `tabMemora Learner` WHERE name = %s LOCK IN SHARE MODE"
	assert [other_connection(lock, id) for id in (HER, OTHER)] == [LOCK_WAIT_TIMEOUT, 0]


def test_what_was_committed_after_the_snapshot_is_seen_by_who_locks(three):
	frappe.db.rollback()
	assert learners.find(HER)  # the snapshot
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		cursor.execute("UPDATE `tabMemora Learner` SET merged_into = %s WHERE name = %s", (THIRD, HER))
	assert learners.lock_user(three[0]) == Learner(HER, three[0], "Her Name", None, THIRD)
	with pytest.raises(LearnerIsErased):
		learners.require_kept(HER)
	frappe.db.rollback()
