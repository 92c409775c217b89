"""A User is renamed, disabled, given another name or deleted: the learner stays who she is."""

import frappe
import pytest

from devtools import processes
from memora.exceptions import JournalUnavailable, LearnerHasAnswers, UnknownLearner
from memora.services.folding import queueing
from memora.services.learning import learners as doors
from memora.services.store import database, learners, tables
from tests.integration import accounts, state
from tests.integration.accounts import answer, become_learner, other_address, rename
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_record, make_season, make_user, site_now
from tests.integration.test_submission_repeats import lock_name
from tests.integration.waiting import wait_until

ROWS = 3000
READS_SQL = "SHOW SESSION STATUS LIKE 'Handler_read%'"


@pytest.fixture
def player() -> str:
	"""A User."""
	return make_user()


def learner_of(user: str) -> learners.Learner | None:
	frappe.db.rollback()
	return learners.find_by_user(user)


def test_a_renamed_user_is_the_same_learner(player):
	learner = become_learner(player)
	rename(player, other_address(player))
	assert learner_of(other_address(player)).id == learner
	assert learner_of(player) is None


def test_a_user_who_is_no_learner_can_be_renamed(player):
	rename(player, other_address(player))
	assert learner_of(other_address(player)) is None
	assert state.rows("Memora Former Address") == []


def test_the_address_of_who_is_being_erased_is_not_remembered(player):
	learner = become_learner(player)
	frappe.db.set_value("Memora Learner", learner, "erasing_since", site_now())
	frappe.db.commit()
	rename(player, other_address(player))
	assert state.rows("Memora Former Address") == []


def test_who_gets_the_address_next_is_another_learner(player):
	learner = become_learner(player)
	rename(player, other_address(player))
	make_user(name=player)
	assert become_learner(player) != learner


def test_two_addresses_can_be_swapped():
	one, two = make_user(), make_user()
	first, second = become_learner(one), become_learner(two)
	rename(one, "between-" + one)
	rename(two, one)
	rename("between-" + one, two)
	assert (learner_of(one).id, learner_of(two).id) == (second, first)


def test_a_job_of_frappe_renames_like_a_request(player):
	learner, new = become_learner(player), other_address(player)
	arguments = {"__doctype": "User", "__name": player, "__action": "rename", "name": new}
	job = frappe.enqueue("frappe.model.document.execute_action", queue="long", **arguments)
	with processes.worker(["long"]):
		wait_until(lambda: job.get_status(refresh=True) in ("finished", "failed"), "the job")
	assert learner_of(new).id == learner
	assert [row.learner for row in state.rows("Memora Former Address")] == [learner]


# What Frappe's rename reads


def reads() -> int:
	return sum(int(number) for _name, number in frappe.db.sql(READS_SQL))


def reads_of_rename(old: str, new: str) -> int:
	before = reads()
	rename(old, new)
	return reads() - before


def test_a_rename_reads_none_of_the_answers(player, season):
	learner = become_learner(player)
	there, back = other_address(player), player
	rename(player, there)
	rename(there, back)  # now caches are warm, and each table has what a rename adds
	few = reads_of_rename(back, there)
	put_many(learner, season, ROWS)
	many = reads_of_rename(there, back)
	assert abs(many - few) < ROWS / 10


def put_many(learner: str, season: str, how_many: int) -> None:
	now = site_now()
	records = [make_record(f"q{number}") for number in range(how_many)]
	accounts.put_tracker(learner, season, *records)
	accounts.put_answers(learner, season, "s", *(answer(r.question_id, now) for r in records))


def test_what_frappe_looks_through_is_narrowed_for_the_rename_only(player):
	become_learner(player)
	before = set(frappe.db.get_tables())
	assert "tabPlayer Review Log" in before
	rename(player, other_address(player))
	assert set(frappe.db.get_tables()) == before


def test_what_frappe_looks_through_is_whole_again_after_a_rename_that_failed(player):
	taken = make_user()
	before = set(frappe.db.get_tables())
	with pytest.raises(frappe.ValidationError, match="exists"):
		rename(player, taken)
	frappe.db.rollback()
	assert set(frappe.db.get_tables()) == before
	with pytest.raises(frappe.ValidationError, match="exists"):
		rename(player, taken)
	frappe.db.commit()
	assert set(frappe.db.get_tables()) == before


