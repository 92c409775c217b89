"""Submissions that wait in the outbox, and the fold of all that wait."""

import frappe

from memora.services.folding import folds
from memora.services.store import row_names
from memora.services.store.records import MemoryRecord, pack_records
from tests.integration import factories

OUTBOX_SQL = """
	INSERT INTO `tabReview Outbox` (name, player, season, payload, creation, modified)
	VALUES (%s, %s, %s, %s, %s, %s)"""


def put(player: str, season: str, submission: str, records: list[MemoryRecord], payload: str = "") -> str:
	"""A submission in the outbox as store/outbox writes it, or with a payload of its own; its key."""
	key = row_names.submission_key(player, season, submission)
	payload = payload or pack_records(records)
	now = factories.site_now()
	frappe.db.sql(OUTBOX_SQL, (key, player, season, payload, now, now))
	frappe.db.commit()
	return key


def put_many(season: str, how_many: int, answers: int = 3) -> None:
	for number in range(how_many):
		put(factories.learner_id(f"player {number}"), season, "a", [record(f"q{n}") for n in range(answers)])


def record(question: str, **overrides) -> MemoryRecord:
	return factories.make_record(question, **overrides)


def drain() -> int:
	return len(folds.drain(factories.site_now()).folded)


POISON = "[1]"


def put_poison(season: str, good: int = 3) -> tuple[str, str]:
	"""Two submissions that can't be folded, between good ones; a season that has no partition, a payload."""
	put_many(season, good)
	no_partition = put(factories.learner_id("lost"), "Nowhere", "a", [record("q1")])
	unreadable = put(factories.learner_id("garbled"), season, "a", [], POISON)
	put(factories.learner_id("last"), season, "a", [record("q1")])
	return no_partition, unreadable
