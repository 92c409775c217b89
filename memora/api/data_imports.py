"""Keeps Memora Managers to their own Data Imports, of Memora's DocTypes, from files that they may read.

install.let_managers_import opens Frappe's Data Import for them. Without this they could make an import of users, wait for
a System Manager to start it, or read any private file by its preview. Whoever may make Data Imports by another role is
free of this.
"""

from typing import Any

import frappe
from frappe import _
from frappe.core.doctype.data_import import data_import as of_frappe
from frappe.model.document import Document

from memora.api.outages import needs_database
from memora.api.parsing import Name, parse_name
from memora.exceptions import InvalidFilter, UnknownJob, quoting
from memora.memora import imported_changes
from memora.services.store import import_files

MANAGER = "Memora Manager"
IMPORT = "Data Import"
MODULE = "Memora"


def check(doc: Document, method: str | None = None, *args: Any, **kwargs: Any) -> None:
	"""Hook of Data Import: before it is saved, and after a preview, whose file may be another. Raises PermissionError."""
	user = frappe.session.user
	if not _is_bound(user):
		return
	_require_importable(doc.reference_doctype, user)
	if doc.import_file and not _may_read(doc.import_file, user):
		frappe.throw(
			quoting(_("You can import your own files only, not {0}."), doc.import_file),
			frappe.PermissionError,
		)


def _is_bound(user: str) -> bool:
	roles = {*frappe.get_roles(user)} - {MANAGER}
	rules = frappe.get_meta(IMPORT).permissions
	return not any(rule.role in roles and rule.create and not rule.if_owner for rule in rules)


def _require_importable(doctype: str, user: str) -> None:
	if _is_ours(doctype) and frappe.has_permission(doctype, "import", user=user):
		return
	frappe.throw(
		quoting(_("The role {0} does not import {1}."), _(MANAGER), _(doctype or "")), frappe.PermissionError
	)


def _is_ours(doctype: str | None) -> bool:
	return bool(doctype) and frappe.get_meta(doctype).module == MODULE


def _may_read(url: str, user: str) -> bool:
	names = frappe.get_all("File", filters={"file_url": url}, pluck="name")
	return any(frappe.has_permission("File", "read", frappe.get_doc("File", name), user) for name in names)


def of_files(user: str) -> str:
	"""Frappe's hook permission_query_conditions: hides the names of files of others' imports."""
	return import_files.where_not_of_others(user) if _is_bound(user) else ""


# In place of Frappe's own functions, which ask for no permission before Frappe 16


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_preview_from_template(
	data_import: Name = None, import_file: Any = None, google_sheets_url: Any = None
) -> Any:
	doc = _allowed(data_import, "read")
	file, sheet = _address("import_file", import_file), _address("google_sheets_url", google_sheets_url)
	doc.import_file = file or doc.import_file
	check(doc)
	shown = of_frappe.get_preview_from_template(doc.name, file, sheet)
	return _with_changes(doc, shown) if shown and _is_ours(doc.reference_doctype) else shown


def _with_changes(doc: Document, shown: Any) -> Any:
	"""Adds to a preview what the import would change. A message without row and column does not keep it from starting."""
	changes = imported_changes.preview(doc)
	for message in changes.messages() if changes else []:
		shown["warnings"].append({"type": "info", "message": frappe.utils.escape_html(message)})
	return shown


@frappe.whitelist(methods=["POST"])
@needs_database()
def form_start_import(data_import: Name = None) -> Any:
	doc = _allowed(data_import, "write")
	if _is_bound(doc.owner):  # she may have made it before she was kept from that
		_require_importable(doc.reference_doctype, doc.owner)
	check(doc)
	return of_frappe.form_start_import(doc.name)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def download_errored_template(data_import_name: Name = None) -> None:
	doc = _allowed(data_import_name, "read")
	check(doc)
	of_frappe.download_errored_template(doc.name)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def download_import_log(data_import_name: Name = None) -> None:
	doc = _allowed(data_import_name, "read")
	check(doc)
	of_frappe.download_import_log(doc.name)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_import_status(data_import_name: Name = None) -> Any:
	doc = _allowed(data_import_name, "read")
	return of_frappe.get_import_status(doc.name)


@frappe.whitelist(methods=["GET", "POST"])
@needs_database()
def get_import_logs(data_import: Name = None) -> Any:
	doc = _allowed(data_import, "read")
	return of_frappe.get_import_logs(doc.name)


def _address(argument: str, value: Any) -> str | None:
	if value is not None and not isinstance(value, str):
		frappe.throw(quoting(_("{0} must be an address."), argument), InvalidFilter)
	return value


def _allowed(name: Name, right: str) -> Document:
	"""Returns a Data Import. Raises InvalidFilter, UnknownJob, PermissionError."""
	if not frappe.has_permission(IMPORT, "read"):
		frappe.throw(_("No permission for {0}").format(_(IMPORT)), frappe.PermissionError)
	name = parse_name("data_import", name)
	if not frappe.db.exists(IMPORT, name):
		frappe.throw(quoting(_("There is no {0} {1}."), _(IMPORT), name), UnknownJob)
	doc = frappe.get_doc(IMPORT, name)
	doc.check_permission(right)
	return doc
