"""Chromium before the real site: gunicorn, MariaDB, Redis."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import frappe
import pytest
from frappe.utils.password import update_password
from playwright.sync_api import Browser, Page, expect, sync_playwright

from devtools import packages
from tests.integration.browser.pupil import Pupil

PASSWORD = "password of the tests"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
ARGUMENTS = ["--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage"]
WAIT_MS = 20_000

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
	with launched() as browser:
		yield browser


@contextmanager
def launched() -> Iterator[Browser]:
	"""A Chromium of the tests' own; skips the test where there is none."""
	path = packages.browser()
	if not path and not os.environ.get("CI"):
		pytest.skip("there is no Chromium here")
	with sync_playwright() as playwright:
		browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
		yield browser
		browser.close()


@pytest.fixture
def open_browser(chromium, web) -> Iterator[Callable[..., Page]]:
	"""A browser window with storage and cookies of its own; options are those of Playwright's new_context."""
	contexts = []

	def open_one(**options: Any) -> Page:
		context = chromium.new_context(**{"base_url": web.url, **PHONE, **options})
		context.set_default_timeout(WAIT_MS)
		contexts.append(context)
		return context.new_page()

	yield open_one
	for context in contexts:
		context.close()


@pytest.fixture
def sit_down(open_browser, learner) -> Callable[..., Pupil]:
	"""The learner, signed in with her password, in a browser of her own."""

	def sit(language: str = "en", **options: Any) -> Pupil:
		frappe.db.set_value("User", learner.user, "language", language, update_modified=False)
		frappe.clear_cache(user=learner.user)
		update_password(learner.user, PASSWORD)
		frappe.db.commit()
		pupil = Pupil(open_browser(**options), learner)
		pupil.sign_in(PASSWORD)
		return pupil

	return sit


@pytest.fixture
def pupil(sit_down) -> Pupil:
	return sit_down()
