"""What the endpoints share."""

import frappe
from frappe import _
from werkzeug.wrappers import Request, Response

from memora.services import seasons
from memora.services.alerts import MANAGER_ROLES


def get_active_season() -> str | None:
	"""The name of the season that learners play in."""
	season = seasons.get_active()
	return season.name if season else None


def current_player() -> str:
	"""The signed-in user: whoever that is learns for herself alone."""
	if frappe.session.user == "Guest":
		frappe.throw(_("Log in to learn."), frappe.PermissionError)
	return frappe.session.user


def is_manager() -> bool:
	"""Whether the signed-in user administers Memora."""
	return bool({*MANAGER_ROLES} & {*frappe.get_roles()})


def set_retry_after(response: Response, request: Request) -> None:
	"""Frappe's hook after_request: tells a client that was put off when to come back, in seconds."""
	if seconds := frappe.flags.retry_after_seconds:
		response.headers["Retry-After"] = str(seconds)
