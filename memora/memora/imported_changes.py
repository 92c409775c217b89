"""What a Data Import would take away from questions, topics and subjects that exist: it is said before, and needs a tick.

Frappe's update puts the rows of a file in the place of all rows of a table. So a file with two of four options removes the
other two. And it overwrites whatever somebody else has written since the file was exported.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint, cstr

from memora.exceptions import ImportWouldOverwrite, quoting

IMPORT = "Data Import"
OPTIONS = "Game Question Option"
REMOVE_OPTIONS, CHANGE_OTHERS = "memora_remove_options", "memora_change_others"  # fields of Data Import
LOOK_AT_ONCE = 500
NAMED = 10  # questions that the preview names


def check(doc: Document) -> None:
	"""Refuses a change by an import that takes options away, or changes what somebody else made or changed last.

	Raises ImportWouldOverwrite, unless the import has the tick for it. Other changes of documents pass.
	"""
	reference = doc.flags.updater_reference or {}
	before = doc.get_doc_before_save()
	if not before or reference.get("doctype") != IMPORT:
		return
	ticks = frappe.db.get_value(IMPORT, reference["docname"], [REMOVE_OPTIONS, CHANGE_OTHERS], as_dict=True)
	gone = len(before.get("options") or []) - len(doc.get("options") or [])
	if gone > 0 and not ticks[REMOVE_OPTIONS]:
		_refuse_removal(doc, gone)
	other = _somebody_else(before.owner, before.modified_by)
	if other and not ticks[CHANGE_OTHERS]:
		_refuse_others(doc, other)


def _refuse_removal(doc: Document, gone: int) -> None:
	text = _(
		"The file has {0} fewer options than question {1}. Give all of its options, or tick '{2}' in the import."
	)
	frappe.throw(quoting(text, gone, doc.name, _("Remove Options Not in the File")), ImportWouldOverwrite)


def _refuse_others(doc: Document, user: str) -> None:
	text = _("{0} {1} was made or changed last by {2}. To change it, tick '{3}' in the import.")
	frappe.throw(
		quoting(text, _(doc.doctype), doc.name, user, _("Change Records of Others")), ImportWouldOverwrite
	)


def _somebody_else(*people: str) -> str | None:
	return next((user for user in people if user and user != frappe.session.user), None)


@dataclass
class Preview:
	"""What an import would change: how many documents of how many, of whom, and how many options of which questions go."""

	documents: int = 0
	changed: int = 0
	others: Counter[str] = field(default_factory=Counter)
	options_gone: Counter[str] = field(default_factory=Counter)

	def messages(self) -> list[str]:
		"""Returns what a person should know beforehand, as text."""
		said = [_("This file changes {0} of {1} documents.").format(self.changed, self.documents)]
		if self.options_gone:
			said.append(
				_("It removes options: {0}. Without the tick '{1}' these rows fail.").format(
					_list(self.options_gone), _("Remove Options Not in the File")
				)
			)
		if self.others:
			said.append(
				_(
					"Of these, others made or changed last: {0}. Without the tick '{1}' these rows fail."
				).format(_list(self.others), _("Change Records of Others"))
			)
		return said


def preview(doc: Document) -> Preview | None:
	"""Returns what a Data Import that updates would change; None for other imports."""
	if doc.import_type != "Update Existing Records":
		return None
	found = Preview()
	payloads = iter(doc.get_importer().import_file.get_payloads_for_import())
	while part := list(islice(payloads, LOOK_AT_ONCE)):
		_look(found, doc.reference_doctype, {cstr(p.doc.get("name")): p.doc for p in part})
	return found


def _look(found: Preview, doctype: str, sent: dict[str, dict[str, Any]]) -> None:
	names = ("in", list(sent))
	fields = {
		f.fieldname
		for f in frappe.get_meta(doctype).fields
		if f.fieldtype not in frappe.model.no_value_fields
	}
	stored = {row.name: row for row in frappe.get_all(doctype, {"name": names}, ["*"])}
	options = _options_of(names) if doctype == "Game Question" else {}
	found.documents += len(stored)
	for name, row in stored.items():
		values = sent.get(name) or {}
		rows = values.get("options")
		is_changed = any(_differs(values[f], row.get(f)) for f in fields & values.keys())
		is_changed |= rows is not None and _shown(rows) != _shown(options.get(name, []))
		if not is_changed:
			continue
		found.changed += 1
		if other := _somebody_else(row.owner, row.modified_by):
			found.others[other] += 1
		if rows is not None and (gone := len(options.get(name, [])) - len(rows)) > 0:
			found.options_gone[name] = gone


def _options_of(names: tuple[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
	options: dict[str, list[dict[str, Any]]] = {}
	filters = {"parent": names, "parenttype": "Game Question"}
	for row in frappe.get_all(OPTIONS, filters, ["parent", "option_text", "is_correct"], order_by="idx"):
		options.setdefault(row.parent, []).append(row)
	return options


def _differs(sent: Any, stored: Any) -> bool:
	return cstr(sent).strip() != cstr(stored).strip()


def _shown(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
	return [(cstr(row.get("option_text")).strip(), cint(row.get("is_correct"))) for row in rows]


def _list(counts: Counter[str]) -> str:
	return "; ".join(_named(counts))


def _named(counts: Counter[str]) -> Iterator[str]:
	for name, count in counts.most_common(NAMED):
		yield f"{count} × {name}"
	if len(counts) > NAMED:
		yield "…"
