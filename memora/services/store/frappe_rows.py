"""Statements on Frappe's own tables, for which its functions would need a query for each row, or DocTypes that are gone."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import frappe

from memora.services.store import ddl, tables

LINKS_SQL = """
	SELECT f.parent, f.fieldname, d.istable FROM tabDocField f JOIN tabDocType d ON d.name = f.parent
	WHERE f.fieldtype = 'Link' AND f.options = %(doctype)s AND d.issingle = 0 AND d.is_virtual = 0"""
NOTES_SQL = """
	SELECT f.parent, f.options, f.fieldname FROM tabDocField f JOIN tabDocType d ON d.name = f.parent
	WHERE f.fieldtype = 'Dynamic Link' AND d.issingle = 0 AND d.is_virtual = 0"""
SETTINGS_OF_LISTS_SQL = "DELETE FROM __UserSettings WHERE doctype IN %(names)s"
HOLDERS_SQL = """
	SELECT COUNT(DISTINCT parent) FROM `tabHas Role`
	WHERE parenttype IN ('User', 'Role Profile') AND role IN %(roles)s"""


class Link(NamedTuple):
	"""A column whose rows name documents."""

	doctype: str
	column: str
	is_child: bool


def links_to(doctype: str) -> list[Link]:
	"""Returns all columns whose rows name documents of a DocType, those of singles left out."""
	links = [Link(*row) for row in frappe.db.sql(LINKS_SQL, {"doctype": doctype})]
	return [link for link in links if has_column(link.doctype, link.column)]


def delete_notes_about(doctype: str, names: Sequence[str]) -> None:
	"""Deletes each row that names one of these documents and, in another column, their DocType: comments, logs of Frappe …"""
	for parent, of_doctype, of_name in frappe.db.sql(NOTES_SQL):
		if has_column(parent, of_doctype) and has_column(parent, of_name):
			frappe.db.delete(parent, {of_doctype: doctype, of_name: ("in", names)})


def has_column(doctype: str, column: str) -> bool:
	"""Versions of Frappe differ, and a DocType may have lost its table."""
	return column in tables.columns_of(f"tab{doctype}")


def drop_columns(doctype: str, columns: Sequence[str]) -> None:
	"""Drops those of the columns that are there. Commits."""
	found = [name for name in columns if has_column(doctype, name)]
	frappe.db.commit()  # DDL on another connection would wait for this one
	if found:
		ddl.alter(f"tab{doctype}", map(ddl.drop_column, found))


def count_holders(roles: Sequence[str]) -> int:
	"""Returns how many users, and role profiles, have one of the roles."""
	return int(frappe.db.sql(HOLDERS_SQL, {"roles": roles})[0][0])


def forget_settings_of_lists(doctypes: Sequence[str]) -> None:
	"""Deletes what Frappe remembers of how each user looked at these DocTypes' lists."""
	frappe.db.sql(SETTINGS_OF_LISTS_SQL, {"names": doctypes})


def is_installed() -> bool:
	"""Says whether the site has Memora, by its database: what a process or a cache remembers may be of before."""
	return "memora" in json.loads(read_global("installed_apps") or "[]")


def read_global(key: str) -> str | None:
	"""Returns one of Frappe's global defaults as MariaDB has it. frappe.defaults may answer as of before a restore."""
	return frappe.db.get_value("DefaultValue", {"parent": "__global", "defkey": key}, "defvalue")
