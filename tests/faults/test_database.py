"""MariaDB is down, dies in the middle of a request, takes no writes, or has no room.

Learners are told to come back, nothing that was acknowledged is lost, and no submission is parked for it.
"""

import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import frappe
import pytest
import requests

from memora.api import reviews, sessions
from memora.services.store import failures, row_names
from tests.faults.classroom import API
from tests.faults.conftest import ACTIVATE_SQL
from tests.faults.stage import Stage, children
from tests.integration.connections import connect
from tests.integration.waiting import wait_until

ENDPOINTS = {
	f"/api/method/{module.__name__}.{name}": frappe.allowed_http_methods_for_whitelisted_func[endpoint]
	for module in (reviews, sessions)
	for name, endpoint in vars(module).items()
	if endpoint in list(frappe.whitelisted) and endpoint.__module__ == module.__name__
}
READ, SUBMIT = API + "get_review_session", API + "submit_review_session"
SUBMIT_LESSON = "/api/method/memora.api.sessions.submit_lesson_session"
SECONDS = 20  # a client's patience, longer than any limit of ours
STATEMENTS_SQL = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE %s"
STORED_SQL = "SELECT COUNT(*) FROM `tabPlayer Review Log` WHERE submission_id = %s"
WAITING_SQL = "SELECT COUNT(*), COUNT(parked_at) FROM `tabReview Outbox`"
SEEN_SQL = """
	SELECT COUNT(*) FROM `tabPlayer Memory Tracker` t JOIN `tabPlayer Review Log` l
	ON t.player = l.player AND t.season = l.season AND t.question_id = l.question_id
	AND t.last_review_date = l.reviewed_at WHERE l.submission_id = %s"""
FULL_FILE_BYTES = 72 * 1024**2  # more than any other file of the fault bench's MariaDB: its log has 64 MB
FILL_SQL = """
	INSERT INTO `tab{doctype}` (name, _liked_by, _comments)
	SELECT MD5(UUID()), 'filler', REPEAT('x', {size}) FROM seq_1_to_{rows}"""
EMPTY_SQL = "DELETE FROM `tab{doctype}` WHERE _liked_by = 'filler'"
FULL_PAGES = 100  # without room for a row, hit one after the other at random: then hardly a page has room
PAGEFUL_BYTES = 7000  # two of them fill a page of InnoDB
PAGE_ROWS = 100  # more rows of submissions than one page has place for
TABLE_FULL = 1114
_serial, _questions = count(1), count()


@pytest.fixture(scope="module")
def season(stage) -> str:
	name = stage.furniture["seasons"].pop()
	stage.sql(ACTIVATE_SQL, name)
	return name


class Client:
	"""A learner's, by token or by cookie."""

	def __init__(self, stage: Stage, name: str, token: str = "", password: str = "") -> None:
		self.url, self.name, self.session = stage.web.url, name, requests.Session()
		self.session.trust_env = False
		self.session.headers["Connection"] = (
			"close"  # MariaDB may die after a reply, in the rest of the request
		)
		if token:
			self.session.headers["Authorization"] = token
		else:
			self.request("POST", "/api/method/login", {"usr": name, "pwd": password}).raise_for_status()

	def request(
		self, verb: str, path: str, body: dict[str, Any] | None = None, **headers: str
	) -> requests.Response:
		return self.session.request(verb, self.url + path, json=body, headers=headers, timeout=SECONDS)

	def submit(self, submission: str, question: str, path: str = SUBMIT) -> requests.Response:
		responses = [{"question_id": question, "quality": 4}]
		return self.request("POST", path, {"submission_id": submission, "responses": responses})


@pytest.fixture
def client(stage, season) -> Client:
	name, token = next(iter(stage.furniture["learners"].items()))
	return Client(stage, name, token=token)


@pytest.fixture
def submission() -> str:
	return f"database-{next(_serial)}"


