from frappe.model.document import Document


class AnkiImportDeck(Document):
	pass
