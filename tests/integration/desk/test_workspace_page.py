"""The workspace as a manager sees it: its cards, and that its charts are drawn."""

import frappe
import pytest
from playwright.sync_api import Locator, Page, expect

from memora.services.figures import activity, due_forecast
from memora.services.folding import folds
from tests.integration.factories import make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

SCROLLBAR = 20  # pixels, at most
CHARTS = ("Answers per Day", "True Retention per Week", "Due in the Next 30 Days", "Cache Discrepancy Rate")


def open_workspace(administrator) -> Page:
	page = administrator.page
	administrator.watch_requests()
	page.goto("/app/memora")
	expect(page.locator(".number-widget-box .number")).to_have_count(5)
	return page


def card(page: Page, name: str) -> Locator:
	return page.locator(f'.number-widget-box:has-text("{name}") .number')


def chart(page: Page, name: str) -> Locator:
	return page.locator(f'.dashboard-widget-box:has-text("{name}")')


def test_without_data_cards_show_zero_and_charts_that_there_is_none(administrator):
	page = open_workspace(administrator)
	for name in ("Learners Active Today", "Answers Today", "Due Today"):
		expect(card(page, name)).to_have_text("0")
	expect(card(page, "Safe Mode")).to_have_text("Off")
	for name in CHARTS:
		expect(chart(page, name).get_by_text("No Data")).to_be_visible()
		expect(chart(page, name).locator("svg.frappe-chart")).to_have_count(0)


def test_cards_and_charts_show_what_there_is(administrator, player, season):
	make_records(player, 7)
	for quality in (4, 4, 1):
		submit(player, answers(3, quality))
	folds.drain(site_now())
	activity.sum_up()
	due_forecast.compute_forecast(season)
	frappe.get_doc(
		{"doctype": "Cache Reconciliation", "season": season, "started_at": site_now(), "sample_size": 9}
	).insert()
	frappe.db.commit()
	page = open_workspace(administrator)
	expect(card(page, "Answers Today")).to_have_text("9")
	expect(card(page, "Learners Active Today")).to_have_text("1")
	for name in CHARTS:
		expect(chart(page, name).locator("svg.frappe-chart")).to_be_visible()
	bars = chart(page, "Answers per Day").locator("rect.bar")
	wait_until(
		lambda: max(float(bar.get_attribute("height")) for bar in bars.all()) > 50, "a bar that has grown"
	)


def test_safe_mode_is_told_across_the_page_and_above_it(administrator):
	incident = {"started_at": site_now(), "reason": "a test", "opening_told": 1}
	frappe.get_doc({"doctype": "Safe Mode Incident", **incident}).insert()
	frappe.db.commit()
	page = open_workspace(administrator)
	banner, first = (page.locator(found).first for found in (".memora-safe-mode", ".number-widget-box"))
	expect(banner).to_contain_text("All answers are still saved.")
	told, below, desk = (box.bounding_box() for box in (banner, first, page.locator(".main-section")))
	assert told["y"] + told["height"] <= below["y"]
	assert told["width"] == pytest.approx(desk["width"], abs=SCROLLBAR)
