from frappe.model.document import Document


class GameQuestionOption(Document):
	pass
