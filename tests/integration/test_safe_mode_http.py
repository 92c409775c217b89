"""Safe Mode as a learner's client and a manager's desk meet it: gunicorn, Redis at a port where nobody listens."""

import frappe
import pytest

from devtools import ports
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.factories import make_learner, make_records, set_limits
from tests.integration.site_config import site_config
from tests.integration.submitting import as_sent, ids

READ = "memora.api.reviews.get_review_session"
READ_IN_SAFE_MODE = "memora.api.reviews.get_reviews_safe_mode"
SUBMIT = "memora.api.reviews.submit_review_session"
STATUS = "memora.api.utils.get_safe_mode"


@pytest.fixture
def no_redis():
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		yield


def test_a_learner_reads_once_and_is_told_when_to_come_back(no_redis, client, player):
	make_records(player, 12)
	session = message(client.get(READ))
	assert (len(ids(session)), session["total_due"], session["is_degraded"]) == (10, 12, True)
	refused = client.get(READ)
	assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
	assert 25 <= int(refused.headers["Retry-After"]) <= 30
	assert f"Please wait {refused.headers['Retry-After']} seconds." in refused.text
	assert "exc" not in refused.json()  # Frappe's traceback
	assert not state.rows("Error Log", method=("like", "%RateLimit%"))


def test_a_page_is_put_off_in_html(no_redis, client, player):
	message(client.get(READ))
	client.session.headers["Accept"] = "text/html,application/xhtml+xml"
	refused = client.get(READ)
	assert refused.status_code == 429
	assert refused.headers["Content-Type"].startswith("text/html")
	assert f"Please wait {refused.headers['Retry-After']} seconds." in refused.text
