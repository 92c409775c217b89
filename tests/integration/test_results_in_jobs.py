"""Results of callers that schedule on their own, in a job of this process: what it stores, and whom it tells that it failed."""

from datetime import timedelta
from typing import Any

import frappe
import pytest
from frappe.utils import background_jobs
from rq.job import Job

from memora.exceptions import InvalidResponses, UnknownLearner, UnknownSeason
from memora.services.folding import queueing
from memora.services.srs_persistence import persist_review_batch
from tests.integration import state
from tests.integration.factories import make_learner, site_now

RESULT = {"question_id": "q-1", "new_stability": 9.0, "new_next_review_date": "2027-01-01 04:00:00"}
UNREADABLE = {"question_id": "q-2", "new_stability": 9.0}
OTHER_APP = "another_app.jobs.store"


def job(method: Any, **arguments: Any) -> Job:
	"""With arguments as Frappe gives them to a job."""
	connection = background_jobs.get_redis_conn()
	return Job.create(run, kwargs={"method": method, "kwargs": arguments}, connection=connection)


def run(method: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
	return persist_review_batch(**kwargs)


@pytest.fixture
def manager(site) -> str:
	frappe.db.delete("Error Log")
	return make_learner(roles=["Memora Manager"]).user


def told(manager: str) -> list[str]:
	return [row.email_content for row in state.rows("Notification Log", for_user=manager)]


def note_failure(**ago: int) -> None:
	"""As Frappe notes a job that has failed."""
	doc = frappe.get_doc({"doctype": "Error Log", "method": queueing.JOB, "error": "UnknownLearner"}).insert()
	doc.db_set("creation", site_now() - timedelta(**ago), update_modified=False)
	frappe.db.commit()


def pass_window() -> None:
	"""As if the results had been stored yesterday."""
	sql = "UPDATE `tabPlayer Memory Tracker` SET last_review_date = last_review_date - INTERVAL 1 DAY"
	frappe.db.sql(sql)
	frappe.db.commit()


@pytest.mark.parametrize("method", [queueing.JOB, persist_review_batch], ids=["by name", "as a function"])
def test_a_job_that_is_run_again_stores_nothing_twice(player, season, manager, method):
	first = job(method, responses=[RESULT], user=player, season=season)
	assert first.perform() == {"success": True, "processed_count": 1, "failed_count": 0, "errors": []}
	pass_window()
	before = state.everything()
	first.perform()
	assert state.everything() == before
	job(method, responses=[RESULT], user=player, season=season).perform()
	assert state.tracker(player)["q-1"].reps == 2
	assert told(manager) == []


def test_another_apps_job_may_store_results_of_a_question_twice(player, season):
	both = job(OTHER_APP, responses=[RESULT], user=player, season=season)
	both.perform()
	pass_window()
	both.perform()
	assert state.tracker(player)["q-1"].reps == 2


@pytest.mark.parametrize(
	("error", "change"),
	[(UnknownLearner, {"user": "gone@learners.example"}), (UnknownSeason, {"season": "gone"})],
)
def test_what_can_be_stored_for_nobody_raises_and_managers_are_told(player, season, manager, error, change):
	arguments = {"responses": [RESULT], "user": player, "season": season, **change}
	with pytest.raises(error):
		job(queueing.JOB, **arguments).perform()
	(text,) = told(manager)
	assert error.__name__ in text
	assert state.rows("Error Log") == []  # Frappe itself writes it
	assert not state.tracker(player)


def test_what_can_not_be_read_raises_and_the_others_are_stored(player, season, manager):
	with pytest.raises(InvalidResponses, match="Response 2: KeyError"):
		job(queueing.JOB, responses=[RESULT, UNREADABLE], user=player, season=season).perform()
	assert state.tracker(player).keys() == {"q-1"}
	(text,) = told(manager)
	assert "InvalidResponses" in text


@pytest.mark.parametrize(("hours", "is_told"), [(1, False), (23, False), (25, True), (47, True)])
def test_managers_are_told_once_a_day(player, season, manager, hours, is_told):
	note_failure(hours=hours)
	with pytest.raises(UnknownLearner):
		job(queueing.JOB, responses=[RESULT], user="gone@learners.example", season=season).perform()
	assert bool(told(manager)) is is_told


def test_the_results_of_who_is_being_erased_are_dropped(player, season, manager):
	frappe.db.set_value("Memora Learner", player, "erasing_since", site_now())
	frappe.db.commit()
	with state.nothing_changes():
		result = job(queueing.JOB, responses=[RESULT], user=player, season=season).perform()
	assert (result["success"], result["processed_count"], result["failed_count"]) == (False, 0, 1)
	assert told(manager) == []
	assert not frappe.local.message_log
