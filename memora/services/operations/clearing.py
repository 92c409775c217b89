"""Clears what only piles up: store/clearing.KEPT_DAYS says how long each is kept.

Anki Imports are cleared by anki/clearing: this room knows nothing of Anki. Rows of Daily Learner go by figures/activity.
"""

from datetime import timedelta

import frappe

from memora.exceptions import JobFailed
from memora.services import site_time
from memora.services.store import clearing, incident_rows
from memora.services.store.clearing import KEPT_DAYS
from memora.services.store.loops import go_through, tell_of


def clear_old_notes() -> dict[str, int]:
	"""Deletes old rebuilds, reconciliations, incidents, admissions and addresses. Returns {doctype: how many}. Commits. Runs daily.

	Raises JobFailed, in the end, for those that could not be deleted.
	"""
	now = site_time.naive_now()
	before = {doctype: now - timedelta(days=days) for doctype, days in KEPT_DAYS.items()}
	cleared: dict[str, int] = {}

	def clear(doctype: str) -> None:
		if doctype in clearing.OLD:
			cleared[doctype] = clearing.delete_old(doctype, before[doctype])
		else:
			cleared[doctype] = incident_rows.clear_old(before[doctype])

	failed = go_through((*clearing.OLD, "Safe Mode Incident"), clear)
	frappe.logger("memora").info(f"cleared what is old: {cleared}")
	if failed:
		raise JobFailed(tell_of(failed))
	return cleared


def clear_learners_who_left() -> int:
	"""Deletes the Memora Learners of whom retention has left nothing. Returns how many. Commits. Runs weekly."""
	days = KEPT_DAYS["Memora Learner"]
	return clearing.delete_learners_who_left(site_time.naive_now() - timedelta(days=days))
