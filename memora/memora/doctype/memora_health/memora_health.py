from frappe.model.document import Document


class MemoraHealth(Document):
	"""What managers were told last of how the system is. Written by services.health."""
