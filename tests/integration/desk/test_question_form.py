"""The form and the list of questions say how many learners know a question before it is withdrawn or deleted."""

import frappe
from playwright.sync_api import expect

from tests.integration.factories import make_learner, make_questions, make_records

DOCTYPE = "Game Question"


def test_a_wrong_question_is_withdrawn_and_brought_back(administrator):
	page = administrator.page
	(name,) = make_questions()
	for _ in range(2):
		make_records(make_learner().name, question_ids=[name])
	administrator.open_form(DOCTYPE, name)
	page.get_by_role("button", name="Withdraw", exact=True).click()
	expect(administrator.dialog).to_contain_text("2 learners know this question.")
	administrator.confirm()
	page.get_by_role("button", name="Bring Back", exact=True).click()
	expect(page.get_by_role("button", name="Withdraw", exact=True)).to_be_visible()
	frappe.db.rollback()
	assert frappe.db.get_value(DOCTYPE, name, "enabled") == 1
	assert frappe.db.get_value("Question Status", name, ["is_live", "version"]) == (1, 2)
