"""Clears what only piles up: store/clearing.KEPT_DAYS says how long each is kept.

Anki Imports are cleared by anki/clearing: this room knows nothing of Anki. Rows of Daily Learner go by figures/activity.
"""

from datetime import timedelta

import frappe

from memora.services import site_time
from memora.services.store import clearing, incident_rows
from memora.services.store.clearing import KEPT_DAYS


def clear_old_notes() -> dict[str, int]:
	"""Deletes old rebuilds, reconciliations, incidents, admissions and addresses. Returns {doctype: how many}. Commits. Runs daily."""
	now = site_time.naive_now()
	before = {doctype: now - timedelta(days=days) for doctype, days in KEPT_DAYS.items()}
	cleared = {doctype: clearing.delete_old(doctype, before[doctype]) for doctype in clearing.OLD}
	cleared["Safe Mode Incident"] = incident_rows.clear_old(before["Safe Mode Incident"])
	frappe.logger("memora").info(f"cleared what is old: {cleared}")
	return cleared


def clear_learners_who_left() -> int:
	"""Deletes the Memora Learners of whom retention has left nothing. Returns how many. Commits. Runs weekly."""
	days = KEPT_DAYS["Memora Learner"]
	return clearing.delete_learners_who_left(site_time.naive_now() - timedelta(days=days))
