"""A System Manager exports, detaches and erases a learner by her form."""

import os
import re
from zipfile import ZipFile

import frappe
import pytest
from playwright.sync_api import expect

from memora.services.store import learners
from tests.integration import state, whole_site
from tests.integration.desk.administrator import Administrator
from tests.integration.factories import Learner, make_learner, make_records
from tests.integration.waiting import wait_until

DOCTYPE = "Memora Learner"
PICTURES = os.environ.get("MEMORA_TEST_PICTURES")  # a folder, to look at the form


@pytest.fixture
def system_manager(sit_down, worker) -> Administrator:
	return sit_down("System Manager")


@pytest.fixture
def her() -> Learner:
	her = make_learner()
	make_records(her.name, 5)
	return her


def choose(who: Administrator, label: str) -> None:
	who.page.get_by_role("button", name="Data").first.click()
	picture(who, f"menu-{label}")
	who.page.locator(".dropdown-item:visible").get_by_text(label, exact=True).click()


def picture(who: Administrator, name: str) -> None:
	if PICTURES:
		who.page.wait_for_timeout(600)  # a dialog fades in
		who.page.screenshot(path=f"{PICTURES}/{name}.png")


def test_an_export(system_manager, her):
	system_manager.open_form(DOCTYPE, her.name)
	choose(system_manager, "Export")
	link = system_manager.message.locator("a.memora-export")
	expect(link).to_be_visible()
	picture(system_manager, "export")
	with system_manager.page.expect_download() as download:
		link.click()
	assert "records.csv" in ZipFile(download.value.path()).namelist()


def test_she_is_erased_once_her_id_is_typed(system_manager, her):
	system_manager.open_form(DOCTYPE, her.name)
	choose(system_manager, "Erase")
	expect(system_manager.dialog).to_contain_text("This can't be undone.")
	expect(system_manager.dialog.locator("tr", has_text="Player Memory Tracker")).to_contain_text("5")
	system_manager.fill("reference", "Letter 17")
	system_manager.fill("confirm", "yes")
	picture(system_manager, "erase")
	system_manager.confirm()
	expect(system_manager.message).to_contain_text("to confirm")
	system_manager.close_message()
	assert learners.find(her.name)
	system_manager.fill("confirm", her.name)
	system_manager.confirm()
	wait_until(lambda: not _rows(her), "her row to go")
	expect(system_manager.page).to_have_url(re.compile(r"/memora-learner(/view/list)?$"))
	(erasure,) = state.rows("Memora Erasure")
	assert (erasure.way, erasure.status, erasure.reference) == ("Desk", "Completed", "Letter 17")
	assert whole_site.in_tables(her.name) == []
	system_manager.open_form("Memora Erasure", erasure.name)
	expect(system_manager.page.locator(".grid-row", has_text="Player Memory Tracker")).to_contain_text("5")
	picture(system_manager, "erasure")


def _rows(her: Learner) -> list:
	return state.rows(DOCTYPE, name=her.name)


def test_she_is_detached(system_manager, her):
	system_manager.open_form(DOCTYPE, her.name)
	choose(system_manager, "Detach")
	expect(system_manager.dialog).to_contain_text("are nobody's")
	system_manager.fill("confirm", her.name)
	picture(system_manager, "detach")
	system_manager.confirm()
	wait_until(lambda: _rows(her)[0].user is None, "her link to go")
	wait_until(lambda: state.rows("Memora Erasure", status="Completed"), "the end of it")
	assert len(state.tracker(her.name)) == 5
	picture(system_manager, "detached")


def test_a_memora_manager_sees_no_such_menu(administrator, her):
	administrator.open_form(DOCTYPE, her.name)
	expect(administrator.page.locator("[data-fieldname=user]:visible").first).to_be_visible()
	expect(administrator.page.get_by_role("button", name="Data")).to_have_count(0)
	assert frappe.db.exists(DOCTYPE, her.name)
