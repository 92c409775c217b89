"""The learner's page, /review. The page comes with its first session; its scripts are in memora/public/js/review."""

from typing import Any

import frappe
from frappe.sessions import get_csrf_token

from memora import review_page
from memora.api.utils import sit_down

no_cache = 1  # otherwise Frappe would show one learner's page to the next learner
sitemap = 0

LOGIN = "/login?redirect-to=/review"


def get_context(context: frappe._dict) -> frappe._dict:
	"""Returns what review.html shows. Sends guests to the login page. Raises NotALearner."""
	if frappe.session.user == "Guest":
		frappe.local.flags.redirect_location = LOGIN
		raise frappe.Redirect(302)
	start = review_page.page_data(sit_down(), frappe.form_dict.get("subject"))
	start |= {"csrf_token": get_csrf_token(), "login_url": LOGIN}
	return frappe._dict(
		start=start,
		texts=start["texts"],
		start_json=review_page.as_script_json(start),
		title=start["texts"]["title"],
		nonce=review_page.make_nonce(),
		**review_page.assets(),
	)


@frappe.whitelist(methods=["GET"])
def renew_token() -> dict[str, Any]:
	"""Returns {learner, csrf_token}, for a page whose CSRF token is no longer the session's."""
	return {"learner": sit_down().learner, "csrf_token": get_csrf_token()}
