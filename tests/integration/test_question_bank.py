"""What the question source that Memora brings along finds, by subject and topic."""

import frappe
import pytest

from memora.services.store import question_bank
from memora.services.store.question_bank import BEGINNING, QuestionBank
from tests.integration.factories import (
	BANK,
	BANK_QUESTIONS_A_TOPIC,
	bank_questions,
	make_questions,
	make_topic,
)

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
	before = versions()
	question_bank.note_new_questions(AFRICA)
	after = versions()
	assert {topic for topic in before if after[topic] != before[topic]} == {AFRICA}


def versions() -> dict[str, str | None]:
	return {topic.name: topic.version for topic in QuestionBank.find_topics(GEOGRAPHY)}


# Of each topic, in the order of teaching: position, name, whether it is enabled
SOONER, LATER, EMPTY = "Maths: Sooner", "Maths: Later", "Maths: Empty"
QUESTIONS = {
	SOONER: [(1 - 2**31, "s-b", 1), (2, "s-a", 1), (2, "s-c", 0), (2, "s-d", 1), (7, "s-e", 1)],
	LATER: [(1, "m-y", 0), (1, "m-z", 1)],
	EMPTY: [],
}
OPTIONS = {"s-a": ("first", "second", "third"), "s-d": ("other", "another")}


@pytest.fixture
def maths() -> None:
	for position, topic in enumerate(QUESTIONS):
		make_topic("Maths", topic.partition(": ")[2], position)
	for topic, places in QUESTIONS.items():
		for position, name, enabled in places:
			options = [
				{"option_text": text, "is_correct": not n} for n, text in enumerate(OPTIONS.get(name, ()))
			]
			text = {"question": "<p>?</p>", "answer": "It is.", "options": options}
			place = {"topic": topic, "position": position, "enabled": enabled}
			frappe.get_doc({"doctype": "Game Question", **place, **text}).insert(set_name=name)
	frappe.db.sql("UPDATE `tabGame Question Option` SET idx = 4 - idx WHERE parent = 's-a'")
	frappe.db.sql(
		"""INSERT INTO `tabGame Question Option` (name, parent, parenttype, option_text)
		VALUES ('elsewhere', 's-a', 'Something Else', 'of another DocType')"""
	)
	frappe.db.commit()


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_the_next_questions_behind_each_place(maths, limit):
	places = [(position, name) for of_topic in QUESTIONS.values() for position, name, _ in of_topic]
	for place in (BEGINNING, (2, ""), (99, ""), *places):
		assert QuestionBank.find_behind(dict.fromkeys(QUESTIONS, place), limit) == {
			topic: [(p, n) for p, n, enabled in of_topic if enabled and (p, n) > place][:limit]
			for topic, of_topic in QUESTIONS.items()
		}


def test_subjects_topics_and_questions_in_the_order_of_teaching(maths):
	assert QuestionBank.get_subjects() == [BIOLOGY, GEOGRAPHY, "Maths"]
	assert [topic.name for topic in QuestionBank.find_topics("Maths")] == [SOONER, LATER, EMPTY]
	asia = f"{GEOGRAPHY}: Asia"
	topics = [topic.name for topic in QuestionBank.find_topics(None)]
	assert [name for name in topics if name in (asia, *QUESTIONS)] == [asia, *QUESTIONS]
	assert [topic.name for topic in QuestionBank.find_topics(None, [LATER, AFRICA])] == [AFRICA, LATER]
	assert [topic.name for topic in QuestionBank.find_topics("Maths", [LATER, AFRICA])] == [LATER]
	assert QuestionBank.find_topics(None, []) == []
	assert [topic.version is None for topic in QuestionBank.find_topics("Maths")] == [False, False, True]
	found = ["s-b", "s-a", "s-d", "s-e", "m-z"]
	assert QuestionBank.find_questions("Maths", None, 0, 9) == found
	assert QuestionBank.find_questions(None, None, 0, 999)[-5:] == found
	assert [question_bank.get_last_position(topic) for topic in QUESTIONS] == [7, 1, 0]
	assert QuestionBank.get_topics_of(["s-a", "m-y", "m-z", "nowhere"]) == {"s-a": SOONER, "m-z": LATER}
	assert QuestionBank.get_topics_of([]) == {}


def test_options_are_those_of_the_question_in_their_order(maths):
	found = QuestionBank.get_questions(["s-a", "s-c", "nowhere"])
	assert found.keys() == {"s-a", "s-c"}
	options = [(option["option"], option["is_correct"]) for option in found["s-a"]["options"]]
	assert options == [("third", False), ("second", False), ("first", True)]
	assert found["s-c"]["options"] == []
	assert QuestionBank.get_questions([]) == {}


def test_a_question_without_a_topic_is_known_by_its_own_subject(maths):
	frappe.db.set_value("Game Question", "m-z", "topic", None)
	assert QuestionBank.get_questions(["m-z"])["m-z"]["subject"] == "Maths"
	assert {"m-z", "m-y", *OF_AFRICA} <= set(question_bank.get_ids())
	frappe.db.rollback()


def test_a_new_version_is_that_of_one_question_of_the_topic(maths):
	for number, name in enumerate(["s-b", "s-d", "s-a", "s-e", "s-c", "m-z"]):
		frappe.db.set_value(
			"Game Question", name, "modified", f"2020-01-0{number + 1}", update_modified=False
		)
	before = dict(frappe.get_all("Game Question", fields=["name", "modified"], as_list=True))
	question_bank.note_new_questions(SOONER)
	after = dict(frappe.get_all("Game Question", fields=["name", "modified"], as_list=True))
	assert {name for name in before if before[name] != after[name]} == {"s-c"}
	frappe.db.rollback()
