"""A file that updates questions takes nothing away and overwrites nobody, unless the import says so."""

import csv
import io

import frappe
import pytest

from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_questions
from tests.integration.test_data_import import PREVIEW, REFUSED, UPDATE, run, upload

OPTIONS = ("wrong 1", "right", "wrong 2", "wrong 3")
HEADER = ["ID", "ID (Options)", "Option (Options)", "Right (Options)"]


@pytest.fixture
def teacher():
	learner = make_learner(roles=["Memora Manager"])
	frappe.set_user(learner.user)
	return learner


@pytest.fixture
def question(teacher) -> str:
	"""A question of hers with four options."""
	rows = [{"option_text": text, "is_correct": text == "right"} for text in OPTIONS]
	return make_questions(options=rows)[0]


def options(question: str) -> list[str]:
	return [row.option_text for row in frappe.get_doc("Game Question", question).options]


def two_options(question: str) -> str:
	"""A file with the first two of its options, both mended."""
	names = [row.name for row in frappe.get_doc("Game Question", question).options]
	text = io.StringIO()
	csv.writer(text).writerows(
		[HEADER, [question, names[0], "wrong one mended", 0], ["", names[1], "right one mended", 1]]
	)
	return text.getvalue()


def answer(question: str, text: str = "mended") -> str:
	return f"ID,Answer\n{question},{text}\n"


def shown(web, teacher, content: str) -> str:
	"""Returns what the desk shows beneath the preview."""
	doc = upload("Game Question", content, UPDATE)
	reply = message(Client(web.url, teacher.token).post(PREVIEW, data_import=doc.name))
	return " ".join(warning["message"] for warning in reply["warnings"])


def test_a_file_with_two_of_four_options_is_refused(question):
	status, errors = run("Game Question", two_options(question), UPDATE)
	assert (status in REFUSED, options(question)) == (True, [*OPTIONS])
	assert f"2 fewer options than question {question}" in errors[2]


def test_with_the_tick_options_go(question):
	assert run("Game Question", two_options(question), UPDATE, memora_remove_options=1) == ("Success", {})
	assert options(question) == ["wrong one mended", "right one mended"]


def test_a_file_without_options_leaves_them(question):
	assert run("Game Question", answer(question), UPDATE) == ("Success", {})
	assert options(question) == [*OPTIONS]


def test_the_preview_says_what_would_go(web, teacher, question):
	text = shown(web, teacher, two_options(question))
	assert "changes 1 of 1 documents" in text
	assert f"removes options: 2 × {question}" in text
	assert "others made" not in text


@pytest.mark.parametrize("whose", ["made", "changed"])
def test_what_another_made_or_changed_last_is_refused(web, teacher, question, whose):
	other = make_learner(roles=["Memora Manager"])
	if whose == "made":
		teacher, other = other, teacher
		frappe.set_user(teacher.user)
	else:
		frappe.set_user(other.user)
		frappe.get_doc("Game Question", question).update({"answer": "Hers"}).save()
		frappe.db.commit()
		frappe.set_user(teacher.user)
	before = frappe.db.get_value("Game Question", question, "answer")
	assert f"1 × {other.user}" in shown(web, teacher, answer(question))
	status, errors = run("Game Question", answer(question), UPDATE)
	assert (status in REFUSED, other.user in errors[2]) == (True, True)
	assert frappe.db.get_value("Game Question", question, "answer") == before
	assert run("Game Question", answer(question), UPDATE, memora_change_others=1) == ("Success", {})
	assert frappe.db.get_value("Game Question", question, "answer") == "mended"


def test_what_stays_the_same_is_not_counted(web, teacher, question):
	same = frappe.db.get_value("Game Question", question, "answer")
	assert "changes 0 of 1 documents" in shown(web, teacher, answer(question, same))


def test_topics_of_others_are_theirs(teacher, question):
	topic = frappe.db.get_value("Game Question", question, "topic")
	frappe.set_user(make_learner(roles=["Memora Manager"]).user)
	status, _errors = run("Game Topic", f"ID,Position\n{topic},7\n", UPDATE)
	assert (status in REFUSED, frappe.db.get_value("Game Topic", topic, "position")) == (True, 1)
