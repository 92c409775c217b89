from frappe.model.document import Document


class GameSubject(Document):
	pass
