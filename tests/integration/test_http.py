"""The endpoints as an app on a learner's phone meets them: gunicorn, tokens, cookies, JSON."""

import json
import re
from datetime import datetime, timedelta

import frappe
import pytest
import requests
from frappe.desk.doctype.notification_settings.notification_settings import create_notification_settings
from frappe.utils.password import update_password

from devtools import ports
from memora.services.folding.folds import fold
from memora.services.srs_redis_manager import SRSRedisManager
from memora.services.store import row_names
from tests.frappe_versions import DESK
from tests.integration import state
from tests.integration.client import Client, message
from tests.integration.connections import raw_connection
from tests.integration.factories import bank_questions, make_learner, make_records, make_topic, site_now
from tests.integration.site_config import site_config
from tests.integration.submitting import answers, as_sent, ids
from tests.integration.waiting import wait_until

READ = "memora.api.reviews.get_review_session"
CSP = "Content-Security-Policy"
SUBMIT = "memora.api.reviews.submit_review_session"
LESSON = "memora.api.sessions.get_lesson_session"
SUBMIT_LESSON = "memora.api.sessions.submit_lesson_session"

SEASON = "Game Subscription Season"
PASSWORD = "correct horse battery staple"

FIRST, SECOND = bank_questions()[:2]
GOOD = {"question_id": FIRST, "quality": 4}


def refused(response, status: int, exception: str, *named: str) -> None:
	assert response.status_code == status, response.text
	assert response.json()["exc_type"] == exception
	for part in named:
		assert part in response.text


def advance(player: str, days: int) -> None:
	"""Makes a learner's schedule so many days older."""
	step = timedelta(days=days)
	frappe.db.sql(
		"""UPDATE `tabPlayer Memory Tracker` SET next_review_date = next_review_date - INTERVAL %s SECOND,
		last_review_date = last_review_date - INTERVAL %s SECOND WHERE player = %s""",
		(step.total_seconds(), step.total_seconds(), player),
	)
	frappe.db.commit()
	SRSRedisManager().clear_user_cache(player, frappe.db.get_value(SEASON, {"is_active": 1}))


# Who may


@pytest.mark.parametrize("method", [READ, LESSON])
def test_guests_may_not_read(guest, method):
	with state.nothing_changes():
		refused(guest.get(method), 403, "PermissionError")
		refused(guest.post(method), 403, "PermissionError")


@pytest.mark.parametrize("method", [SUBMIT, SUBMIT_LESSON])
def test_guests_may_not_answer(guest, method):
	with state.nothing_changes():
		refused(guest.post(method, responses=[GOOD]), 403, "PermissionError")
		assert guest.get(method, responses=json.dumps([GOOD])).status_code == 403


@pytest.mark.parametrize("method", [SUBMIT, SUBMIT_LESSON])
def test_answers_are_not_taken_by_get(client, method):
	with state.nothing_changes():
		response = client.get(method, responses=json.dumps([GOOD]))
		assert response.status_code == 403


@pytest.mark.parametrize("token", ["token wrong:wrong", "token nonsense", "Bearer x"])
def test_a_wrong_token_is_not_let_in(web, token):
	with state.nothing_changes():
		response = Client(web.url, token).post(SUBMIT, responses=[GOOD])
		assert response.status_code in (401, 403)


def test_a_learner_reads_her_own_questions_whatever_she_asks_for(client, player):
	other = make_learner().name
	make_records(other, 3)
	make_records(player, question_ids=bank_questions()[5:6])
	for extra in ({"user": other}, {"player": other}, {"season": "x"}):
		refused(client.get(READ, **extra), 400, "UnknownArgument", *extra)
	assert ids(message(client.get(READ))) == bank_questions()[5:6]


def test_a_learner_answers_for_herself_alone(client, player):
	other = make_learner().name
	make_records(other, 1)
	before = state.tracker(other)
	refused(client.post(SUBMIT, responses=[GOOD], user=other, player=other), 400, "UnknownArgument")
	message(client.post(SUBMIT, responses=[GOOD]))
	assert [row.player for row in state.rows("Player Review Log")] == [player]
	assert state.tracker(other) == before


# The loop


def test_from_the_first_lesson_to_the_second_review_by_token(client, player, season):
	lesson = message(client.get(LESSON, subject="Bank Geography", limit=3))
	assert ids(lesson) == bank_questions()[:3]
	learnt = message(client.post(SUBMIT_LESSON, responses=as_sent(answers(3)), submission_id="lesson-1"))
	assert (learnt["status"], learnt["processed"]) == ("success", 3)
	assert ids(message(client.get(READ))) == []
	assert ids(message(client.get(LESSON, subject="Bank Geography", limit=1))) == bank_questions()[3:4]
	fold_all(player)
	advance(player, days=5)
	due = message(client.get(READ, limit="2"))
	assert set(ids(due)) < set(bank_questions()[:3])
	assert (due["total_due"], due["is_degraded"], due["season"]) == (3, False, season)
	reviewed = message(
		client.post(SUBMIT, responses=[{"question_id": q, "is_correct": True} for q in ids(due)])
	)
	assert reviewed["processed"] == 2
	assert message(client.get(READ))["total_due"] == 1
	assert {row.kind for row in state.journal(player)} == {"Learn", "Review"}
	assert state.cached(player, season) == state.scores(player, season)


