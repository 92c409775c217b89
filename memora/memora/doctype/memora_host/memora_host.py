from frappe.model.document import Document


class MemoraHost(Document):
	"""A host that serves learners, and its request times of the last minutes. Written by operations/hosts."""
