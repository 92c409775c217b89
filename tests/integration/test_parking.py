"""Submissions that are parked: who is told, and how they are put back."""

from datetime import timedelta

import frappe

from memora.services.folding import folds
from memora.services.store import outbox
from tests.integration import factories
from tests.integration.folding import POISON, drain, put, record
from tests.integration.state import rows
from tests.integration.test_limits import in_force

PARK_SQL = "UPDATE `tabReview Outbox` SET parked_at = %s, error = 'why' WHERE name = %s"


def test_all_are_put_back_page_by_page_but_those_that_are_parked_meanwhile(season, player, monkeypatch):
	monkeypatch.setattr(folds, "FOLD_SUBMISSIONS", 2)
	found, unpark = [], outbox.unpark

	def observed(names: list[str]) -> int:
		found.append(in_force())
		return unpark(names)

	monkeypatch.setattr(outbox, "unpark", observed)
	now = factories.site_now()
	keys = [put(player, season, f"{number}", [record("q1")]) for number in range(7)]
	for key, minutes in zip(keys, (-50, -40, -30, -20, -10, 60), strict=False):
		frappe.db.sql(PARK_SQL, (now + timedelta(minutes=minutes), key))
	frappe.db.commit()
	assert folds.unpark() == 5
	assert {row.name for row in rows("Review Outbox", parked_at=None)} == {*keys} - {keys[5]}
	assert set(found) == {folds.LIMITS}
	assert folds.unpark() == 0


def test_managers_are_told_in_the_language_of_the_site(season, player, monkeypatch):
	monkeypatch.setattr(frappe.local, "lang", "ar")  # of the learner whose request folds
	put(player, season, "a", [], POISON)
	assert drain() == 0
	assert rows("Notification Log", subject="Answers could not be processed")
