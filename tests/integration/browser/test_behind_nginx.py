"""The page behind the nginx that bench configures, which adds headers of its own to those of the page."""

import shutil

import pytest
from playwright.sync_api import expect

from devtools import nginx
from tests.integration.factories import make_records

# As `bench setup nginx` of 5.31 writes them. Of two policies a browser takes the last that it knows.
BENCHS = """
	add_header X-Frame-Options "SAMEORIGIN";
	add_header X-Content-Type-Options nosniff;
	add_header X-XSS-Protection "1; mode=block";
	add_header Referrer-Policy "same-origin, strict-origin-when-cross-origin";
"""


@pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx here")
def test_other_sites_are_not_told_where_a_learner_comes_from(sit_down, player, web, tmp_path):
	make_records(player, 1)
	with nginx.before(web.url, tmp_path, BENCHS) as url:
		pupil = sit_down(base_url=url)
		response = pupil.page.goto("/review")
		assert len(response.header_values("Referrer-Policy")) == 2
		expect(pupil.question).to_be_visible()
		with pupil.page.expect_navigation(url=f"{web.url}/**"):
			pupil.page.evaluate(
				"url => location.assign(url)", f"{web.url}/login"
			)  # another port, another origin
		assert pupil.page.evaluate("document.referrer") == ""
