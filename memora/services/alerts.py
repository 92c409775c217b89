"""Tells managers what they should look at."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape

import frappe

MANAGER_ROLES = ("System Manager", "Memora Manager")

MANAGERS_SQL = """
	SELECT DISTINCT u.name, u.email FROM tabUser u
	JOIN `tabHas Role` r ON r.parent = u.name AND r.parenttype = 'User'
	WHERE u.enabled = 1 AND u.user_type = 'System User' AND r.role IN %(roles)s"""
SENDS_MAIL = {"enable_outgoing": 1, "default_outgoing": 1}


@contextmanager
def in_site_language() -> Iterator[None]:
	"""Switches to the site's language, as a context or a decorator.

	Texts that are kept, or told to all managers, must be in the site's language. Otherwise a job speaks
	English, and a learner's request speaks the learner's language.
	"""
	before, frappe.local.lang = frappe.local.lang, frappe.db.get_default("lang") or "en"
	try:
		yield
	finally:
		frappe.local.lang = before


@contextmanager
def in_error_log() -> Iterator[None]:
	"""Writes an Error Log of an exception that leaves the block, as a context or a decorator. The exception goes on.

	For what the scheduler runs every few minutes: of that, Frappe 16 keeps no log, nor why it failed. Rolls back
	and commits, if there was an exception.
	"""
	try:
		yield
	except Exception as error:
		with suppress(Exception):  # what failed may be MariaDB itself
			frappe.db.rollback()
			frappe.log_error(title=f"{type(error).__name__} in a scheduled job of Memora")
			frappe.db.commit()  # the scheduler rolls back
		raise


def get_managers() -> dict[str, str]:
	"""Returns {user: mail address} of the enabled desk users who have one of MANAGER_ROLES."""
	return dict(frappe.db.sql(MANAGERS_SQL, {"roles": MANAGER_ROLES}))


def tell_managers(
	subject: str,
	message: str,
	about: tuple[str, str] | None = None,
	is_error: bool = True,
	by_mail: bool = False,
) -> None:
	"""Writes a Notification Log for each manager.

	With `is_error` also writes an Error Log, with `by_mail` also sends a mail. No mail goes out from a site
	without a default outgoing account. `about` is (doctype, name). Subject and message are texts, and are
	shown as such, whatever they quote. Commits.
	"""
	doctype, name = about or (None, None)
	if is_error:
		frappe.log_error(title=subject, message=message, reference_doctype=doctype, reference_name=name)
	managers, html = get_managers(), escape(message, quote=False)
	for user in managers:
		frappe.get_doc(
			{
				"doctype": "Notification Log",
				"for_user": user,
				"type": "Alert",
				"subject": escape(subject, quote=False),
				"email_content": html,
				"document_type": doctype,
				"document_name": name,
			}
		).insert(ignore_permissions=True)
	if by_mail and frappe.db.exists("Email Account", SENDS_MAIL):
		frappe.sendmail(
			recipients=sorted({address for address in managers.values() if address}),
			subject=subject,
			message=html,
			reference_doctype=doctype,
			reference_name=name,
		)
	frappe.db.commit()  # what comes next may fail; the message must stay
