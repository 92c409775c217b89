from frappe.model.document import Document


class GameTopic(Document):
	pass
