"""A learner's device asks what became of her submission, and of no other learner's."""

from itertools import permutations

import frappe
import pytest
from frappe.utils import background_jobs
from hypothesis import given
from hypothesis import strategies as st

from memora.services.folding import queueing
from memora.services.srs_persistence import SRSPersistenceService
from memora.services.store import row_names
from tests.integration import factories
from tests.integration.client import Client, message
from tests.integration.folding import POISON, drain

STATUS = "memora.api.reviews.get_persistence_status"
SUBMIT = "memora.api.reviews.submit_review_session"
SEPARATORS = ("::", "||")  # in the job ids of Frappe 15, and in those of Frappe 16


# What became of a submission


def status(job_id: str) -> str | None:
	found = SRSPersistenceService().get_persistence_status(job_id)
	frappe.db.rollback()
	assert found is None or found["job_id"] == job_id
	return found and found["status"]


def submitted(client: Client, submission: str = "a") -> str:
	answer = {"question_id": factories.bank_questions()[0], "quality": 4}
	return message(client.post(SUBMIT, responses=[answer], submission_id=submission))["persistence_job_id"]


def test_status_of_a_submission_on_its_way(client, learner):
	job_id = submitted(client)
	assert status(job_id) == "queued"
	assert background_jobs.get_job(queueing.key_of(job_id))
	drain()
	assert status(job_id) == "finished"


def test_status_of_a_submission_whose_job_rq_has_forgotten(client):
	job_id = submitted(client)
	background_jobs.get_job(queueing.key_of(job_id)).delete()
	assert status(job_id) == "queued"
	drain()
	assert status(job_id) == "finished"


def test_status_of_a_submission_that_another_ones_job_folds(client):
	submitted(client)
	job_id = submitted(client, "b")  # one job waits already
	assert status(job_id) == "queued"
	drain()
	assert status(job_id) == "finished"


def test_status_of_a_parked_submission(client, player):
	job_id = submitted(client)
	frappe.db.sql("UPDATE `tabReview Outbox` SET payload = %s WHERE player = %s", (POISON, player))
	frappe.db.commit()
	drain()
	assert status(job_id) == "parked"
	assert message(client.get(STATUS, job_id=job_id))["status"] == "parked"


@pytest.mark.parametrize(
	"job_id", ["", "nothing", "::", "||", "test.memora.localhost::0123456789abcdef", "a||b::c", "a\n::b"]
)
def test_status_of_what_never_was(job_id):
	assert status(job_id) is None


@given(st.text(min_size=1))
def test_a_job_id_holds_its_key(key):
	job_id = queueing.job_id_of(key)
	assert queueing.job_id_of(queueing.key_of(job_id)) == job_id
	if ":" not in key:  # which Frappe 16 writes as another character
		assert queueing.key_of(job_id) == key


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_learner_may_ask_after_her_own_submissions_only(separator, client, guest, web):
	"""By the job id that Frappe makes now, and by one that Frappe made before an upgrade."""
	job_id = frappe.local.site + separator + queueing.key_of(submitted(client))
	stranger = Client(web.url, factories.make_learner().token)
	manager = Client(web.url, factories.make_learner(roles=["Memora Manager"]).token)
	assert message(client.get(STATUS, job_id=job_id))["job_id"] == job_id
	assert message(manager.get(STATUS, job_id=job_id))["job_id"] == job_id
	for other in (stranger, guest):
		assert other.get(STATUS, job_id=job_id).status_code == 403


def test_no_job_id_shows_what_is_another_learners(client, web):
	asker = Client(web.url, factories.make_learner().token)
	keys = [queueing.key_of(submitted(who)) for who in (client, asker)]
	parts = [*keys, frappe.local.site, ""]
	ids = [
		first + one + second + two + third
		for first, second, third in permutations(parts, 3)
		for one in (*SEPARATORS, "\n")
		for two in SEPARATORS
	]
	shown = [job_id for job_id in ids if asker.get(STATUS, job_id=job_id).status_code == 200]
	assert {queueing.key_of(job_id) for job_id in shown} == {keys[1]}


def test_a_submission_of_her_own_that_never_was_is_not_found(client, player, season):
	job_id = queueing.job_id_of(row_names.submission_key(player, season, "never sent"))
	reply = client.get(STATUS, job_id=job_id)
	assert reply.status_code == 404
	assert reply.json()["exc_type"] == "UnknownSubmission"
