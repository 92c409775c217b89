from frappe.model.document import Document


class DailyLearner(Document):
	"""That a learner answered on a learning day; kept for some days. See services.activity."""
