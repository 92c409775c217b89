"""Memora Health in Chromium: what a manager sees is true at that moment, whatever managers were told last."""

import os

import pytest
from playwright.sync_api import expect

from devtools import ports
from tests.integration.desk.administrator import Administrator
from tests.integration.factories import make_learner
from tests.integration.site_config import site_config
from tests.integration.submitting import read

PICTURES = os.environ.get("MEMORA_TEST_PICTURES")  # a folder, to look at the form


@pytest.fixture
def manager(any_request_time, sit_down) -> Administrator:
	return sit_down("Memora Manager")


def test_an_outage_is_seen_before_anybody_was_told(manager, season):
	learner = make_learner().name
	read(learner)
	manager.open_form("Memora Health", "Memora Health")
	now = manager.page.locator(".memora-health-now .indicator-pill")
	expect(now.first).to_have_text("ok")
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		manager.page.reload()
		expect(now.first).to_have_text("critical")
		expect(manager.indicator).to_have_text("critical")
		expect(manager.page.locator(".memora-health-now")).to_contain_text("Safe Mode since")
		if PICTURES:
			manager.page.screenshot(path=f"{PICTURES}/health.png")
	assert manager.errors == []
