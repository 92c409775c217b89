"""The desktop and the sidebar of Frappe 16, as somebody sees them who may open all of Memora or little of it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.frappe_versions import DESK, HAS_SIDEBARS
from tests.integration.desk.administrator import Administrator
from tests.integration.test_sidebar import everything
from tests.integration.waiting import wait_until

pytestmark = pytest.mark.skipif(
	not HAS_SIDEBARS, reason="this Frappe's desk has no icons and no sidebars of apps"
)

IS_AT_REST = "frappe.request.ajax_count === 0 && frappe.router.current_route?.length > 0"


def open_memora(somebody: Administrator) -> Page:
	"""Opens the desktop and chooses the icon."""
	somebody.watch_requests()
	somebody.page.goto(DESK)
	somebody.page.locator(".desktop-icon[data-id=Memora]").click()
	return somebody.page


def links(page: Page) -> Locator:
	return page.locator(".sidebar-items a.item-anchor[href]")


def test_the_icon_leads_to_the_workspace(administrator):
	page = open_memora(administrator)
	expect(page).to_have_url(re.compile(f"{DESK}/memora$"))
	expect(page.locator(".number-widget-box .number")).to_have_count(5)


def test_each_link_of_the_sidebar_opens_its_page(administrator):
	page = open_memora(administrator)
	expect(links(page)).to_have_count(len(everything()))
	for path in [link.get_attribute("href") for link in links(page).all()]:
		page.evaluate("path => document.querySelector(`.sidebar-items a[href='${path}']`).click()", path)
		wait_until(lambda path=path: page.evaluate("location.pathname").startswith(path), f"{path} to open")
		page.wait_for_function(IS_AT_REST)
		expect(page.locator(".page-container:visible .page-title").first).to_be_visible()
		expect(page.get_by_text(re.compile("not found|not permitted", re.IGNORECASE))).to_have_count(0)


def test_somebody_who_may_open_one_thing_sees_that_and_no_empty_section(sit_down):
	page = open_memora(sit_down("Memora Monitor"))
	expect(page).to_have_url(re.compile(f"{DESK}/memora-health"))
	expect(page.locator(".sidebar-items .sidebar-item-label")).to_have_text(["Operation", "Memora Health"])
