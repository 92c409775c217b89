"""The desk withdraws wrong questions, and says beforehand how many learners know them."""

import frappe
import pytest

from memora.exceptions import InvalidQuestion
from memora.services.store import question_learners
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_questions, make_records
from tests.integration.submitting import ids, read

COUNT, WITHDRAW = "memora.api.desk.count_learners_of_questions", "memora.api.desk.withdraw_questions"


@pytest.fixture
def teacher(web) -> Client:
	return Client(web.url, make_learner(["Memora Manager"]).token)


@pytest.fixture
def known() -> list[str]:
	"""Three questions: three learners know the first, one of them the second, nobody the third."""
	names = make_questions(3)
	for number in range(3):
		make_records(make_learner().name, question_ids=names[: 2 if number == 0 else 1])
	return names


def test_it_is_said_how_many_learners_know_a_question(teacher, known):
	for asked, learners in ((known[:1], 3), (known[1:2], 1), (known[2:], 0), (known, 3)):
		found = message(teacher.post(COUNT, questions=asked))
		assert found == {"learners": learners, "is_estimate": False}


def test_of_very_many_learners_a_share_is_counted_and_that_is_said(season, known, monkeypatch):
	monkeypatch.setattr(question_learners, "LOOKUPS", 1)
	found = question_learners.count_learners(season, known)
	assert found["is_estimate"]


def test_it_reads_one_row_for_each_learner(season, known):
	plan = frappe.db.sql(f"EXPLAIN {question_learners.KNOW_SQL}", (season, "0" * 16, "0", "g"), as_dict=True)
	assert plan[-1].type in ("eq_ref", "ref") and plan[-1].key == "PRIMARY"


def test_what_is_withdrawn_is_asked_no_more_and_keeps_its_history(teacher, known, player):
	make_records(player, question_ids=known)
	before = state.tracker(player)
	assert message(teacher.post(WITHDRAW, questions=known[:2])) == 2
	assert ids(read(player)) == known[2:]
	assert state.tracker(player) == before
	assert message(teacher.post(WITHDRAW, questions=known)) == 1


@pytest.mark.parametrize("questions", [None, [], "x", {"a": 1}, [1], ["q"] * 501])
def test_what_is_no_list_of_questions_is_refused(teacher, questions):
	for method in (COUNT, WITHDRAW):
		assert teacher.post(method, questions=questions).status_code == 400


def test_learners_withdraw_nothing(client, known):
	for method in (COUNT, WITHDRAW):
		assert client.post(method, questions=known).status_code == 403
	assert frappe.db.count("Game Question", {"name": ("in", known), "enabled": 1}) == 3


def test_a_question_whose_options_are_wrong_can_be_withdrawn_but_not_brought_back(teacher):
	(name,) = make_questions(1)
	options = [{"option_text": "This", "is_correct": 1}, {"option_text": "That"}]
	frappe.get_doc("Game Question", name).update({"options": options}).save()
	frappe.db.sql("UPDATE `tabGame Question Option` SET is_correct = 1 WHERE parent = %s", name)
	frappe.db.commit()
	assert message(teacher.post(WITHDRAW, questions=[name])) == 1
	frappe.db.rollback()
	with pytest.raises(InvalidQuestion):
		frappe.get_doc("Game Question", name).update({"enabled": 1}).save()
