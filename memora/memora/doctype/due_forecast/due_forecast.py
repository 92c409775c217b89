from frappe.model.document import Document


class DueForecast(Document):
	"""How many questions fall due in a season on each of the next days; see services.due_forecast."""
