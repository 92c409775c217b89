"""One document of each of Memora's DocTypes, for tests that try who may do what with it."""

from itertools import count
from typing import Any

import frappe

from tests.integration import state
from tests.integration.factories import (
	BANK,
	STANDING_SEASON,
	learner_id,
	make_learner,
	make_waiting_submission,
	site_now,
)

SINGLES = ("Memora Health", "Memora Settings")
OF_SUBMISSIONS = ("Review Outbox", "SRS Write Job")

_serial = count(1)


def new_values(doctype: str) -> dict[str, Any]:
	"""Returns the values of a document that can be made, or could be if anybody were allowed to."""
	number = next(_serial)
	subject, (topic, *_) = next(iter(BANK.items()))
	return {
		"Anki Import": {"file": "/files/deck.apkg", "subject": subject},
		"Game Question": {"topic": f"{subject}: {topic}", "question": f"What is {number}?", "answer": "It."},
		"Game Subject": {"subject_name": f"Tried {number}"},
		"Game Subscription Season": {
			"season_name": f"Tried {number}",
			"start_date": "2026-01-01",
			"end_date": "2026-12-31",
		},
		"Game Topic": {"topic_name": f"Tried {number}", "subject": subject},
		"Memora Learner": {"name": learner_id(f"tried {number}"), "learner_name": f"Tried {number}"},
	}.get(doctype) or {"player": make_learner().name, "season": STANDING_SEASON, "question_id": f"q-{number}"}


def make_document(doctype: str, player: str | None = None) -> str:
	"""The name of a new one, of a learner where it is a learner's; of a single, its own."""
	frappe.db.rollback()
	if doctype in SINGLES:
		return doctype
	if doctype in OF_SUBMISSIONS:
		return make_waiting_submission(player or make_learner().name, STANDING_SEASON)
	now = site_now()
	values = {
		**new_values(doctype),
		**({"player": player} if player else {}),
		"submission_id": "s",
		"archived_at": now,
		"next_review_date": now,
		"started_at": now,
	}
	document = frappe.get_doc({"doctype": doctype, **values})
	document.flags.ignore_mandatory = True
	document.insert(ignore_permissions=True, ignore_links=True)
	frappe.db.commit()
	return document.name


def content(doctype: str) -> Any:
	"""Returns what the DocType's table holds, to be compared."""
	if doctype in SINGLES:
		frappe.db.rollback()
		return frappe.db.get_singles_dict(doctype)
	return state.rows("Review Outbox" if doctype == "SRS Write Job" else doctype)
