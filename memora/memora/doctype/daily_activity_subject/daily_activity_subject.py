from frappe.model.document import Document


class DailyActivitySubject(Document):
	"""One subject's part of a Daily Activity."""
