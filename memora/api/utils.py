"""What the endpoints share."""

import frappe

from memora.services import seasons


def get_active_season() -> str | None:
	"""The name of the season that learners play in."""
	season = seasons.get_active()
	return season.name if season else None


def current_player() -> str:
	"""The signed-in user: whoever that is learns for herself alone."""
	if frappe.session.user == "Guest":
		raise frappe.PermissionError(frappe._("Log in to learn."))
	return frappe.session.user
