from frappe.model.document import Document


class ActivityCount(Document):
	"""What one fold has counted, until it is added to Daily Activity; see services.activity."""
