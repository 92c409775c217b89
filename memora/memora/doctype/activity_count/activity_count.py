from frappe.model.document import Document


class ActivityCount(Document):
	"""Answers that one fold has counted and that are not added to Daily Activity yet; see figures/activity."""
