"""The files of Frappe's Data Imports, among all files of a site."""

import frappe

WHERE_NOT_OF_OTHERS = "(IFNULL(tabFile.attached_to_doctype, '') != 'Data Import' OR tabFile.owner = {user})"


def where_not_of_others(user: str) -> str:
	"""Returns a condition for a list of File that leaves out the files of other users' imports."""
	return WHERE_NOT_OF_OTHERS.format(user=frappe.db.escape(user))
