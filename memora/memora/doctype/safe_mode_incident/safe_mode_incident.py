from frappe.model.document import Document


class SafeModeIncident(Document):
	pass
