"""Numbers whose DocTypes declare no precision are shown with digits that a person reads."""

import frappe
import pytest
from playwright.sync_api import expect

from tests.integration import state
from tests.integration.factories import bank_questions, make_records, site_now
from tests.integration.submitting import answers, submit

RATE = 0.000213  # two records of ten thousand


@pytest.fixture
def reconciliation(season) -> str:
	values = {"season": season, "started_at": site_now(), "sample_size": 9400, "discrepancy_rate": RATE}
	name = frappe.get_doc({"doctype": "Cache Reconciliation", **values}).insert().name
	frappe.db.commit()
	return name


def test_a_small_share_of_wrong_records_is_no_nought(administrator, reconciliation):
	page = administrator.page
	page.goto("/app/cache-reconciliation/view/report")
	expect(page.locator(".dt-scrollable")).to_contain_text(str(RATE))
	administrator.open_form("Cache Reconciliation", reconciliation)
	expect(page.locator("[data-fieldname=discrepancy_rate] .control-value:visible")).to_have_text(str(RATE))


def test_a_memory_is_shown_with_three_digits_and_kept_with_nine(administrator, player, season):
	make_records(player, 1, stability=2.123456789)
	(tracker,) = state.tracker(player).values()
	administrator.open_form("Player Memory Tracker", tracker.name)
	shown = administrator.page.locator("[data-fieldname=stability] .control-value:visible")
	expect(shown).to_have_text("2.123")


def test_an_answer_is_shown_with_three_digits(administrator, player, season):
	submit(player, answers(questions=bank_questions()[:1]))
	(entry,) = state.journal(player)
	administrator.open_form("Player Review Log", entry.name)
	shown = administrator.page.locator("[data-fieldname=stability_after] .control-value:visible")
	expect(shown).to_have_text(f"{entry.stability_after:.3f}")
