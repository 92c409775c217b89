"""The forms of a season and of the settings ask before they save a change that moves dates."""

from datetime import datetime, time, timedelta

import frappe
from playwright.sync_api import expect

from memora.services import site_time
from tests.integration import state
from tests.integration.factories import make_records
from tests.integration.test_season_form import DOCTYPE


def test_an_end_moved_earlier_is_saved_once_a_manager_has_read_how_many_dates_move(
	administrator, worker, player, season
):
	page, day = administrator.page, site_time.learning_day()
	make_records(player, 5, next_review_date=datetime.combine(day + timedelta(days=100), time(4)))
	stored = frappe.db.get_value(DOCTYPE, season, "end_date")
	administrator.open_form(DOCTYPE, season)
	expect(administrator.state).to_be_visible()  # a form that still loads would overwrite what is typed
	administrator.fill("end_date", str(day + timedelta(days=50)))
	page.get_by_role("button", name="Save", exact=True).click()
	expect(administrator.dialog).to_contain_text(": 5. A job moves them to that day.")
	administrator.dialog.get_by_role("button", name="Do Not Save").click()
	expect(administrator.dialog).to_have_count(0)
	frappe.db.rollback()
	assert frappe.db.get_value(DOCTYPE, season, "end_date") == stored
	page.get_by_role("button", name="Save", exact=True).click()
	administrator.dialog.get_by_role("button", name="Save and Move Dates").click()
	expect(administrator.state).to_contain_text("5 dates moved")
	assert {row.next_review_date.date() for row in state.tracker(player).values()} == {
		day + timedelta(days=50)
	}


def test_another_hour_is_saved_once_a_manager_has_read_what_it_moves(administrator, player, season):
	page = administrator.page
	make_records(player, 5)
	frappe.db.sql("ANALYZE TABLE `tabPlayer Memory Tracker`")
	page.goto("/app/memora-settings")
	administrator.fill("day_start_hour", "6")
	page.get_by_role("button", name="Save", exact=True).click()
	expect(administrator.dialog).to_contain_text("from 4:00 to 6:00 o'clock")
	administrator.dialog.get_by_role("button", name="Save and Move Dates").click()
	expect(page.locator(".page-head .indicator-pill:visible", has_text="Not Saved")).to_have_count(0)
	frappe.db.rollback()
	assert int(frappe.db.get_single_value("Memora Settings", "day_start_hour")) == 6
