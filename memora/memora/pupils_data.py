"""Frappe's hooks around other apps' documents that would take pupils' data out of Memora, or write into it."""

from typing import Any

import frappe
from frappe import _
from frappe.model.base_document import get_controller
from frappe.model.document import Document

from memora.exceptions import quoting
from memora.memora.written_by_answers import WrittenByAnswers

MODULE = "Memora"
PREPARED = "Prepared Report"


def leave_rows_alone(doc: Document, method: str | None = None) -> None:
	"""Hook of ToDo and Comment: Frappe notes these in the row that they are about. Raises PermissionError."""
	doctype = doc.get("reference_type") or doc.get("reference_doctype")
	is_noted = (
		doc.doctype != "Comment" or doc.comment_type == "Comment"
	)  # not, for instance, that a row is shared
	if doctype and is_noted and _is_written_by_answers(doctype):
		frappe.throw(
			quoting(_("{0} is written by learners' answers only. It can't be changed here."), _(doctype)),
			frappe.PermissionError,
		)


def _is_written_by_answers(doctype: str) -> bool:
	meta = frappe.get_meta(doctype) if frappe.db.exists("DocType", doctype) else None
	if not meta or meta.module != MODULE:
		return False
	return issubclass(get_controller(doctype), WrittenByAnswers)


def check_mailed_report(doc: Document, method: str | None = None) -> None:
	"""Hook of Auto Email Report, which runs any report as any user that it names. Raises PermissionError."""
	for user in {frappe.session.user, doc.user or frappe.session.user}:
		_require_right(doc.report, "email", user)


def check_prepared_report(doc: Document, method: str | None = None) -> None:
	"""Hook of Prepared Report, whose job runs any report for whoever made it. Raises PermissionError."""
	_require_right(doc.report_name, "report", frappe.session.user)


def _require_right(report: str, right: str, user: str) -> None:
	doctype = _doctype_of(report)
	if doctype and not frappe.has_permission(doctype, right, user=user):
		frappe.throw(_("No permission for {0}").format(_(report)), frappe.PermissionError)


def _doctype_of(report: str) -> str | None:
	"""Returns the DocType whose permissions count for a report, if it is one of Memora's."""
	found: Any = frappe.db.get_value("Report", report, ["module", "ref_doctype"])
	if not found:
		return None
	module, doctype = found
	return doctype if MODULE in (module, frappe.get_meta(doctype).module) else None


def keep_prepared_file(doc: Document, method: str | None = None) -> None:
	"""Hook of File: whoever may not export a report does not own the file with its rows, nor get another File of it.

	The desk shows the report all the same: it reads the file for her. Frappe makes a File of any address that a user names.
	"""
	if doc.attached_to_doctype == PREPARED and not _may_export(doc.attached_to_name, doc.owner):
		doc.owner = "Administrator"
		return
	same = {"file_url": doc.file_url or "", "attached_to_doctype": PREPARED}
	for prepared in frappe.get_all("File", same, pluck="attached_to_name") if doc.file_url else ():
		if not _may_export(prepared, frappe.session.user):
			frappe.throw(_("No permission for {0}").format(_(PREPARED)), frappe.PermissionError)


def _may_export(prepared: str, user: str) -> bool:
	report = frappe.db.get_value(PREPARED, prepared, "report_name")
	doctype = _doctype_of(report) if report else None
	return not doctype or frappe.has_permission(doctype, "export", user=user)
