"""A User is renamed while she is signed in: her browser's session ends, and is nobody's who gets her address."""

import frappe
import pytest
from frappe.utils.password import update_password

from tests.integration import accounts, state
from tests.integration.accounts import become_learner, other_address, rename
from tests.integration.client import Client
from tests.integration.factories import bank_questions, make_user
from tests.integration.test_http import SUBMIT

PASSWORD = "a-pupil's-password"
WHO = "frappe.auth.get_logged_user"
RENAME = "frappe.model.rename_doc.update_document_title"


@pytest.fixture
def player() -> str:
	"""A User."""
	return make_user()


@pytest.fixture
def browser(web, player) -> Client:
	update_password(player, PASSWORD)
	frappe.db.commit()
	return sign_in(Client(web.url), player)


def sign_in(browser: Client, user: str) -> Client:
	login = browser.request("POST", "/api/method/login", data={"usr": user, "pwd": PASSWORD})
	assert login.status_code == 200, login.text
	return browser


def send(browser: Client) -> int:
	return browser.post(SUBMIT, responses=[{"question_id": bank_questions()[0], "quality": 4}]).status_code


def rename_here(administrator: Client, old: str, new: str) -> None:
	rename(old, new)


def rename_in_the_desk(administrator: Client, old: str, new: str) -> None:
	reply = administrator.post(RENAME, doctype="User", docname=old, name=new)
	assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("how", [rename_here, rename_in_the_desk])
def test_who_gets_the_address_next_gets_no_answer_of_the_open_session(administrator, browser, player, how):
	learner = become_learner(player)
	assert browser.get(WHO).json()["message"] == player
	how(administrator, player, other_address(player))
	make_user(name=player)
	successor = become_learner(player)
	assert browser.get(WHO).status_code in (401, 403)
	assert send(browser) in (400, 401, 403)
	assert state.rows("Player Review Log") == []
	sign_in(browser, other_address(player))
	assert browser.get(WHO).json()["message"] == other_address(player)
	assert send(browser) == 200
	assert {row.player for row in state.rows("Player Review Log")} == {learner}
	assert successor != learner


def test_no_session_of_hers_is_left(browser, player):
	become_learner(player)
	assert len(accounts.sessions(player)) == 1
	rename(player, other_address(player))
	assert accounts.sessions(player) == []
	assert browser.get(WHO).status_code in (401, 403)
