"""Keeps all digits of the learners' stored memories.

On Frappe 16 the `precision` of a Float field is the scale of its column, and MariaDB rounds what is stored to that
scale, for good. On Frappe 15 the precision only says how the desk shows a value. So our DocTypes declare none,
and a site cannot set one on the fields of the three big tables.
"""

from typing import Any

import frappe
from frappe import _

from memora.exceptions import quoting
from memora.services.store import ddl, tables
from memora.services.store.tables import INDEXES

DECIMAL = "decimal(21,9)"  # what every Frappe makes of a Float without precision

# Only the fields of our own: what a site has added stands in another table.
FIELDS_SQL = """
	SELECT fieldname FROM `tabDocField`
	WHERE parent = %s AND fieldtype IN ('Float', 'Currency', 'Percent') ORDER BY idx"""
FORGET_PRECISION_SQL = "UPDATE `tabDocField` SET `precision` = '' WHERE parent IN %(doctypes)s"
# Frappe 16 makes a column of these two.
SETTERS_SQL = """
	SELECT name FROM `tabProperty Setter`
	WHERE doc_type = %s AND field_name IN %s AND property IN ('precision', 'length') AND value > ''"""


def decimal_fields(doctype: str) -> list[str]:
	return [name for (name,) in frappe.db.sql(FIELDS_SQL, (doctype,))]


def find_rounding_columns(doctype: str) -> dict[str, str]:
	"""Returns {column: its type} of the columns that do not keep nine digits after the point."""
	types = tables.columns_of(tables.table_of(doctype))
	return {name: types[name] for name in decimal_fields(doctype) if types.get(name, DECIMAL) != DECIMAL}


def find_setters(doctype: str) -> list[str]:
	"""Returns the Property Setters (customizations) that would make columns round on Frappe 16."""
	return [name for (name,) in frappe.db.sql(SETTERS_SQL, (doctype, decimal_fields(doctype)))]


def widen_columns(doctype: str) -> list[str]:
	"""Returns the changes for ddl.alter after which every column keeps nine digits. They rewrite the table."""
	return [
		ddl.modify_column(name, f"{DECIMAL} NOT NULL DEFAULT 0") for name in find_rounding_columns(doctype)
	]


def forget_precision() -> None:
	"""Takes away all that would make the migration round stored memories.

	An earlier version of the DocTypes declared a precision; Customize Form may have set one. Runs before Frappe
	has brought its own tables up to date, so it asks nothing of the framework.
	"""
	frappe.db.sql(FORGET_PRECISION_SQL, {"doctypes": list(INDEXES)})
	for doctype in INDEXES:
		for setter in find_setters(doctype):
			frappe.db.delete("Property Setter", {"name": setter})
			print(
				f"Memora: the customization {setter} is deleted. On Frappe 16 it would round stored memories."
			)
		frappe.clear_cache(doctype=doctype)


def refuse_precision(setter: Any, _event: str) -> None:
	"""Refuses a customization that would make a column round on Frappe 16. Called before it is saved."""
	is_size = setter.property in ("precision", "length") and setter.value
	if is_size and setter.doc_type in INDEXES and setter.field_name in decimal_fields(setter.doc_type):
		frappe.throw(
			quoting(
				_("The precision of {0} in {1} stays unset. On Frappe 16 a precision rounds what is stored."),
				setter.field_name,
				_(setter.doc_type),
			)
		)
