"""Learners' data leaves the desk by a System Manager's hands only, and nobody writes into it by Frappe's side doors."""

from collections.abc import Iterator

import frappe
import pytest

from tests.integration.client import Client
from tests.integration.documents import make_document
from tests.integration.factories import make_learner

USERS = {
	"learner": [],
	"monitor": ["Memora Monitor"],
	"manager": ["Memora Manager"],
	"system": ["System Manager"],
	"both": ["Memora Manager", "System Manager"],
}


@pytest.fixture(params=USERS)
def user(request) -> str:
	return request.param


@pytest.fixture
def caller(user, web) -> Client:
	return Client(web.url, make_learner(USERS[user]).token)


# Reports


@pytest.fixture
def prepared() -> Iterator[str]:
	"""A report that names learners, as a manager has had it prepared."""
	manager = make_learner(["Memora Manager"])
	frappe.set_user(manager.user)
	report = frappe.get_doc(
		{"doctype": "Prepared Report", "report_name": "Learner Overview", "filters": "{}"}
	).insert(ignore_permissions=True)
	file = {"attached_to_doctype": "Prepared Report", "attached_to_name": report.name, "is_private": 1}
	frappe.get_doc({"doctype": "File", "file_name": "r.json.gz", "content": b"x", **file}).insert()
	report.db_set("status", "Completed")
	frappe.db.commit()
	frappe.set_user("Administrator")
	yield report.name
	frappe.delete_doc("Prepared Report", report.name, ignore_permissions=True)
	frappe.db.commit()


def test_reports_that_name_learners(caller, user, prepared):
	report = "Learner Overview"
	looks = {
		"frappe.desk.query_report.get_script": {"report_name": report},
		"frappe.desk.query_report.run": {
			"report_name": report,
			"filters": {"prepared_report_name": prepared},
		},
		"frappe.core.doctype.prepared_report.prepared_report.make_prepared_report": {
			"report_name": report,
			"filters": {},
		},
	}
	exports = {
		"frappe.desk.query_report.export_query": {
			"report_name": report,
			"file_format_type": "CSV",
			"filters": {},
		},
		"frappe.core.doctype.prepared_report.prepared_report.download_attachment": {"dn": prepared},
	}
	for method, arguments in looks.items():
		response = caller.post(method, **arguments)
		assert (response.status_code == 403) == (user not in ("manager", "system", "both")), response.text
	for method, arguments in exports.items():
		response = caller.post(method, **arguments)
		assert (response.status_code == 403) == (user not in ("system", "both")), response.text


def test_whoever_has_a_report_prepared_does_not_own_its_file(prepared):
	owner = frappe.db.get_value("File", {"attached_to_name": prepared}, "owner")
	assert owner == "Administrator"


def test_nobody_gets_at_that_file_by_its_address(caller, user, prepared):
	url = frappe.db.get_value("File", {"attached_to_name": prepared}, "file_url")
	may = user in ("system", "both")
	claim = {"doctype": "File", "file_url": url, "is_private": 1}
	assert (caller.post("frappe.client.insert", doc=claim).status_code == 200) == may
	assert (caller.request("GET", url).status_code == 200) == may


@pytest.mark.parametrize("roles", [["Report Manager"], ["Report Manager", "Memora Manager"]])
def test_no_report_that_names_learners_is_mailed(web, roles):
	account = make_learner(roles)
	caller = Client(web.url, account.token)
	values = {
		"report": "Learner Overview",
		"email_to": "x@example.com",
		"format": "HTML",
		"frequency": "Daily",
	}
	for user in (account.user, "Administrator"):
		doc = {"doctype": "Auto Email Report", **values, "user": user}
		assert caller.post("frappe.client.insert", doc=doc).status_code == 403


# What only answers write


@pytest.mark.parametrize("doctype", ["Player Memory Tracker", "Player Review Log", "Archived Memory Tracker"])
def test_neither_an_import_nor_a_job_writes_learners_rows(doctype):
	"""Not even the Administrator's, whose rights Frappe does not check."""
	name = make_document(doctype)
	document = frappe.get_doc(doctype, name)
	for change in (
		document.save,
		lambda: frappe.copy_doc(document).insert(),
		lambda: frappe.delete_doc(doctype, name),
		lambda: frappe.rename_doc(doctype, name, "renamed", force=True),
	):
		with pytest.raises(frappe.PermissionError):
			change()
		frappe.db.rollback()
	assert frappe.db.exists(doctype, name)


@pytest.mark.parametrize("key", ["todo", "comment"])
def test_frappe_notes_nothing_in_learners_rows(key):
	name = make_document("Player Review Log")
	values = {
		"todo": {
			"doctype": "ToDo",
			"description": "x",
			"reference_type": "Player Review Log",
			"reference_name": name,
		},
		"comment": {
			"doctype": "Comment",
			"comment_type": "Comment",
			"reference_doctype": "Player Review Log",
			"reference_name": name,
		},
	}[key]
	with pytest.raises(frappe.PermissionError):
		frappe.get_doc(values).insert(ignore_permissions=True)
