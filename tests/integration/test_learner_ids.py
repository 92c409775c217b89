"""The patch that gives ids to learners whose rows are from before learners had ids."""

from typing import Any

import frappe
import pytest
from frappe.utils import background_jobs

from memora import install
from memora.exceptions import LearnerHasAnswers, PartitionError
from memora.services import alerts
from memora.services.folding import folds, queueing
from memora.services.learning import accounts, reviews
from memora.services.learning import learners as learning_learners
from memora.services.operations import doctor, learner_ids
from memora.services.operations.replay import replay_season
from memora.services.srs_archiver import SRSArchiver
from memora.services.srs_persistence import persist_review_batch
from memora.services.store import database, old_learners, swap
from memora.services.store.row_names import digest
from tests.integration import cleaning, state
from tests.integration.archiving import make_ended_season
from tests.integration.connections import in_other_connection
from tests.integration.factories import (
	STANDING_SEASON,
	Learner,
	bank_questions,
	make_learner,
	make_record,
	make_records,
	make_waiting_submission,
	site_now,
)
from tests.integration.old_learners import age, key_then, rename, run_patch, unconverted
from tests.integration.old_site import check, look, make_old_site
from tests.integration.old_tables import TRACKER, insert, old_row
from tests.integration.submitting import answers, days_ago, submit


def test_a_site_of_an_earlier_version_is_brought_over(pending, capfd):
	site, found = make_old_site(), doctor.examine()
	assert unconverted().keys() == {*old_learners.TABLES, "tabDaily Learner"}
	assert [key for key in cleaning.srs_keys() if "@" in key]
	run_patch()
	check(site)
	assert doctor.examine() == found
	for row in state.rows("Memora Learner"):
		assert row.learner_name == frappe.db.get_value("User", row.user, "full_name")
	assert f"{sum(count_rows())} rows of learners now carry their ids" in capfd.readouterr().out
	run_patch()
	assert "Memora: 0 rows" in capfd.readouterr().out


def count_rows() -> list[int]:
	return [len(state.rows(table.removeprefix("tab"))) for table in old_learners.TABLES]


def test_rows_on_their_way_to_the_archive_are_brought_over(pending):
	learner, past = make_learner(), make_ended_season(0)
	make_records(learner.name, 3, season=past)
	swap.take_out(past)
	age(learner)
	run_patch()
	assert SRSArchiver().archive_season(past)["archived_count"] == 3
	assert unconverted() == {}
	assert {row.player for row in state.rows("Archived Memory Tracker")} == {digest(learner.user)}


@pytest.mark.each_redis
def test_schedules_under_addresses_are_removed_and_others_stay(pending):
	old, new = make_learner(), make_learner()
	for learner in (old, new):
		submit(learner.name, answers(2))
		reviews.read_reviews(learner.name)
	age(old)
	assert len([key for key in cleaning.srs_keys() if "@" in key]) == 2
	run_patch()
	assert not [key for key in cleaning.srs_keys() if "@" in key]
	assert state.is_loaded(new.name, STANDING_SEASON)


def test_tables_without_partitions_are_left_alone(pending, old_tracker):
	insert(TRACKER, [old_row()])
	with pytest.raises(PartitionError, match="run-patch"):
		run_patch()
	assert [row.name for row in state.rows(TRACKER)] == [old_row()["name"]]


def test_a_learner_who_comes_first_is_given_her_id_and_rows_at_once(pending):
	site = make_old_site(2)
	first, other = site.learners
	assert learning_learners.sit_down(first.user).learner == digest(first.user)
	assert look(first, site.seasons[1:]).due_of_subject == site.expected[first.user].due_of_subject
	assert learning_learners.look_up(other.user) is None
	assert persist_review_batch([result(bank_questions()[5])], other.user, STANDING_SEASON)["success"]
	assert bank_questions()[5] in state.tracker(digest(other.user))
	run_patch()
	assert unconverted() == {}
	assert persist_review_batch([result(bank_questions()[6])], other.user, STANDING_SEASON)["success"]
	assert bank_questions()[6] in state.tracker(digest(other.user))


def result(question: str) -> dict[str, Any]:
	return {"question_id": question, "new_stability": 3.5, "new_next_review_date": "2030-01-01 04:00:00"}


def test_a_user_who_is_renamed_before_the_patch_comes_to_her_takes_her_rows_along(pending):
	site = make_old_site(2)
	first, other = site.learners
	frappe.rename_doc("User", first.user, f"new-{first.user}", force=True)
	frappe.db.commit()
	assert learning_learners.look_up(f"new-{first.user}") == digest(first.user)
	with pytest.raises(LearnerHasAnswers):
		accounts.leave(other.user)
	frappe.db.rollback()
	run_patch()
	assert unconverted() == {}
	found = look(Learner(first.name, f"new-{first.user}", ""), site.seasons[1:])
	assert found.records == site.expected[first.user].records
	assert {row.name for row in state.rows("Memora Learner")} == {digest(one.user) for one in site.learners}


def test_answers_that_wait_are_folded_by_id_before_the_patch_comes_to_them(pending):
	site = make_old_site(2)
	folds.unpark()
	folds.drain(site_now())
	assert state.rows("Review Outbox") == []
	for expected in site.expected.values():
		expected.jobs = dict.fromkeys(list(expected.jobs)[:1], "finished")
	run_patch()
	check(site)


def test_a_user_who_is_gone_leaves_a_learner_who_is_nobodys(pending):
	gone, spelled = make_learner(), make_learner()
	for learner in (gone, spelled):
		submit(learner.name, answers(2))
	frappe.db.delete("User", {"name": gone.user})
	spelled = Learner(spelled.name, spelled.user.upper(), spelled.api_key)
	age(gone, spelled)
	run_patch()
	assert {row.name: (row.user, row.learner_name) for row in state.rows("Memora Learner")} == {
		digest(gone.user): (None, None),
		digest(spelled.user): (None, None),
	}
	assert unconverted() == {}