@pytest.fixture
def question(stage) -> str:
	"""One that no other test answers: of all answers to a question on one day the first one counts."""
	return stage.furniture["questions"][next(_questions)]


def refused(response: requests.Response, name: str) -> None:
	assert response.status_code == 503, response.text
	assert int(response.headers["Retry-After"]) > 0
	assert response.json()["exc_type"] == name


@contextmanager
def down(stage: Stage) -> Iterator[None]:
	stage.kill("mariadb")
	try:
		yield
	finally:
		stage.start("mariadb")


# Down


def test_every_endpoint_asks_the_learner_to_come_back(stage, client):
	name, password = stage.furniture["by_password"]
	clients = client, Client(stage, name, password=password)
	for each in clients:
		assert (
			each.request("GET", READ).status_code == 200
		)  # Frappe keeps her session and its own things in the cache
	assert len(ENDPOINTS) == 6
	with down(stage):
		for each in clients:
			for path, methods in ENDPOINTS.items():
				for method in methods:
					refused(each.request(method, path), "DatabaseUnavailable")
	assert [each.request("GET", READ).status_code for each in clients] == [200, 200]


def test_a_client_that_prefers_html_gets_a_page(stage, client):
	assert client.request("GET", READ).status_code == 200
	with down(stage):
		response = client.request("GET", READ, Accept="text/html")
	assert (response.status_code, response.headers["Content-Type"][:9]) == (503, "text/html")
	assert int(response.headers["Retry-After"]) > 0


# In the middle of a request


@contextmanager
def raw(stage: Stage) -> Iterator[Any]:
	config = frappe.get_file_json(str(stage.bench.site(stage.site) / "site_config.json"))
	connection = connect(
		unix_socket=str(stage.bench.socket()),
		user=config["db_name"],
		password=config["db_password"],
		database=config["db_name"],
	)
	with connection.cursor() as cursor:
		cursor.execute("SELECT DATABASE()")
		cursor.fetchall()
		yield cursor


def killed_while(stage: Stage, state: str, request: Callable[[], requests.Response]) -> requests.Response:
	"""The reply to a request during which MariaDB dies, while a statement of the request is in a state."""
	with ThreadPoolExecutor(1) as pool:
		reply = pool.submit(request)
		wait_until(lambda: stage.sql(STATEMENTS_SQL, state)[0][0], f"a statement in the state {state}")
		with down(stage):
			return reply.result(SECONDS)


@pytest.mark.parametrize("path", [SUBMIT, SUBMIT_LESSON], ids=["review", "lesson"])
def test_a_submission_during_which_it_dies_is_not_stored(stage, client, submission, question, path):
	with raw(stage) as cursor:
		cursor.execute("SELECT DATABASE()")
		((database,),) = cursor.fetchall()
		cursor.execute("SELECT GET_LOCK(%s, 0)", ("memora:" + row_names.digest(database, client.name),))
		response = killed_while(stage, "User lock", lambda: client.submit(submission, question, path))
		refused(response, "JournalUnavailable")
	assert stage.sql(STORED_SQL, submission) == [(0,)]
	assert client.submit(submission, question).json()["message"]["status"] == "success"
	assert client.submit(submission, question).json()["message"]["status"] == "already_processed"
	assert stage.sql(STORED_SQL, submission) == [(1,)]


def test_a_read_during_which_it_dies(stage, client):
	assert client.request("GET", READ).status_code == 200
	with raw(stage) as cursor:
		cursor.execute("LOCK TABLES `tabPlayer Memory Tracker` WRITE")
		state = "Waiting for table metadata lock"
		refused(killed_while(stage, state, lambda: client.request("GET", READ)), "DatabaseUnavailable")
	assert client.request("GET", READ).status_code == 200


# It answers, and can't write


