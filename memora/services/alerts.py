"""Tells administrators what they should look at."""

import frappe

MANAGER_ROLES = ("System Manager", "Memora Manager")

MANAGERS_SQL = """
	SELECT DISTINCT u.name FROM tabUser u JOIN `tabHas Role` r ON r.parent = u.name AND r.parenttype = 'User'
	WHERE u.enabled = 1 AND u.user_type = 'System User' AND r.role IN %(roles)s"""


def get_managers() -> list[str]:
	"""The enabled desk users with one of MANAGER_ROLES."""
	return [name for (name,) in frappe.db.sql(MANAGERS_SQL, {"roles": MANAGER_ROLES})]


def tell_managers(subject: str, message: str, about: tuple[str, str] | None = None) -> None:
	"""One Error Log row, and a Notification Log for each manager; `about` is (doctype, name). Commits."""
	doctype, name = about or (None, None)
	frappe.log_error(title=subject, message=message, reference_doctype=doctype, reference_name=name)
	for user in get_managers():
		frappe.get_doc(
			{
				"doctype": "Notification Log",
				"for_user": user,
				"type": "Alert",
				"subject": subject,
				"email_content": message,
				"document_type": doctype,
				"document_name": name,
			}
		).insert(ignore_permissions=True)
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: what follows may fail, and is what they are told of
