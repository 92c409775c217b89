from frappe.model.document import Document


class AnkiImportProblem(Document):
	pass
