"""The names that subjects had before, so that figures counted under them belong to the subject's present name.

A former name is a global default of Frappe, one row for each. Counts that wait to be added up carry the name of the moment of
the answer; who adds them up, or reads them, looks here.
"""

import json

import frappe

from memora.services.store import figure_tables
from memora.services.store.row_names import digest

PREFIX = "memora_subject_"


def note_rename(old: str, new: str) -> None:
	"""Notes that a subject has another name, or is merged into another: its figures of all days are that name's. The caller commits."""
	for key, (former, present) in _stored().items():
		if _same(former, new):
			frappe.defaults.clear_default(key=key, parent="__global")
		elif _same(present, old):
			frappe.db.set_global(key, json.dumps([former, new]))
	if not _same(old, new):
		frappe.db.set_global(_key(old), json.dumps([old, new]))
	figure_tables.rename_subject(old, new)


def note_use(name: str) -> None:
	"""Notes that a new subject has this name, which may have been another's. The caller commits."""
	if _key(name) in _stored():
		frappe.defaults.clear_default(key=_key(name), parent="__global")


def get_present() -> dict[str, str]:
	"""Returns {former name in lower case: present name}; one query."""
	return {former.casefold(): present for former, present in _stored().values()}


def forget_all() -> None:
	"""Deletes all former names. The caller commits."""
	for key in _stored():
		frappe.defaults.clear_default(key=key, parent="__global")


def _stored() -> dict[str, tuple[str, str]]:
	filters = {"parent": "__global", "defkey": ("like", f"{PREFIX}%")}
	rows = frappe.get_all("DefaultValue", filters, ["defkey", "defvalue"])
	return {row.defkey: tuple(json.loads(row.defvalue)) for row in rows}


def _key(name: str) -> str:
	return PREFIX + digest(name.casefold())


def _same(one: str, other: str) -> bool:
	return one.casefold() == other.casefold()