def fold_all(player: str) -> None:
	for row in state.outbox(player):
		fold(row.name)


def test_with_cookie_and_csrf_token(web):
	"""A desk user's page carries the token; from then on the session's requests must, too."""
	learner = make_learner(roles=["Memora Manager"])
	create_notification_settings(learner.user)
	update_password(learner.user, PASSWORD)
	frappe.db.commit()
	browser = Client(web.url)
	login = browser.request("POST", "/api/method/login", data={"usr": learner.user, "pwd": PASSWORD})
	assert login.status_code == 200, login.text
	assert message(browser.get(READ))["total_due"] == 0
	page = browser.request("GET", DESK)
	(csrf_token,) = re.findall(r'frappe\.csrf_token = "(\w+)"', page.text)
	with state.nothing_changes():
		refused(browser.post(SUBMIT, responses=[GOOD]), 400, "CSRFTokenError")
	browser.session.headers["X-Frappe-CSRF-Token"] = csrf_token
	assert message(browser.post(SUBMIT, responses=[GOOD]))["processed"] == 1
	assert [row.player for row in state.rows("Player Review Log")] == [learner.name]


def test_with_a_learners_cookie(web, learner):
	update_password(learner.user, PASSWORD)
	frappe.db.commit()
	browser = Client(web.url)
	browser.request("POST", "/api/method/login", data={"usr": learner.user, "pwd": PASSWORD})
	assert message(browser.post(SUBMIT, responses=[GOOD]))["processed"] == 1
	assert [row.player for row in state.rows("Player Review Log")] == [learner.name]


def test_arguments_as_a_form(client, player):
	data = {"responses": json.dumps([GOOD]), "submission_id": "form"}
	response = client.request("POST", f"/api/method/{SUBMIT}", data=data)
	assert message(response)["submission_id"] == "form"
	assert len(state.journal(player)) == 1


def test_reading_by_post(client, player):
	make_records(player, 3)
	assert len(ids(message(client.post(READ, limit=2)))) == 2
	assert ids(message(client.post(LESSON, limit=1))) == bank_questions("Bank Biology")[:1]


def test_a_partly_rejected_submission(client, player):
	result = message(client.post(SUBMIT, responses=[GOOD, {"question_id": "no-such", "quality": 4}]))
	assert result["processed"] == 1
	assert [r["question_id"] for r in result["rejected"]] == ["no-such"]
	assert [row.question_id for row in state.journal(player)] == [FIRST]


def test_a_repeat(client, player):
	first = message(client.post(SUBMIT, responses=[GOOD], submission_id="s-1"))
	again = message(client.post(SUBMIT, responses=[GOOD], submission_id="s-1"))
	assert (first["status"], again["status"]) == ("success", "already_processed")
	assert again["schedule"] == first["schedule"]
	assert len(state.journal(player)) == 1


# Named errors


@pytest.mark.parametrize("method", [READ, LESSON])
@pytest.mark.parametrize("limit", [0, 51, -1, "abc", ""])
@pytest.mark.parametrize("verb", ["get", "post"])
def test_a_limit_outside_1_to_50(client, method, limit, verb):
	with state.nothing_changes():
		refused(getattr(client, verb)(method, limit=limit), 400, "InvalidLimit", "limit", "50")


@pytest.mark.parametrize(("method", "argument"), [(READ, "subject"), (LESSON, "subject"), (LESSON, "topic")])
def test_a_subject_or_topic_that_is_no_unicode(client, method, argument):
	assert client.post(method, **{argument: "\ud800"}).status_code == 400


def test_no_arguments_at_all(client):
	with state.nothing_changes():
		refused(client.post(SUBMIT), 400, "InvalidResponses", "responses")


NO_IDS = [
	"a<img src=x onerror=alert(1)>",
	'=HYPERLINK("https://evil.example")',
	"+1",
	"-1",
	"@SUM(A1)",
	"\t=1",
	"a b",
	"a\n",
	"a\u202e",
	"ä",
]


@pytest.mark.parametrize("submission_id", ["", "x" * 65, 5, ["s"], *NO_IDS])
def test_a_malformed_submission_id(client, submission_id):
	with state.nothing_changes():
		response = client.post(SUBMIT, responses=[GOOD], submission_id=submission_id)
		refused(response, 400, "InvalidSubmissionId", "submission_id")


