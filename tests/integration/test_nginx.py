"""The limits of memora/data/production/nginx.conf in a real nginx: they are for one learner, and nobody else notices them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from devtools import nginx
from tests.integration.client import Client, message
from tests.integration.factories import make_learner

READ = "/api/method/memora.api.reviews.get_review_session"
PAGE = "/review"
SUBMIT = "/api/method/memora.api.reviews.submit_review_session"
OTHER = "/api/method/frappe.auth.get_logged_user"
DEVICES = 64
PATIENCE_SECONDS = 1  # of a device: what nginx lets wait, it has not refused


@pytest.fixture
def proxy(web, tmp_path) -> Iterator[str]:
	with nginx.before(web.url, tmp_path) as url:
		yield url


def refused_at_once(clients: list[Client], path: str) -> int:
	"""Sends a request of each client at the same moment. Returns how many nginx itself has refused."""

	def is_refused(client: Client) -> bool:
		try:
			response = client.session.get(client.url + path, timeout=PATIENCE_SECONDS)
		except requests.Timeout:
			return False
		return response.status_code == 429 and "<center>nginx" in response.text

	with ThreadPoolExecutor(len(clients)) as pool:
		return sum(pool.map(is_refused, clients))


def devices(proxy: str, token: str | None = None, cookie: str | None = None) -> list[Client]:
	clients = [Client(proxy, token) for _ in range(DEVICES)]
	for client in clients:
		client.session.cookies.update({"sid": cookie} if cookie else {})
	return clients


@pytest.mark.parametrize("path", [READ, PAGE, SUBMIT, READ.replace("/api/", "/api/v2/")])
def test_requests_with_one_token_or_cookie_are_limited(proxy, path):
	assert refused_at_once(devices(proxy, token=make_learner().token), path) > 0
	assert refused_at_once(devices(proxy, cookie="a-session"), path) > 0


def test_others_behind_the_same_address_are_not(proxy):
	assert refused_at_once([Client(proxy, make_learner().token) for _ in range(DEVICES)], READ) == 0


def test_guests_are_not_one_client(proxy):
	assert refused_at_once(devices(proxy), READ) == 0
	assert refused_at_once(devices(proxy, cookie="Guest"), READ) == 0


def test_what_is_not_for_learners_is_not_limited(proxy):
	assert refused_at_once(devices(proxy, token=make_learner().token), OTHER) == 0


def test_a_learner_is_served_when_her_other_requests_are_done(proxy):
	learner = Client(proxy, make_learner().token)
	refused_at_once(devices(proxy, token=learner.session.headers["Authorization"]), READ)
	message(learner.get(READ.rpartition("/")[2]))
