from frappe.model.document import Document


class DueForecast(Document):
	"""A forecast of how many questions fall due in a season on each of the next days; see figures/due_forecast."""