def test_who_is_renamed_goes_on_owning_what_she_has_made(player):
	season, one, other = make_season().name, make_user(), make_user()
	frappe.db.set_value(
		"Game Subscription Season", season, {"owner": player, "modified_by": one}, update_modified=False
	)
	frappe.db.set_value("User", one, {"owner": player, "modified_by": player}, update_modified=False)
	frappe.db.commit()
	rename(player, other_address(player))
	owners = {
		(name, tuple(frappe.db.get_value(doctype, name, ["owner", "modified_by"])))
		for doctype, name in (("Game Subscription Season", season), ("User", one), ("User", other))
	}
	new = other_address(player)
	assert owners == {(season, (new, one)), (one, (new, new)), (other, ("Administrator", "Administrator"))}


def test_a_learner_who_answers_meanwhile_waits_for_no_lock_of_the_rename(player, season):
	learner, other = become_learner(player), become_learner(make_user())
	newcomer = make_user(name=f"z-{player}")  # only who comes between the address and the one before it waits
	frappe.rename_doc("User", player, other_address(player), force=True, show_alert=False)

	def answers_and_newcomers() -> None:
		frappe.db.sql("SET SESSION innodb_lock_wait_timeout = 1")
		accounts.put_answers(other, season, "s", answer("q1", site_now()))
		accounts.put_waiting(other, season, "s", make_record("q1"))
		accounts.put_tracker(other, season, make_record("q1"))
		become_learner(newcomer)

	in_other_connection(answers_and_newcomers).result(20)
	frappe.db.commit()
	assert learner_of(other_address(player)).id == learner


def test_every_table_of_ours_with_an_owner_is_left_out_or_has_people_as_owners():
	ours = frappe.get_all("DocType", {"module": "Memora", "issingle": 0, "is_virtual": 0}, pluck="name")
	by_people = {name for name in ours if not tables.is_without_owner(f"tab{name}")}
	assert by_people == {
		*("Anki Import", "Anki Import Deck", "Anki Import Problem"),
		*("Cache Rebuild", "Cache Reconciliation", "Safe Mode Incident"),
		*("Game Question", "Game Question Option", "Game Subject", "Game Subscription Season", "Game Topic"),
	}


def test_a_user_who_is_being_renamed_becomes_no_learner_under_the_old_address(player):
	frappe.rename_doc("User", player, other_address(player), force=True, show_alert=False)
	create = in_other_connection(lambda: learners.create(player, site_now()))
	wait_until_it_waits()
	frappe.db.commit()
	assert create.result(10) is None
	assert learner_of(player) is None


def wait_until_it_waits() -> None:
	"""For a row that is locked."""
	sql = """SELECT 1 FROM information_schema.PROCESSLIST
		WHERE DB = DATABASE() AND ID <> CONNECTION_ID() AND INFO LIKE '%INTO `tabMemora Learner`%'"""
	wait_until(lambda: frappe.db.sql(sql), "the other to wait")


# Former addresses


def test_a_job_of_before_the_rename_means_who_had_the_address_then(player):
	learner, before = become_learner(player), site_now()
	rename(player, other_address(player))
	make_user(name=player)
	assert doors.identify(player, before) == learner
	assert doors.identify(player, site_now()) == become_learner(player) != learner
	assert doors.identify(player) == become_learner(player)


def test_a_job_that_was_made_while_the_address_was_changed_means_who_lost_it(player):
	learner = become_learner(player)
	rename(player, other_address(player))
	assert doors.identify(player, site_now()) == learner
	with pytest.raises(UnknownLearner):
		doors.identify(player)


def test_a_job_of_before_a_swap_means_who_had_the_address_then():
	one, two = make_user(), make_user()
	first, second, before = become_learner(one), become_learner(two), site_now()
	rename(one, "between-" + one)
	rename(two, one)
	rename("between-" + one, two)
	assert [doors.identify(address, before) for address in (one, two)] == [first, second]
	assert [doors.identify(address, site_now()) for address in (one, two)] == [second, first]


