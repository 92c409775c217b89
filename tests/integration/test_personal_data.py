"""Frappe's own requests for personal data: a learner's data is handed out, and erased, with the rest."""

import re
from pathlib import Path
from zipfile import ZipFile

import frappe
import pytest

from devtools import processes
from memora.memora import personal_data
from memora.services.learning import learners
from tests.integration import state, whole_site
from tests.integration.client import Client
from tests.integration.factories import make_learner
from tests.integration.test_erasing import her, live, rows_of  # noqa: F401: a fixture
from tests.integration.waiting import wait_until

DELETION, DOWNLOAD = personal_data.DELETION, personal_data.DOWNLOAD


@pytest.fixture(autouse=True)
def no_requests_stay(site, monkeypatch):
	monkeypatch.setattr(frappe, "sendmail", lambda *args, **kwargs: None)
	yield
	frappe.db.rollback()
	for doctype in (DELETION, "Personal Data Deletion Step", DOWNLOAD):
		frappe.db.delete(doctype)
	frappe.db.delete("User", {"name": ("like", "deleted-user-%")})
	frappe.db.commit()


def make_request(user: str):
	request = frappe.get_doc({"doctype": DELETION, "email": user}).insert(ignore_permissions=True)
	request.db_set("status", "Pending Approval")
	frappe.db.commit()
	request.reload()
	return request


def test_her_request_erases_before_her_user_is_anonymised(her, season):  # noqa: F811
	live(her, season)
	request = make_request(her.user)
	with processes.worker(["long"]):
		request.anonymize_data()
		wait_until(
			lambda: frappe.db.rollback() or _status(request.name) == "Deleted", "the request to end", 60
		)
	assert rows_of(her) == dict.fromkeys(rows_of(her), 0)
	assert not frappe.db.exists("User", her.user)
	assert frappe.db.exists("User", request.name)
	assert whole_site.find(her.id) == []
	(erasure,) = state.rows("Memora Erasure")
	assert (erasure.way, erasure.status) == ("Request", "Completed")
	assert her.user not in frappe.as_json(erasure)


def _status(request: str) -> str:
	return frappe.db.get_value(DELETION, request, "status")


def test_anonymised_without_a_job(her, season):  # noqa: F811
	live(her, season)
	request = make_request(her.user)
	request._anonymize_data(her.user, None, commit=True)
	frappe.db.commit()
	assert _status(request.name) == "Deleted"
	assert whole_site.find(her.id) == []


def test_who_is_no_learner_is_anonymised_as_ever():
	user = make_learner().user
	frappe.db.delete("Memora Learner", {"user": user})
	request = make_request(user)
	request._anonymize_data(user, None, commit=True)
	assert _status(request.name) == "Deleted"
	assert state.rows("Memora Erasure") == []


def test_a_request_that_is_not_approved_erases_nothing(her, season):  # noqa: F811
	live(her, season)
	request = make_request(her.user)
	request.db_set("status", "Pending Verification")
	frappe.db.commit()
	personal_data.erase_before_job(
		"", {"doctype": DELETION, "name": request.name, "doc_method": "_anonymize_data"}, "job"
	)
	assert learners.look_up(her.user) == her.id


def test_her_download_comes_with_a_zip_that_she_alone_may_read(her, season, web, monkeypatch):  # noqa: F811
	live(her, season)
	mails = []
	monkeypatch.setattr(frappe, "sendmail", lambda **mail: mails.append(mail))
	request = frappe.get_doc({"doctype": DOWNLOAD, "user": her.user, "user_name": "Her"}).insert(
		ignore_permissions=True
	)
	frappe.db.commit()
	personal_data.send_export(request.name)
	mail = mails[-1]
	assert mail["recipients"] == her.user
	url = re.search(r"/private/files/\S+", mail["args"]["link"])[0]
	assert "answers.csv" in ZipFile(Path(frappe.get_site_path(url.lstrip("/")))).namelist()
	key = frappe.db.get_value("User", her.user, "api_key")
	hers = Client(web.url, f"token {key}:secret-of-the-tests").request("GET", url)
	others = Client(web.url, make_learner().token).request("GET", url)
	assert (hers.status_code, others.status_code) == (200, 403)


def test_her_download_starts_a_job_that_names_nobody(her, season):  # noqa: F811
	frappe.get_doc({"doctype": DOWNLOAD, "user": her.user, "user_name": "Her"}).insert(
		ignore_permissions=True
	)
	frappe.db.commit()
	jobs = [
		job
		for job in frappe.utils.background_jobs.get_queue("long").get_jobs()
		if "send_export" in str(job.kwargs)
	]
	assert len(jobs) == 1
	assert her.user not in str(jobs[0].kwargs["kwargs"])
