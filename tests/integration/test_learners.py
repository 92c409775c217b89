"""A learner is an id: made at the first contact, found by e-mail or id at every door, and never by way of her address."""

import frappe
import pytest

from memora.api import reviews as reviews_api
from memora.api import sessions as sessions_api
from memora.api import utils
from memora.exceptions import LearnerIsErased, UnknownLearner
from memora.services import site_time
from memora.services.learning import learners, reviews
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.srs_reconciliation import reconcile_cache_with_database
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import learners as rows
from memora.services.store import row_names
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import in_other_connection
from tests.integration.factories import STANDING_SEASON, bank_questions, make_learner, make_records
from tests.integration.submitting import answers, as_sent, submit
from tests.integration.test_budgets import counted
from tests.integration.test_commands import run_json

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"


@pytest.fixture
def stranger(site) -> str:
	"""A User who has never been here."""
	user = make_learner().user
	frappe.db.delete("Memora Learner", {"user": user})
	frappe.db.commit()
	return user


def count(user: str) -> int:
	frappe.db.rollback()
	return frappe.db.count("Memora Learner", {"user": user})


# The first contact


def test_the_first_contact_makes_her(stranger):
	learner = learners.sit_down(stranger).learner
	assert row_names.is_learner_id(learner)
	assert learners.sit_down(stranger).learner == learners.identify(stranger) == learner
	found = rows.find(learner)
	assert (found.user, found.learner_name) == (stranger, frappe.db.get_value("User", stranger, "full_name"))
	assert count(stranger) == 1


def test_the_first_contact_may_be_a_read_over_http(web):
	learner = make_learner()
	frappe.db.delete("Memora Learner", {"user": learner.user})
	frappe.db.commit()
	assert message(Client(web.url, learner.token).get(READ))["questions"] == []
	assert count(learner.user) == 1


def test_two_first_requests_at_once_make_one_learner(stranger):
	found = [in_other_connection(lambda: learners.sit_down(stranger).learner) for _ in range(6)]
	assert len({future.result(20) for future in found}) == 1
	assert count(stranger) == 1


def test_who_looks_only_makes_nobody(stranger):
	assert learners.look_up(stranger) is None
	assert count(stranger) == 0


@pytest.mark.parametrize("name", ["nobody@learners.example", "0123456789abcdef", "Guest", "", None, 7, ["a"]])
def test_nobody_is_no_learner(name):
	with pytest.raises(UnknownLearner):
		learners.identify(name)
	assert learners.look_up(name) is None


def test_an_address_is_found_in_letters_of_either_case(learner):
	assert learners.identify(learner.user.upper()) == learner.name


# What it costs


def test_the_id_costs_no_query_of_its_own(learner, player):
	make_records(player, 3)
	frappe.set_user(learner.user)
	for door, service in (
		(reviews_api.get_review_session, lambda: reviews.read_reviews(player)),
		(
			lambda: reviews_api.submit_review_session(as_sent(answers(1))),
			lambda: submit(player, answers(questions=bank_questions()[1:2])),
		),
	):
		frappe.get_roles()  # which Frappe keeps
		with counted() as by_id:
			service()
		with counted() as by_session:
			door()
		assert by_session.total <= by_id.total


# Doors


def test_every_door_takes_e_mail_or_id(learner, player, season):
	make_records(player, 2)
	due = bank_questions()[:2]
	for name in (learner.user, player):
		manager = SRSRedisManager()
		assert manager._make_key(name, season).endswith(f"srs:{player}:{season}")
		assert manager.add_item(name, season, due[0], site_time.now().timestamp() - 9)
		assert manager.get_due_items_with_rehydration(name, season)[0] == due
		assert manager.get_cache_stats(name, season)["total_items"] == len(state.tracker(player))
		assert utils.check_rate_limit(name) is (name == learner.user)  # of one learner, and so once
		assert reconcile_cache_with_database(learner=name)["sample_size"] == len(state.tracker(player))
		assert manager.clear_user_cache(name, season)
		result = {
			"question_id": "of-a-host",
			"new_stability": 9.0,
			"new_next_review_date": "2027-01-01 04:00:00",
		}
		assert SRSPersistenceService().persist_single_review(result, name, season)
		assert run_json("replay", "--season", season, "--learner", name)[1]["learners"] == 1
	assert len(state.tracker(player)) == 3


def test_managers_may_name_her_by_either(learner, player):
	make_records(player, 2)
	frappe.set_user("Administrator")
	found = reviews_api.get_reviews_safe_mode(player, STANDING_SEASON)
	assert found == bank_questions()[:2]
	frappe.db.delete("Safe Mode Admission")
	frappe.db.commit()


def test_a_list_in_the_desk_finds_her_by_her_address(learner):
	frappe.set_user("Administrator")
	from frappe.desk.search import search_widget

	found = search_widget("Memora Learner", learner.user) or frappe.response.pop("values")
	assert learner.name in str(found)


# Erasure


def test_who_is_being_erased_is_refused(learner, player):
	frappe.db.set_value("Memora Learner", player, "erasing_since", site_time.naive_now())
	frappe.db.commit()
	frappe.set_user(learner.user)
	for refused in (
		reviews_api.get_review_session,
		sessions_api.get_lesson_session,
		lambda: reviews_api.submit_review_session(as_sent(answers(1))),
		lambda: learners.identify(player),
	):
		with pytest.raises(LearnerIsErased):
			refused()
	assert state.journal(player) == []
