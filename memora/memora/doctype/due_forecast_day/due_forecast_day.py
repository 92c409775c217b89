from frappe.model.document import Document


class DueForecastDay(Document):
	"""One learning day of a Due Forecast."""
