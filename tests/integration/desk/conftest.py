"""Chromium before the desk of the real site. Where Frappe comes without its desk's assets, these tests are skipped."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import frappe
import pytest
from frappe.desk.doctype.notification_settings.notification_settings import create_notification_settings
from frappe.utils.password import update_password
from playwright.sync_api import Browser

from devtools import processes
from tests.integration.browser.conftest import PASSWORD, launched
from tests.integration.desk.administrator import Administrator
from tests.integration.factories import make_learner

WAIT_MS = 30_000  # a desk is several MB of JavaScript
WIDE = {"width": 1280, "height": 900}


@pytest.fixture(scope="package")
def desk_assets(site) -> None:
	manifest = json.loads((Path(os.environ["MEMORA_SITES_PATH"]) / "assets" / "assets.json").read_text())
	if "desk.bundle.js" not in manifest:
		pytest.skip(
			"this Frappe comes without the desk's assets: name a checkout of it, MEMORA_FRAPPE=<folder>"
		)


@pytest.fixture(scope="package")
def chromium(desk_assets) -> Iterator[Browser]:
	with launched() as browser:
		yield browser


@pytest.fixture(scope="package")
def worker(desk_assets):
	with processes.worker(["long"]) as handle:
		yield handle


@pytest.fixture
def sit_down(chromium, web) -> Iterator[Callable[[str], Administrator]]:
	"""Signs somebody in who has a role. A script that fails before her fails the test."""
	opened: list[Administrator] = []

	def sit(role: str) -> Administrator:
		user = make_learner([role]).user
		create_notification_settings(user)  # without them Frappe shows her no desk
		update_password(user, PASSWORD)
		frappe.db.commit()
		context = chromium.new_context(base_url=web.url, viewport=WIDE)
		context.set_default_timeout(WAIT_MS)
		opened.append(Administrator(context.new_page(), user))
		opened[-1].sign_in(PASSWORD)
		return opened[-1]

	yield sit
	for somebody in opened:
		somebody.page.context.close()
	assert [error for somebody in opened for error in somebody.errors] == []


@pytest.fixture
def administrator(sit_down) -> Administrator:
	return sit_down("Memora Manager")
