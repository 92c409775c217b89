"""Who may learn: any signed-in user, or those with the role that Memora Settings name. A monitoring system may not."""

from collections.abc import Iterator, Sequence

import frappe
import pytest
import requests

from memora.api.utils import learner_or_manager, sit_down
from memora.exceptions import NotALearner
from memora.services.operations import doctor_access
from tests.integration import state
from tests.integration.client import Client
from tests.integration.factories import bank_questions, make_learner

PUPIL = "Pupil of the Tests"
MONITOR, MANAGER = "Memora Monitor", "Memora Manager"


@pytest.fixture(scope="module", autouse=True)
def role(site) -> Iterator[None]:
	frappe.get_doc({"doctype": "Role", "role_name": PUPIL, "desk_access": 0}).insert()
	frappe.db.commit()
	yield
	frappe.db.rollback()
	frappe.delete_doc("Role", PUPIL, force=True)
	frappe.db.commit()


@pytest.fixture
def named() -> None:
	"""The settings name a role. This process sees it at once; others within seconds."""
	frappe.get_single("Memora Settings").update({"learner_role": PUPIL}).save()
	frappe.db.commit()


def learns(roles: Sequence[str]) -> bool:
	frappe.set_user(make_learner(roles).user)
	try:
		sit_down()
	except NotALearner:
		return False
	finally:
		frappe.set_user("Administrator")
	return True


WITHOUT = {(): True, (PUPIL,): True, (MANAGER,): True, (MONITOR,): False, (MONITOR, MANAGER): True}
WITH = {
	(): False,
	(PUPIL,): True,
	(MANAGER,): False,
	(MONITOR,): False,
	(MONITOR, MANAGER): False,
	(MONITOR, PUPIL): True,
}


@pytest.mark.parametrize("roles", WITHOUT)
def test_without_a_role_in_settings_all_but_monitoring_systems_learn(roles):
	assert learns(roles) == WITHOUT[roles]


@pytest.mark.parametrize("roles", WITH)
def test_with_a_role_in_settings_only_those_who_have_it_learn(named, roles):
	assert learns(roles) == WITH[roles]


def test_managers_may_look_all_the_same(named):
	manager = make_learner([MANAGER])
	frappe.set_user(manager.user)
	assert learner_or_manager() == manager.name
	frappe.set_user(make_learner().user)
	with pytest.raises(NotALearner):
		learner_or_manager()


def test_a_monitors_key_reads_no_question_and_writes_no_answer(web):
	account = make_learner([MONITOR])
	client = Client(web.url, account.token)
	answers = [{"question_id": bank_questions()[0], "quality": 4}]
	refused: list[requests.Response] = [
		client.get("memora.api.sessions.get_lesson_session"),
		client.get("memora.api.reviews.get_review_session"),
		client.post("memora.api.reviews.submit_review_session", responses=answers),
		client.post("memora.api.sessions.submit_lesson_session", responses=answers),
	]
	assert [(r.status_code, r.json()["exc_type"]) for r in refused] == [(403, "NotALearner")] * 4
	assert client.request("GET", "/review").status_code == 403
	assert client.get("memora.api.srs.get_health").status_code == 200
	assert state.journal(account.name) == state.outbox(account.name) == []


# The doctor


@pytest.fixture
def open_to_strangers() -> Iterator[None]:
	before = frappe.db.get_single_value("Website Settings", "disable_signup")
	_close_sign_up(0)
	yield
	_close_sign_up(before)


def _close_sign_up(value: int) -> None:
	frappe.db.set_single_value("Website Settings", "disable_signup", value)
	frappe.db.commit()


def test_the_doctor_warns_of_an_open_door(open_to_strangers):
	((problem, mend),) = doctor_access.sign_up()
	assert "signs up" in problem
	assert "Learner Role" in mend
	_close_sign_up(1)
	assert list(doctor_access.sign_up()) == []


def test_the_doctor_is_content_with_a_role(open_to_strangers, named):
	assert list(doctor_access.sign_up()) == []