@pytest.fixture
def no_worker(stage) -> Iterator[None]:
	stage.ensure_worker()
	wait_until(lambda: not children(stage.worker.pid), "an idle worker")
	stage.kill_worker()
	stage.bench_command("memora", "drain")  # what a job left that met a MariaDB that was down
	yield
	stage.ensure_worker()
	stage.bench_command("memora", "drain")


@contextmanager
def read_only(stage: Stage) -> Iterator[None]:
	stage.as_root("SET GLOBAL read_only = 1")
	try:
		yield
	finally:
		stage.as_root("SET GLOBAL read_only = 0")


def no_fold(stage: Stage, reason: str) -> None:
	"""A drain fails for a reason, and parks nothing."""
	before = stage.sql(WAITING_SQL)
	assert before[0][0] > 0
	with pytest.raises(AssertionError, match=reason):
		stage.bench_command("memora", "drain")
	assert stage.sql(WAITING_SQL) == before


def folded(stage: Stage, submission: str) -> bool:
	stage.bench_command("memora", "drain")
	return stage.sql(WAITING_SQL) == [(0, 0)] and stage.sql(SEEN_SQL, submission) == [(1,)]


def test_a_server_that_is_read_only(stage, client, submission, question, no_worker):
	waits = f"{submission}-waits"
	assert client.submit(waits, question).status_code == 200
	with read_only(stage):
		refused(client.submit(submission, question), "JournalUnavailable")
		assert client.request("GET", READ).status_code == 200
		no_fold(stage, "1290")
	assert stage.sql(STORED_SQL, submission) == [(0,)]
	assert folded(stage, waits)
	assert client.submit(submission, question).json()["message"]["status"] == "success"


@contextmanager
def full(stage: Stage, doctype: str) -> Iterator[None]:
	"""A table's file may not grow, by a limit of the system's, and hardly any of its pages has a place for one more row."""
	pid, file = stage.servers["mariadb"].pid, f"tab{doctype.replace(' ', '@0020')}.ibd"
	(path,) = stage.bench.mariadb_data.glob(f"*/{file}")
	before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
	try:
		while path.stat().st_size < FULL_FILE_BYTES:
			stage.sql(FILL_SQL.format(doctype=doctype, size=PAGEFUL_BYTES, rows=2000))
		resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
		for size in (PAGEFUL_BYTES, 500, 1):
			fill_up(stage, FILL_SQL.format(doctype=doctype, size=size, rows=1))
		yield
	finally:
		resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
		stage.sql(EMPTY_SQL.format(doctype=doctype))


def fill_up(stage: Stage, statement: str) -> None:
	"""Inserts row after row, each by a statement of its own: InnoDB can't roll back many without any room."""
	with raw(stage) as cursor:
		refused_in_a_row = 0
		while refused_in_a_row < FULL_PAGES:
			try:
				cursor.execute(statement)
				refused_in_a_row = 0
			except failures.ERRORS as error:
				assert failures.number_of(error) == TABLE_FULL, error
				refused_in_a_row += 1
		cursor.execute("COMMIT")


def test_no_room_for_a_submission(stage, client, submission, question, no_worker):
	with full(stage, "Review Outbox"):
		for last in (f"{submission}-{n}" for n in range(PAGE_ROWS)):
			response = client.submit(last, question)
			if response.status_code != 200:
				break  # until then her rows, which are neighbours, took the last places of their page
		refused(response, "JournalUnavailable")
		assert client.request("GET", READ).status_code == 200
	assert stage.sql(STORED_SQL, last) == [(0,)]
	assert client.submit(last, question).json()["message"]["status"] == "success"


def test_no_room_for_a_fold(stage, client, submission, question, no_worker):
	with full(stage, "Activity Count"):
		for last in (f"{submission}-{n}" for n in range(5)):
			assert client.submit(last, question).status_code == 200
			with suppress(pytest.fail.Exception):  # the fold's row has found a last place
				no_fold(stage, str(TABLE_FULL))
				break
		else:
			pytest.fail("each fold has found room")
	assert folded(stage, last)