@pytest.mark.parametrize("question_id", [*NO_IDS[:6], "a\n", "a b"])
def test_a_question_id_that_is_none(client, question_id):
	"""Nothing of it comes back as markup."""
	with state.nothing_changes():
		response = client.post(SUBMIT, responses=[{"question_id": question_id, "quality": 4}])
		refused(response, 400, "InvalidResponses", "question_id")
	(shown,) = json.loads(response.json()["_server_messages"])
	assert "<img" not in json.loads(shown)["message"]


def test_a_question_that_is_named_freely_is_answered(client):
	"""It is older than the rule."""
	topic = make_topic("Subject", "Topic")
	values = {"doctype": "Game Question", "topic": topic, "question": "?", "answer": "!", "enabled": 1}
	name = "Question 1 (it's old) / \u0633\u0624\u0627\u0644"
	doc = frappe.get_doc(values)
	doc.name = name
	doc.db_insert()
	frappe.db.commit()
	reply = message(client.post(SUBMIT_LESSON, responses=[{"question_id": name, "quality": 4}]))
	assert (reply["processed"], reply["rejected"]) == (1, [])


def test_an_id_that_was_used_for_other_answers(client):
	message(client.post(SUBMIT, responses=[GOOD], submission_id="s-1"))
	with state.nothing_changes():
		response = client.post(SUBMIT, responses=[{**GOOD, "quality": 1}], submission_id="s-1")
		refused(response, 409, "SubmissionConflict", "s-1", FIRST)


def test_no_active_season(client, season):
	frappe.db.set_value(SEASON, season, {"is_active": 0, "archived_at": frappe.utils.now()})
	frappe.db.commit()
	explained = f"Season {season} is over, and its records are archived."
	with state.nothing_changes():
		for method in (SUBMIT, SUBMIT_LESSON):
			refused(client.post(method, responses=[GOOD]), 409, "NoActiveSeason", explained)
		for method in (READ, LESSON):
			session = message(client.get(method))
			assert (session["questions"], session["season"]) == ([], None)
			assert session["message"] == explained


@pytest.mark.slow
def test_answers_that_can_not_be_saved_now_may_be_sent_again(client, player):
	name = "memora:" + row_names.digest(frappe.conf.db_name, player)
	with raw_connection() as connection, connection.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
		with state.nothing_changes():
			response = client.post(SUBMIT, responses=[GOOD])
			refused(response, 503, "JournalUnavailable")
	assert int(response.headers["Retry-After"]) > 0
	assert message(client.post(SUBMIT, responses=[GOOD]))["processed"] == 1


def test_an_error_says_what_would_be_right(client):
	response = client.post(SUBMIT, responses=[GOOD, {"question_id": SECOND, "quality": 7}])
	(text,) = (json.loads(m)["message"] for m in json.loads(response.json()["_server_messages"]))
	assert text == "responses, item 1, quality: must be a whole number from 0 to 5, not 7."


# Without Redis


def test_without_redis_learners_go_on(client, player, season):
	make_records(player, 3)
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		session = message(client.get(READ))
		assert (ids(session), session["is_degraded"]) == (bank_questions()[:3], True)
		assert session["questions"][0]["question"] == f"<p>What is {FIRST}?</p>"
		assert message(client.post(SUBMIT, responses=[GOOD]))["is_degraded"] is True
		assert [row.question_id for row in state.journal(player)] == [FIRST]
	assert state.cached(player, season) == {}


def test_what_a_read_returns_is_in_site_time(client, player):
	due = site_now().replace(microsecond=0) - timedelta(minutes=5)
	make_records(player, next_review_date=due)
	(question,) = message(client.get(READ))["questions"]
	assert datetime.fromisoformat(question["next_review_date"]) == due


def test_the_learners_page_tells_the_browser_exactly_what_may_run(client):
	frappe.get_single("Memora Settings").update({"media_hosts": "b.example\na.example"}).save()
	frappe.db.commit()

	def page() -> requests.Response:
		return client.session.get(client.url + "/review", timeout=30)

	# each process reads the settings again after some seconds
	wait_until(lambda: all("a.example" in page().headers[CSP] for _ in range(8)), "the new hosts")
	first, second = page(), page()
	(nonce,) = set(re.findall(r'nonce="([^"]*)"', first.text))
	files, icon = "127.0.0.1:*/files/", "127.0.0.1:*/assets/memora/images/review.svg"
	hosts = "https://a.example https://b.example"
	expected = (
		f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
		f"img-src {files} {icon} {hosts}; media-src {files} {hosts}; connect-src 'self'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
	)
	shown = (CSP, "Cache-Control", "Referrer-Policy", "X-Content-Type-Options")
	assert [first.headers[name] for name in shown] == [expected, "no-store", "same-origin", "nosniff"]
	assert len(nonce) >= 16 and nonce not in second.text
