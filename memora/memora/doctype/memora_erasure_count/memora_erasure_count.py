from frappe.model.document import Document


class MemoraErasureCount(Document):
	"""How many rows, files, jobs or keys of one kind an erasure has removed."""
