"""Deletes Anki Imports that nobody has touched for long, with their files: a deck may hold a learner's answers."""

from datetime import timedelta

import frappe

from memora.exceptions import JobFailed
from memora.services import site_time
from memora.services.anki import importer
from memora.services.store import clearing, database
from memora.services.store.loops import go_through, tell_of


def clear_old_imports() -> int:
	"""Deletes old imports, each with its problems and its file. Returns how many. Commits. Runs daily.

	Frappe deletes the File that is attached to an import, and the file itself if no other File has the same content. What was
	imported stays. An import that runs stays, too; one whose worker was killed goes. Raises JobFailed, in the end, if any could
	not be deleted.
	"""
	before = site_time.naive_now() - timedelta(days=clearing.KEPT_DAYS[importer.DOCTYPE])
	names = clearing.get_old_imports(before)
	cleared: list[bool] = []
	failed = go_through(names, lambda name: cleared.append(_clear(name)))
	if failed:
		raise JobFailed(tell_of(failed))
	return sum(cleared)


def _clear(name: str) -> bool:
	with importer.lock(name) as is_idle, database.transaction():
		if is_idle:
			# one that is Running or Queued can't be deleted
			frappe.db.set_value(importer.DOCTYPE, name, "status", "Cancelled")
			frappe.delete_doc(importer.DOCTYPE, name, ignore_permissions=True, delete_permanently=True)
	return is_idle
