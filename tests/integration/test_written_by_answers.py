"""Rows that only answers write: no way of the desk changes them, neither in a request nor in a job."""

import json

import frappe
import pytest

from devtools import processes
from tests.integration import accounts, state
from tests.integration.accounts import answer, become_learner
from tests.integration.cleaning import queue_redis
from tests.integration.factories import make_record, make_user, site_now
from tests.integration.waiting import wait_until

DELETE = "frappe.desk.reportview.delete_items"
UPDATE = "frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs"
TITLE = "frappe.model.rename_doc.update_document_title"
ROWS = 25  # more than Frappe changes in the request itself
GUARDED = ("Player Memory Tracker", "Player Review Log", "Archived Memory Tracker", "Review Outbox")


@pytest.fixture(scope="module", autouse=True)
def worker(site):
	with processes.worker(["short", "default", "long"]) as handle:
		yield handle


@pytest.fixture
def rows(season) -> dict[str, list[str]]:
	"""Names by DocType."""
	learner = become_learner(make_user())
	records = [make_record(f"q{number}") for number in range(ROWS)]
	accounts.put_tracker(learner, season, *records)
	accounts.put_tracker(learner, season, *records, doctype="Archived Memory Tracker")
	accounts.put_answers(learner, season, "s", *(answer(r.question_id, site_now()) for r in records))
	for number, record in enumerate(records):
		accounts.put_waiting(learner, season, f"s{number}", record)
	return {doctype: [row.name for row in state.rows(doctype)] for doctype in (*GUARDED, "Memora Learner")}


def wait_for_jobs() -> None:
	wait_until(lambda: not statuses() & {b"queued", b"started"}, "the jobs")


def statuses() -> set[bytes]:
	return {queue_redis().hget(key, "status") for key in queue_redis().scan_iter(match="rq:job:*")}


def contents() -> dict:
	return {doctype: state.rows(doctype) for doctype in (*GUARDED, "Memora Learner")}


@pytest.mark.parametrize("doctype", GUARDED)
def test_a_bulk_delete_deletes_nothing(administrator, rows, doctype):
	before = contents()
	administrator.request(
		"POST", f"/api/method/{DELETE}", data={"doctype": doctype, "items": json.dumps(rows[doctype])}
	)
	wait_for_jobs()
	assert statuses() == {b"finished"}  # it was a job's work
	assert contents() == before


@pytest.mark.parametrize(
	("doctype", "field", "value"),
	[
		("Player Memory Tracker", "stability", 99),
		("Player Review Log", "quality", 0),
		("Archived Memory Tracker", "stability", 99),
		("Review Outbox", "error", "changed"),
	],
)
def test_a_bulk_update_changes_nothing(administrator, rows, doctype, field, value):
	before = contents()
	data = {
		"doctype": doctype,
		"docnames": json.dumps(rows[doctype]),
		"action": "update",
		"data": json.dumps({field: value}),
	}
	administrator.request("POST", f"/api/method/{UPDATE}", data=data)
	wait_for_jobs()
	assert contents() == before


@pytest.mark.parametrize("doctype", [*GUARDED, "Memora Learner"])
def test_no_row_is_renamed_in_a_request_or_in_a_job(administrator, rows, doctype):
	before, name = contents(), rows[doctype][0]
	for enqueue in (0, 1):
		data = {"doctype": doctype, "docname": name, "name": "f" * 16, "enqueue": enqueue}
		reply = administrator.request("POST", f"/api/method/{TITLE}", data=data)
		assert reply.status_code == 403
	with pytest.raises(frappe.PermissionError):
		frappe.rename_doc(doctype, name, "f" * 16, force=True)
	frappe.db.rollback()
	for action in ("rename", "save", "delete"):
		more = {"name": "f" * 16} if action == "rename" else {}
		frappe.enqueue(
			"frappe.model.document.execute_action",
			queue="long",
			**{"__doctype": doctype, "__name": name, "__action": action},
			**more,
		)
	wait_for_jobs()
	assert contents() == before


def test_a_learner_is_not_deleted_or_changed_from_the_desk(administrator, rows):
	before = contents()
	(name,) = rows["Memora Learner"]
	for verb, more in (("DELETE", {}), ("PUT", {"json": {"user": make_user()}})):
		assert administrator.request(verb, f"/api/resource/Memora Learner/{name}", **more).status_code == 403
	assert contents() == before


def test_a_data_import_writes_no_row(administrator, rows):
	before = contents()
	for doctype, field in (("Player Memory Tracker", "stability"), ("Player Review Log", "quality")):
		text = f"ID,{frappe.get_meta(doctype).get_label(field)}\n" + "".join(
			f"{n},3\n" for n in rows[doctype][:3]
		)
		file = frappe.get_doc(
			{"doctype": "File", "file_name": f"{field}.csv", "content": text, "is_private": 1}
		).insert()
		values = {
			"reference_doctype": doctype,
			"import_type": "Update Existing Records",
			"import_file": file.file_url,
		}
		try:
			document = frappe.get_doc({"doctype": "Data Import", **values}).insert()
		except frappe.ValidationError:  # the DocType allows no import
			frappe.db.rollback()
			continue
		frappe.db.commit()
		frappe.enqueue(
			"frappe.core.doctype.data_import.data_import.start_import",
			queue="long",
			data_import=document.name,
		)
		wait_for_jobs()
	assert contents() == before
