from frappe.model.document import Document


class CacheReconciliation(Document):
	pass