def test_rows_of_a_renamed_user_and_of_who_got_her_address_are_parted(pending, capfd):
	"""As 15.55.1 left them: the column says the new address, the names begin with the digest of the old one."""
	before, after, heir = make_learner(), make_learner(), make_learner()
	with days_ago(30):
		submit(before.name, answers(4))
	with days_ago(20):
		submit(before.name, answers(2, quality=1))
	folds.drain(site_now())
	with days_ago(9):  # as she knows nothing under her new address
		submit(after.name, answers(3))
	with days_ago(5):  # whoever got the old address
		for day in range(3):
			with days_ago(5 - day):
				submit(heir.name, answers(2 + day % 2))
	folds.drain(site_now())
	keys = [row.name for row in state.rows("Player Review Log")]
	# what her last answer led to, on top of what the other one knew
	make_waiting_submission(heir.name, STANDING_SEASON, make_record(bank_questions()[0], reps=9))
	age(before)
	rename(before.user, after.user)
	age(after, Learner(heir.name, before.user, heir.api_key))
	run_patch()
	assert unconverted() == {}
	assert replay_season(STANDING_SEASON).differences == 0
	hers, theirs = digest(after.user), digest(before.user)
	assert f"their learners now: {', '.join(sorted((hers, theirs)))}." in capfd.readouterr().out
	assert state.tracker(hers).keys() == {*bank_questions()[:4]}
	assert {q: row.reps for q, row in state.tracker(hers).items()} == dict(
		zip(bank_questions(), (3, 3, 2, 1), strict=False)
	)
	assert state.tracker(theirs).keys() == {*bank_questions()[:3]}
	assert (len(state.journal(hers)), len(state.journal(theirs))) == (9, 7)
	assert len(state.rows("Player Review Log")) == len(keys)
	assert learning_learners.look_up(after.user) == hers
	assert learning_learners.look_up(before.user) == theirs


def test_the_old_id_of_a_renamed_user_leads_to_her(pending):
	learner, old = make_learner(), "old@learners.example"
	key = queueing.key_of(submit(learner.name, answers(2))["persistence_job_id"])
	age(Learner(learner.name, old, ""))
	rename(old, learner.user)
	run_patch()
	assert learning_learners.look_up(digest(old)) == digest(learner.user)
	assert {row.name[:32] for row in state.rows("Player Review Log")} == {digest(learner.user) + key[16:]}
	assert (
		queueing.get_status(background_jobs.create_job_id(key_then(Learner("", old, ""), key)))["status"]
		== "finished"
	)
	assert len(state.tracker(digest(learner.user))) == 2


def test_what_the_earlier_version_writes_later_is_found_by_the_next_migration():
	learner, renamed = make_learner(), make_learner()
	for one in (learner, renamed):
		with days_ago(3):
			submit(one.name, answers(2))
	folds.drain(site_now())
	submit(learner.name, answers(1, questions=bank_questions()[4:5]))
	age(learner)
	frappe.db.sql(
		"UPDATE `tabDaily Learner` SET name = CONCAT(LEFT(name, 24), %s) WHERE player = %s",
		(digest(renamed.name), renamed.name),
	)
	for table in old_learners.TABLES:
		frappe.db.sql(
			f"UPDATE `{table}` SET name = CONCAT(%s, SUBSTRING(name, 17)) WHERE player = %s",
			(digest(renamed.name), renamed.name),
		)
	frappe.db.commit()
	install.after_migrate()
	assert unconverted() == {}
	assert learning_learners.look_up(learner.user) == digest(learner.user)
	assert state.tracker(renamed.name).keys() == {*bank_questions()[:2]}
	assert replay_season(STANDING_SEASON).differences == 0
	assert learner_ids.give_late() == 0


def test_other_tables_are_brought_over(pending):
	learner, nobody = make_learner(), make_learner()
	submit(learner.name, answers(1))
	for one in (learner, nobody):
		frappe.get_doc({"doctype": "Anki Import", "learner": one.name, "name": one.name}).db_insert()
	frappe.get_doc({"doctype": "Safe Mode Admission", "player": learner.user, "name": "a"}).db_insert()
	for name, report in (("p1", "Leeches"), ("p2", "Permitted Documents For User")):
		frappe.get_doc({"doctype": "Prepared Report", "report_name": report, "name": name}).db_insert()
	for subject in ("The cache disagreed with the database", "Another"):
		alerts.tell_managers(subject, learner.user)
	age(learner, nobody)
	run_patch()
	assert {row.subject for row in state.rows("Notification Log")} == {"Another"}
	assert [row.method for row in state.rows("Error Log")] == ["Another"]
	assert {row.learner for row in state.rows("Anki Import")} == {digest(learner.user), digest(nobody.user)}
	assert state.rows("Safe Mode Admission") == []
	assert [row.name for row in state.rows("Prepared Report")] == ["p2"]
	frappe.db.delete("Prepared Report", {"name": "p2"})
	frappe.db.commit()


def test_a_second_run_at_the_same_time_is_refused(pending):
	with database.named_lock(learner_ids.LOCK, 0):
		with pytest.raises(PartitionError, match="Another run"):
			in_other_connection(run_patch).result(30)


def test_on_a_site_without_old_rows_new_learners_have_ids_of_no_meaning():
	learner = make_learner()
	assert learner.name != digest(learner.user)
	assert old_learners.id_of(learner.user) is None
