"""Watches Frappe's own methods when they are asked for Memora's DocTypes and reports.

Some of these methods ask for no permission, others for less than they should: anybody signed in could count other
learners' answers, tag their rows, or fetch a report that was prepared for a manager. Here each call needs the right that
fits what it does. Frappe's own checks follow.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import frappe
from frappe import _

FOLDERS = Path(__file__).parents[1] / "memora"
LARGEST_JSON = 65_536  # characters of an argument that is searched

# The right that a method needs, by the last part of its name. Any other method needs to read.
NEEDS = {
	**dict.fromkeys(("add_tag", "add_tags", "remove_tag", "toggle_like"), "write"),
	**dict.fromkeys(
		(
			"printview",
			"download_pdf",
			"download_multi_pdf",
			"download_multi_pdf_async",
			"get_html_and_style",
			"get_rendered_raw_commands",
			"print_by_server",
		),
		"print",
	),
	**dict.fromkeys(
		(
			"download_template",
			"export_data",
			"export_query",
			"download_attachment",
			"enqueue_json_to_csv_conversion",
		),
		"export",
	),
}
# Under these keys of a JSON argument stands a DocType or a report that a method works on
KEYS = {
	"doctype",
	"document_type",
	"parent_document_type",
	"reference_type",
	"report_name",
	"custom_report",
	"reference_report",
}
# These methods ask for no permission. What they name is looked up: a Prepared Report, or a report somebody has made of ours
OF_REPORTS = {"download_attachment", "enqueue_json_to_csv_conversion"}


def watch() -> None:
	"""Frappe's hook auth_hooks, the first one that knows who calls with a token. Raises PermissionError."""
	method = _method()
	if not method or frappe.session.user == "Administrator":
		return
	for name in {*_named(method)}:
		_require(name, NEEDS.get(method.rpartition(".")[2]))


def _method() -> str | None:
	"""Returns the method of Frappe that is called; None for other apps' methods, for documents, and for most pages."""
	path = unquote(frappe.local.request.path).strip("/")
	parts = path.split("/")
	method = frappe.form_dict.get("cmd") or (parts[-1] if "method" in parts or path == "printview" else None)
	if parts[:3] == ["api", "v2", "doctype"]:
		method = parts[-1]
	is_ours = not method or "." not in method or method.startswith("frappe.")
	return method if is_ours and not str(method).startswith("frappe.website.") else None


def _named(method: str) -> Iterator[str]:
	"""Yields the names of DocTypes that a request is about, as far as they are Memora's."""
	given = [*unquote(frappe.local.request.path).split("/"), *frappe.form_dict.values()]
	texts = [text for value in given for text in _texts(value)]
	if method.rpartition(".")[2] in OF_REPORTS:
		texts += [doctype for text in texts if (doctype := _doctype_of_report(text))]
	for text in texts:
		if found := _doctypes().get(text.strip().lower()):
			yield found


def _texts(value: Any) -> Iterator[str]:
	"""Yields an argument, and what a JSON argument has under KEYS."""
	if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and len(value) <= LARGEST_JSON:
		try:
			value = json.loads(value)
		except ValueError:
			return
	if isinstance(value, str):
		yield value
	yield from _under_keys(value)


def _under_keys(value: Any) -> Iterator[str]:
	if isinstance(value, list | tuple):
		for item in value:
			yield from _under_keys(item)
	elif isinstance(value, dict):
		for key, item in value.items():
			yield str(key)  # where rows of several DocTypes are printed, these are keys
			if key in KEYS and isinstance(item, str):
				yield item
			yield from _under_keys(item)


def _doctype_of_report(name: str) -> str | None:
	report = frappe.db.get_value("Prepared Report", name, "report_name") or name
	return frappe.db.get_value("Report", report, "ref_doctype")


@lru_cache(maxsize=1)
def _doctypes() -> dict[str, str]:
	"""Returns the DocType that stands for a name in small letters: of a DocType, a table in it, or a report."""
	documents = [json.loads(path.read_text()) for path in FOLDERS.glob("*/*/*.json")]
	doctypes = [d for d in documents if d["doctype"] == "DocType"]
	found = {d["name"].lower(): d["ref_doctype"] for d in documents if d["doctype"] == "Report"}
	found |= {d["name"].lower(): d["name"] for d in doctypes if not d.get("istable")}
	tables = {(d["name"], f["options"]) for d in doctypes for f in d["fields"] if f["fieldtype"] == "Table"}
	return found | {table.lower(): parent for parent, table in tables}


def _require(doctype: str, right: str | None) -> None:
	rights = (right,) if right else ("read", "select")
	if not any(frappe.has_permission(doctype, one) for one in rights):
		frappe.throw(_("No permission for {0}").format(_(doctype)), frappe.PermissionError)
