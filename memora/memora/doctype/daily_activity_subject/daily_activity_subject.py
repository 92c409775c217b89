from frappe.model.document import Document


class DailyActivitySubject(Document):
	"""The part of a Daily Activity that one subject has."""
