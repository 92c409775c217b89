"""Chromium before the desk of the real site. Where Frappe comes without its desk's assets, these tests are skipped."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import frappe
import pytest
from frappe.utils.password import update_password
from playwright.sync_api import Browser, Page, expect, sync_playwright

from devtools import processes, shell
from tests.integration.desk.administrator import Administrator
from tests.integration.factories import make_learner

PASSWORD = "password of the tests"
ARGUMENTS = ["--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage"]
WAIT_MS = 30_000  # a desk is several MB of JavaScript

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="package", autouse=True)
def desk_assets() -> None:
	manifest = json.loads((Path(os.environ["MEMORA_SITES_PATH"]) / "assets" / "assets.json").read_text())
	if "desk.bundle.js" not in manifest:
		pytest.skip(
			"this Frappe comes without the desk's assets: name a checkout of it, MEMORA_FRAPPE=<folder>"
		)


@pytest.fixture(scope="package")
def chromium(desk_assets) -> Iterator[Browser]:
	with sync_playwright() as playwright:
		browser = playwright.chromium.launch(executable_path=shell.find("chromium"), args=ARGUMENTS)
		yield browser
		browser.close()


@pytest.fixture(scope="package")
def worker(desk_assets, site):
	with processes.worker(["long"]) as handle:
		yield handle


@pytest.fixture
def page(chromium, web) -> Iterator[Page]:
	context = chromium.new_context(base_url=web.url, viewport={"width": 1280, "height": 900})
	context.set_default_timeout(WAIT_MS)
	yield context.new_page()
	context.close()


@pytest.fixture
def administrator(page) -> Iterator[Administrator]:
	user = make_learner(["Memora Manager"])
	update_password(user.name, PASSWORD)
	frappe.db.commit()
	administrator = Administrator(page, user.name)
	administrator.sign_in(PASSWORD)
	yield administrator
	assert administrator.errors == []
