"""Each way in which the desk exports data: what a spreadsheet would run arrives as text."""

import csv
import json
from io import BytesIO, StringIO

import frappe
import pytest
from openpyxl import load_workbook

from memora.services.figures import activity
from memora.services.folding import folds
from tests.integration.client import Client
from tests.integration.factories import make_learner, make_questions, site_now
from tests.integration.submitting import answers, submit
from tests.integration.test_data_import import UPDATE, run

REPORT_VIEW = "frappe.desk.reportview.export_query"
REPORT = "frappe.desk.query_report.export_query"
TEMPLATE = "frappe.core.doctype.data_import.data_import.download_template"
DATA_EXPORT = "frappe.core.doctype.data_export.exporter.export_data"
TEXT = "-5 + 3 = ?"
FIELDS = ["name", "question"]


@pytest.fixture
def manager(web) -> Client:
	return Client(web.url, make_learner(["System Manager"]).token)


@pytest.fixture
def question() -> str:
	return make_questions(1, question=TEXT, answer="=1+1")[0]


def export(client: Client, method: str, kind: str, **arguments) -> list:
	"""Returns the cells of the file: texts of CSV, (value, type) of a workbook."""
	named = "file_format_type" if method in (REPORT_VIEW, REPORT) else "file_type"
	reply = client.post(method, **{named: kind}, **arguments)
	assert reply.status_code == 200, reply.text
	if kind == "CSV":
		return [cell for row in csv.reader(StringIO(reply.content.decode())) for cell in row]
	return [
		(cell.value, cell.data_type) for row in load_workbook(BytesIO(reply.content)).active for cell in row
	]


def view(doctype: str, *fields: str) -> dict:
	return {"doctype": doctype, "fields": json.dumps([f"`tab{doctype}`.`{field}`" for field in fields])}


@pytest.mark.parametrize("kind", ["CSV", "Excel"])
def test_report_view(manager, question, kind):
	cells = export(manager, REPORT_VIEW, kind, **view("Game Question", "name", "question", "answer"))
	if kind == "CSV":
		assert {f"'{TEXT}", "'=1+1"} <= set(cells)
	else:
		assert {(TEXT, "s"), ("=1+1", "s")} <= set(cells)


@pytest.mark.parametrize("kind", ["CSV", "Excel"])
def test_a_report(manager, player, kind):
	submit(player, answers(1))
	folds.drain(site_now())
	activity.sum_up()
	frappe.db.sql("UPDATE `tabDaily Activity Subject` SET subject = '=1+1'")  # as before names were checked
	frappe.db.commit()
	options = {"report_name": "Retention by Subject", "filters": "{}", "visible_idx": "[0]"}
	cells = export(manager, REPORT, kind, **options)
	assert ("'=1+1" if kind == "CSV" else ("=1+1", "s")) in cells


@pytest.mark.parametrize("kind", ["CSV", "Excel"])
@pytest.mark.parametrize("method", [TEMPLATE, DATA_EXPORT])
def test_data_export(manager, question, method, kind):
	arguments = {"doctype": "Game Question"}
	if method == TEMPLATE:
		arguments |= {"export_fields": json.dumps({"Game Question": FIELDS}), "export_records": "all"}
	else:
		arguments |= {"select_columns": json.dumps({"Game Question": FIELDS}), "with_data": 1}
		arguments |= {"export_without_column_meta": 1, "all_doctypes": 0}
	cells = export(manager, method, kind, **arguments)
	assert (f"'{TEXT}" if kind == "CSV" else (TEXT, "s")) in cells


def test_a_delimiter_of_one_s_own(manager, question):
	fields = view("Game Question", *FIELDS)
	cells = export(manager, REPORT_VIEW, "CSV", csv_delimiter=";", **fields)
	assert any(f"'{TEXT}" in cell for cell in cells)


def test_what_is_not_memora_s_stays(manager):
	frappe.get_doc({"doctype": "ToDo", "description": "=1+1"}).insert()
	frappe.db.commit()
	assert "=1+1" in export(manager, REPORT_VIEW, "CSV", **view("ToDo", "name", "description"))
	frappe.db.delete("ToDo")
	frappe.db.commit()


def test_an_import_of_an_export_changes_nothing(manager, question):
	export_fields = json.dumps({"Game Question": [*FIELDS, "answer"]})
	options = {"doctype": "Game Question", "export_fields": export_fields, "export_records": "all"}
	reply = manager.post(TEMPLATE, file_type="CSV", export_filters=json.dumps({"name": question}), **options)
	status, errors = run("Game Question", reply.text, UPDATE)
	assert (status, errors) == ("Success", {})
	doc = frappe.get_doc("Game Question", question)
	assert (doc.question, doc.answer) == (TEXT, "=1+1")
