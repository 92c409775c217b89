from frappe.model.document import Document


class MemoraHealth(Document):
	"""The status of the system that managers were told last. Written by operations/health."""
