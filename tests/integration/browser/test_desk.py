"""The workspace in a browser; where the desk's assets are built, which takes a Frappe that has their sources."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import frappe
import pytest
from playwright.sync_api import Page, expect

from devtools.sites import ADMIN_PASSWORD
from memora.services import activity, due_forecast, srs_persistence
from tests.integration.factories import make_records, site_now
from tests.integration.submitting import answers, submit
from tests.integration.waiting import wait_until

DESK = Path(os.environ["MEMORA_SITES_PATH"]) / "assets" / "frappe" / "dist" / "js"
CHARTS = ("Answers per Day", "True Retention per Week", "Due in the Next 30 Days", "Cache Discrepancy Rate")
WAIT_MS = 60_000  # the first page of a desk takes long on a busy machine

pytestmark = pytest.mark.skipif(
	not DESK.is_dir(), reason="the desk's assets are not built: MEMORA_FRAPPE names no Frappe that has them"
)


@pytest.fixture
def errors() -> Iterator[list[str]]:
	"""What goes wrong in the page or on the server meanwhile; nothing may."""
	found: list[str] = []
	yield found
	assert found == []


@pytest.fixture
def open_workspace(open_browser, web, errors) -> Callable[[], Page]:
	def open_() -> Page:
		page = open_browser(viewport={"width": 1280, "height": 1500}, has_touch=False)
		page.on("pageerror", lambda error: errors.append(str(error)))
		page.on("response", lambda reply: reply.status >= 500 and errors.append(reply.url))
		credentials = {"usr": "Administrator", "pwd": ADMIN_PASSWORD}
		assert page.context.request.post(f"{web.url}/api/method/login", form=credentials).ok
		page.goto(f"{web.url}/app/memora")
		expect(page.locator(".number-widget-box .number")).to_have_count(5, timeout=WAIT_MS)
		return page

	return open_


def card(page: Page, name: str):
	return page.locator(f'.number-widget-box:has-text("{name}") .number')


def chart(page: Page, name: str):
	return page.locator(f'.dashboard-widget-box:has-text("{name}")')


def test_without_data_cards_show_zero_and_charts_that_there_is_none(open_workspace):
	page = open_workspace()
	for name in ("Learners Active Today", "Answers Today", "Due Today"):
		expect(card(page, name)).to_have_text("0")
	expect(card(page, "Safe Mode")).to_have_text("Off")
	for name in CHARTS:
		expect(chart(page, name).get_by_text("No Data")).to_be_visible(timeout=WAIT_MS)
		expect(chart(page, name).locator("svg.frappe-chart")).to_have_count(0)


def test_cards_and_charts_show_what_there_is(open_workspace, player, season):
	make_records(player, 7)
	for quality in (4, 4, 1):
		submit(player, answers(3, quality))
	srs_persistence.drain(site_now())
	activity.sum_up()
	due_forecast.compute(season)
	frappe.get_doc(
		{"doctype": "Cache Reconciliation", "season": season, "started_at": site_now(), "sample_size": 9}
	).insert()
	frappe.db.commit()
	page = open_workspace()
	expect(card(page, "Answers Today")).to_have_text("9")
	expect(card(page, "Learners Active Today")).to_have_text("1")
	for name in CHARTS:
		expect(chart(page, name).locator("svg.frappe-chart")).to_be_visible(timeout=WAIT_MS)
	bars = chart(page, "Answers per Day").locator("rect.bar")
	wait_until(
		lambda: max(float(bar.get_attribute("height")) for bar in bars.all()) > 50, "a bar that has grown"
	)
