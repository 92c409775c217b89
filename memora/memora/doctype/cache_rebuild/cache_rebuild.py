from frappe.model.document import Document


class CacheRebuild(Document):
	pass
