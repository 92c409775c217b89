"""What the question source that Memora brings along finds, by subject and topic."""

import frappe
import pytest

from memora.services.store import question_bank
from memora.services.store.question_bank import QuestionBank
from tests.integration.factories import BANK, BANK_QUESTIONS_A_TOPIC, bank_questions, make_questions

GEOGRAPHY, BIOLOGY = BANK
AFRICA = f"{GEOGRAPHY}: Africa"
OF_AFRICA = bank_questions(GEOGRAPHY)[:BANK_QUESTIONS_A_TOPIC]


@pytest.mark.parametrize(
	"subject, topic, found",
	[
		(GEOGRAPHY, None, bank_questions(GEOGRAPHY)),
		(BIOLOGY, None, bank_questions(BIOLOGY)),
		(None, AFRICA, OF_AFRICA),
		(GEOGRAPHY, AFRICA, OF_AFRICA),
		(BIOLOGY, AFRICA, []),
	],
)
def test_questions_are_found_by_subject_and_topic(subject, topic, found):
	assert QuestionBank.find_questions(subject, topic, 0, 1000) == found
	assert QuestionBank.find_questions(subject, topic, 3, 2) == found[3:5]
	assert sorted(question_bank.get_ids(topic, subject)) == sorted(found)


def test_the_version_of_a_topic_is_that_of_the_question_that_was_changed_last():
	(before,) = (topic for topic in QuestionBank.find_topics(GEOGRAPHY) if topic.name == AFRICA)
	last = frappe.db.sql("SELECT MAX(modified) FROM `tabGame Question` WHERE topic = %s", (AFRICA,))[0][0]
	assert before.version == last
	frappe.get_doc("Game Question", OF_AFRICA[4]).save()
	frappe.db.commit()
	(after,) = (topic for topic in QuestionBank.find_topics(GEOGRAPHY) if topic.name == AFRICA)
	assert after.version > last


def test_a_question_that_is_not_enabled_is_withdrawn():
	on, off = make_questions(2)
	frappe.db.set_value("Game Question", off, "enabled", 0)
	found = QuestionBank.get_questions([on, off])
	assert found[off]["withdrawn"] is True and "withdrawn" not in found[on]


def test_the_questions_of_a_topic_that_gets_another_subject_follow():
	(question,) = make_questions(subject="Before", topic="Moves")
	question_bank.move_topic("Before: Moves", BIOLOGY)
	assert frappe.db.get_value("Game Question", question, "subject") == BIOLOGY
	assert frappe.db.get_value("Game Question", OF_AFRICA[0], "subject") == GEOGRAPHY


def test_new_questions_are_a_new_version_of_their_topic():
	before, _other = QuestionBank.find_topics(GEOGRAPHY)
	question_bank.note_new_questions(before.name)
	after, _other = QuestionBank.find_topics(GEOGRAPHY)
	assert after.name == before.name and after.version != before.version
