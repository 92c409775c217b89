from frappe.model.document import Document


class DailyActivity(Document):
	"""The answers of a season on one learning day, counted. Written by figures/activity."""