def test_no_former_address_is_stored_in_plain_text(player):
	become_learner(player)
	rename(player, other_address(player))
	(row,) = state.rows("Memora Former Address")
	assert "@" not in str(row)


def test_a_late_job_of_the_seeds_form_stores_for_who_had_the_address(player, season):
	learner = become_learner(player)
	due = site_now().replace(microsecond=0)
	responses = [{"question_id": "q-1", "new_stability": 2.5, "new_next_review_date": due}]
	job = frappe.enqueue(queueing.JOB, queue="srs_write", responses=responses, user=player, season=season)
	rename(player, other_address(player))
	make_user(name=player)
	successor = become_learner(player)
	late = frappe.enqueue(queueing.JOB, queue="srs_write", responses=responses, user=player, season=season)
	with processes.worker(["srs_write"]):
		for each in (job, late):
			wait_until(lambda each=each: each.get_status(refresh=True) in ("finished", "failed"), "the job")
	assert [row.player for row in state.rows("Player Memory Tracker", question_id="q-1")] == sorted(
		[learner, successor]
	)


# The name for people


def test_the_learner_is_called_as_her_user_is(player):
	become_learner(player)
	user = frappe.get_doc("User", player)
	user.update({"first_name": "Noor", "last_name": "Haddad"}).save()
	frappe.db.commit()
	assert learner_of(player).learner_name == "Noor Haddad"


def test_an_address_in_place_of_a_name_is_not_stored():
	user = make_user(full_name="ann@school.example")
	become_learner(user)
	assert learner_of(user).learner_name == "ann"
	learners.rename(user, "bea@school.example", site_now())
	frappe.db.commit()
	assert learner_of(user).learner_name == "bea"


def test_a_user_who_is_disabled_and_enabled_again_is_the_same_learner(system_manager, player, season):
	learner = become_learner(player)
	accounts.put_tracker(learner, season, make_record("q1"))
	for enabled in (0, 1):
		frappe.get_doc("User", player).update({"enabled": enabled}).save()
		frappe.db.commit()
	assert learner_of(player).id == learner
	assert state.tracker(learner).keys() == {"q1"}


# Deleting


@pytest.fixture
def system_manager() -> None:
	"""Frappe deletes and disables nobody where there is no System Manager beside the Administrator."""
	make_user(["System Manager"])


def delete(user: str, **more) -> None:
	frappe.delete_doc("User", user, **more)
	frappe.db.commit()


def test_a_user_without_answers_can_be_deleted_and_her_learner_goes_with_her(system_manager, player):
	learner = become_learner(player)
	rename(player, other_address(player))
	delete(other_address(player))
	assert learners.find(learner) is None
	assert state.rows("Memora Former Address") == []


def test_a_learner_whose_answer_is_being_saved_is_not_deleted(system_manager, player, monkeypatch):
	learner = become_learner(player)
	monkeypatch.setattr(database, "LEARNER_LOCK_WAIT_SECONDS", 0)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock_name(learner),))
		with pytest.raises(JournalUnavailable):
			delete(player)
	frappe.db.rollback()
	assert learner_of(player).id == learner


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("where", ["tracker", "journal", "archive", "outbox"])
def test_a_learner_with_answers_is_not_deleted(system_manager, player, season, where, force):
	learner = become_learner(player)
	put = {
		"tracker": lambda: accounts.put_tracker(learner, season, make_record("q1")),
		"journal": lambda: accounts.put_answers(learner, season, "s", answer("q1", site_now())),
		"archive": lambda: accounts.put_tracker(
			learner, season, make_record("q1"), doctype="Archived Memory Tracker"
		),
		"outbox": lambda: accounts.put_waiting(learner, season, "s", make_record("q1")),
	}
	put[where]()
	with pytest.raises(LearnerHasAnswers) as refusal:
		delete(player, force=force)
	frappe.db.rollback()
	assert f"memora erase-learner {learner}" in str(refusal.value) and "--detach" in str(refusal.value)
	assert learner_of(player).id == learner
	assert frappe.db.exists("User", player)
