"""A learner holds two web threads at most, whatever she sends. Her further requests get 429 at once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import frappe
import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from memora.api import turns
from memora.services.store import row_names
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import raw_connection
from tests.integration.factories import make_learner, make_records
from tests.integration.submitting import answers, as_sent, ids
from tests.integration.waiting import wait_until

READ = "memora.api.reviews.get_review_session"
SUBMIT = "memora.api.reviews.submit_review_session"
LESSON = "memora.api.sessions.get_lesson_session"
DEVICES = 8
REFUSALS = 20

HOLDER = """
import sys
from memora.api.turns import Places
places = Places(sys.argv[1])
print([places.take(sys.argv[2]) is not None for _ in range(3)], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path() -> str:
	return os.path.abspath(frappe.get_site_path("locks", turns.FILE))


@contextmanager
def holder(path: str, key: str) -> Iterator[subprocess.Popen]:
	"""Another process, which takes all places of a key."""
	process = subprocess.Popen(
		[sys.executable, "-c", HOLDER, path, key],
		stdin=subprocess.PIPE,
		stdout=subprocess.PIPE,
		text=True,
		env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
	)
	try:
		yield process
	finally:
		process.kill()
		process.wait()


def test_there_are_two_places_for_each_learner(tmp_path):
	places = turns.Places(str(tmp_path / "turns"))
	one, two, none = (places.take("a") for _ in range(3))
	assert (one is None, two is None, none) == (False, False, None)
	assert places.take("b") is not None
	places.give_back(one)
	assert places.take("a") == one


def test_processes_share_the_places_and_leave_none_behind(tmp_path):
	path = str(tmp_path / "turns")
	places = turns.Places(path)
	with holder(path, "a") as process:
		assert process.stdout.readline() == "[True, True, False]\n"
		assert places.take("a") is None
		assert places.take("b") is not None
		process.kill()
		process.wait()
		assert places.take("a") is not None


def test_a_turn_that_is_forgotten_is_over(tmp_path):
	places = turns.Places(str(tmp_path / "turns"))
	held = [turns.Turn(places) for _ in range(2)]
	assert [turn.begin("a") for turn in held * 2] == [True] * 4  # a request needs one place of a key
	assert places.take("a") is None
	held.pop()
	assert places.take("a") is not None


def test_before_there_is_a_session_nobody_is_taken_for_the_administrator(path, monkeypatch):
	"""As frappe.session has it then, while Frappe's cache is down."""
	environ = EnvironBuilder("/api/method/" + READ, headers={"Authorization": "token a:b"}).get_environ()
	request = Request(environ)
	monkeypatch.setattr(frappe.local, "request", request, raising=False)
	assert frappe.session.user == "Administrator"
	with holder(path, "Administrator") as process:
		process.stdout.readline()
		turns.admit(request)
		turns.end()


@pytest.mark.parametrize("method", [READ, LESSON])
def test_her_third_request_is_refused_at_once_and_nobody_elses(client, learner, path, web, method):
	with holder(path, learner.user) as process:
		process.stdout.readline()
		refused = client.get(method)
		assert (refused.status_code, refused.json()["exc_type"]) == (429, "RateLimitExceeded")
		assert refused.headers["Retry-After"] == str(turns.WAIT_SECONDS)
		message(Client(web.url, make_learner().token).get(method))
	message(client.get(method))


def test_a_token_is_refused_before_frappe_checks_it(client, learner, path):
	with holder(path, learner.token) as process:
		process.stdout.readline()
		before = connections_made()
		refused = [client.get(READ) for _ in range(REFUSALS)]
		assert connections_made() - before < REFUSALS  # workers make some of their own
	assert {(r.status_code, r.json()["exc_type"]) for r in refused} == {(429, "RateLimitExceeded")}
	assert {r.headers["Retry-After"] for r in refused} == {str(turns.WAIT_SECONDS)}


def connections_made() -> int:
	return int(frappe.db.sql("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1])


def test_a_refused_submission_stores_nothing(client, learner, path):
	with holder(path, learner.user) as process, state.nothing_changes():
		process.stdout.readline()
		assert client.post(SUBMIT, responses=as_sent(answers(1))).status_code == 429


def test_the_page_is_refused_in_html(administrator, path):
	with holder(path, "Administrator") as process:
		process.stdout.readline()
		refused = administrator.request("GET", "/review", headers={"Accept": "text/html"})
	assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(turns.WAIT_SECONDS))
	assert refused.headers["Content-Type"].startswith("text/html")


def test_what_is_not_the_learners_is_not_limited(administrator, path):
	with holder(path, "Administrator") as process:
		process.stdout.readline()
		assert administrator.get("frappe.auth.get_logged_user").status_code == 200
		assert administrator.get("memora.api.utils.get_safe_mode").status_code == 200


def test_of_many_submissions_at_once_two_wait_and_the_others_are_refused(web, client, learner, player):
	"""While one of her submissions hangs, others read."""
	other = make_learner()
	make_records(other.name, 3)
	body = {"responses": as_sent(answers(1))}
	with raw_connection() as connection, connection.cursor() as cursor:
		lock = "memora:" + row_names.digest(frappe.conf.db_name, player)
		cursor.execute("SELECT GET_LOCK(%s, 0)", (lock,))
		with ThreadPoolExecutor(DEVICES) as pool:
			sent = [pool.submit(Client(web.url, learner.token).post, SUBMIT, **body) for _ in range(DEVICES)]
			wait_until(lambda: sum(r.done() for r in sent) >= DEVICES - turns.PLACES, "refusals")
			assert len(ids(message(Client(web.url, other.token).get(READ)))) == 3
			cursor.execute("SELECT RELEASE_LOCK(%s)", (lock,))
			statuses = [reply.result().status_code for reply in sent]
	assert statuses.count(429) == DEVICES - turns.PLACES
	assert set(statuses) - {429} <= {200, 503}
