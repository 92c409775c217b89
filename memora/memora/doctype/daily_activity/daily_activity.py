from frappe.model.document import Document


class DailyActivity(Document):
	"""What was answered in a season on a learning day; written by services.activity."""
