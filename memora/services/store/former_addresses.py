"""Whose an address was before it was changed, for jobs that name a learner by the address she had then.

No address is stored, only its hash, and that for some days; see clearing.KEPT_DAYS.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import frappe

from memora.services.store.row_names import digest

REMEMBER_SQL = """
	INSERT INTO `tabMemora Former Address`
	(name, address_digest, learner, until, creation, modified, owner, modified_by)
	VALUES (%(name)s, %(address)s, %(learner)s, %(now)s, %(now)s, %(now)s, 'Administrator', 'Administrator')"""
HOLDER_SQL = """
	SELECT learner FROM `tabMemora Former Address` WHERE address_digest = %s AND until >= %s
	ORDER BY until LIMIT 1"""
LAST_HOLDER_SQL = """
	SELECT learner FROM `tabMemora Former Address` WHERE address_digest = %s ORDER BY until DESC LIMIT 1"""
HAND_OVER_SQL = "UPDATE `tabMemora Former Address` SET learner = %(into)s WHERE learner = %(learner)s"
FORGET_LEARNER_SQL = "DELETE FROM `tabMemora Former Address` WHERE learner = %s"


def remember(address: str, learner: str, now: datetime) -> None:
	"""Notes that a learner has had an address until `now` (naive site time). The caller commits."""
	values = {"name": uuid4().hex, "address": _hash(address), "learner": learner, "now": now}
	frappe.db.sql(REMEMBER_SQL, values)


def get_holder(address: str, moment: datetime) -> str | None:
	"""Returns the learner who had an address at a moment, and has lost it since; None if nobody has lost it since."""
	return _first(frappe.db.sql(HOLDER_SQL, (_hash(address), moment)))


def get_last_holder(address: str) -> str | None:
	"""Returns the learner who was the last to lose an address."""
	return _first(frappe.db.sql(LAST_HOLDER_SQL, (_hash(address),)))


def hand_over(learner: str, into: str) -> None:
	"""Makes one learner's former addresses another's. The caller commits."""
	frappe.db.sql(HAND_OVER_SQL, {"learner": learner, "into": into})


def forget_learner(learner: str) -> None:
	"""Deletes a learner's former addresses. The caller commits."""
	frappe.db.sql(FORGET_LEARNER_SQL, (learner,))


def _first(rows: Sequence[tuple[str]]) -> str | None:
	return next((learner for (learner,) in rows), None)


def _hash(address: str) -> str:
	return digest("address", address.strip().lower())  # MariaDB, and so Frappe, takes either case for equal
