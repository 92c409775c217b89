from frappe.model.document import Document


class DailyLearner(Document):
	"""Notes that a learner answered on a learning day. Kept for some days; see figures/activity."""
