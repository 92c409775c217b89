"""Deletes Anki Imports that nobody has touched for long, with their files: a deck may hold a learner's answers."""

from datetime import timedelta

import frappe

from memora.services import site_time
from memora.services.anki import importer
from memora.services.store import clearing, database


def clear_old_imports() -> int:
	"""Deletes old imports, each with its problems and its file. Returns how many. Commits. Runs daily.

	Frappe deletes the File that is attached to an import, and the file itself if no other File has the same content. What was
	imported stays. An import that runs stays, too; one whose worker was killed goes.
	"""
	before = site_time.naive_now() - timedelta(days=clearing.KEPT_DAYS[importer.DOCTYPE])
	return sum(_clear(name) for name in clearing.get_old_imports(before))


def _clear(name: str) -> bool:
	with importer.lock(name) as is_idle, database.transaction():
		if is_idle:
			# one that is Running or Queued can't be deleted
			frappe.db.set_value(importer.DOCTYPE, name, "status", "Cancelled")
			frappe.delete_doc(importer.DOCTYPE, name, ignore_permissions=True, delete_permanently=True)
	return is_idle
