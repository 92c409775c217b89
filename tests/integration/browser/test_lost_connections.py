"""Answers while something is in the way: none is lost, none counts twice."""

import json

import frappe
import pytest
from frappe.utils import add_days
from playwright.sync_api import Route, expect

from devtools import ports
from tests.integration import state
from tests.integration.browser.conftest import PASSWORD
from tests.integration.browser.pupil import Pupil
from tests.integration.client import Client
from tests.integration.factories import bank_questions, make_learner, make_records, make_season, site_now
from tests.integration.site_config import site_config

READ = "memora.api.reviews.get_review_session"
SUBMIT = "**/api/method/memora.api.reviews.submit_review_session"
WAITING = "Answers waiting: {}"


@pytest.fixture
def questions(player) -> list[str]:
	return [record.question_id for record in make_records(player, 5)]


def reviews(questions: list[str]) -> list[tuple[str, str, int]]:
	return [(question_id, "Review", 4) for question_id in questions]


def answer(pupil: Pupil, questions: list[str]) -> None:
	for question_id in questions:
		pupil.sees(question_id)
		pupil.grade("Good")


def test_the_network_goes_and_comes_back(pupil, questions):
	pupil.open()
	answer(pupil, questions[:1])
	pupil.has_saved()
	pupil.page.context.set_offline(True)
	answer(pupil, questions[1:3])
	expect(pupil.state).to_have_text(WAITING.format(2))
	pupil.page.context.set_offline(False)
	pupil.page.reload()
	pupil.sees(questions[3])
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:3])


def test_it_goes_on_by_itself(pupil, questions):
	pupil.open()
	pupil.page.context.set_offline(True)
	answer(pupil, questions)
	expect(pupil.title).to_have_text("Well done!")
	pupil.button("Go on").click()
	expect(pupil.title).to_have_text("No connection")
	assert pupil.journal() == []
	pupil.page.context.set_offline(False)
	expect(pupil.title).to_have_text("All caught up!")
	pupil.has_saved()
	assert pupil.journal() == reviews(questions)


def test_a_closed_tab(pupil, questions):
	pupil.open()
	pupil.page.route(SUBMIT, lambda route: route.abort())
	answer(pupil, questions[:2])
	expect(pupil.state).to_have_text(WAITING.format(2))
	context = pupil.page.context
	pupil.page.close()
	assert pupil.journal() == []
	again = Pupil(context.new_page(), pupil.learner).open()
	again.sees(questions[2])
	again.has_saved()
	assert pupil.journal() == reviews(questions[:2])


def test_a_server_of_the_release_before(pupil, questions):
	"""It refuses an argument that it does not know yet. The answer waits until it does."""
	pupil.open()
	refusal = {"exc_type": "UnknownArgument", "_server_messages": "[]"}
	pupil.page.route(SUBMIT, lambda route: route.fulfill(status=400, json=refusal), times=1)
	answer(pupil, questions[:1])
	pupil.sees(questions[1])
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:1])


def test_a_reply_that_is_lost(pupil, questions):
	"""The server has stored the answer, and the page does not know."""
	lost = []

	def lose(route: Route) -> None:
		if not lost:
			lost.append(route.fetch().status)
			route.abort()
		else:
			route.continue_()

	pupil.page.route(SUBMIT, lose)
	pupil.open()
	answer(pupil, questions[:2])
	pupil.has_saved()
	assert lost == [200]
	assert pupil.journal() == reviews(questions[:2])


def test_two_of_her_requests_are_still_under_way(pupil, questions):
	"""The answer is turned away for the moment: it waits, and is sent again by itself."""
	refused = []

	def refuse(route: Route) -> None:
		if len(refused) == 2:
			return route.continue_()
		refused.append(route.request.post_data_json["submission_id"])
		route.fulfill(status=429, headers={"Retry-After": "1"}, json={"exc_type": "RateLimitExceeded"})

	pupil.page.route(SUBMIT, refuse)
	pupil.open()
	answer(pupil, questions[:2])
	expect(pupil.state).to_have_text(WAITING.format(2))
	pupil.has_saved()
	assert len(refused) == 2
	assert len(set(refused)) == 1
	expect(pupil.page.locator("#aside")).to_be_hidden()
	assert pupil.journal() == reviews(questions[:2])


def test_a_session_that_was_read_before_the_answer_was_stored(pupil, questions):
	"""A page is loaded while the page before it still sends."""
	pupil.open()
	before = pupil.page.request.get(f"/api/method/{READ}?preview=1").text()
	assert questions[0] in before
	answer(pupil, questions[:1])
	pupil.has_saved()
	pupil.page.route(f"**/api/method/{READ}?**", lambda route: route.fulfill(body=before))
	pupil.page.get_by_label("Subject").select_option("Bank Geography")
	expect(pupil.page.locator("#progress-text")).to_have_text("0 of 4")
	pupil.sees(questions[1])


ONE_WAITS_FOR_THE_OTHER = """async () => {
	const { held, pending } = await navigator.locks.query();
	return held.length === 1 && pending.length === 1 && held[0].name === pending[0].name;
}"""


def test_of_two_tabs_one_sends(pupil, questions):
	context = pupil.page.context
	pupil.open()
	other = Pupil(context.new_page(), pupil.learner).open()
	other.sees(questions[0])
	pupil.page.bring_to_front()  # Chromium hardly draws a page behind
	context.set_offline(True)
	answer(pupil, questions[:2])
	expect(other.state).to_have_text(WAITING.format(2))
	held: list[Route] = []
	is_released = False
	context.route(SUBMIT, lambda route: route.continue_() if is_released else held.append(route))
	context.set_offline(False)
	pupil.page.wait_for_function(ONE_WAITS_FOR_THE_OTHER)
	assert len(held) == 1
	is_released = True
	held[0].continue_()
	for tab in (pupil, other):
		expect(tab.state).to_have_text("Saved")
	# one that has not heard yet what the other has sent may send it again: it counts once
	assert pupil.journal() == reviews(questions[:2])
	other.page.bring_to_front()
	other.grade("Good")  # what it has shown all along; the one behind that was answered in the first tab
	other.sees(questions[2])


def test_signed_out_meanwhile(pupil, questions):
	pupil.open()
	pupil.page.context.clear_cookies()
	answer(pupil, questions[:1])
	pupil.send()
	notice = pupil.page.locator("#sign-in")
	expect(notice).to_contain_text("Sign in to save your answers.")
	expect(pupil.state).to_have_text(WAITING.format(1))
	expect(notice.get_by_role("link")).to_have_attribute("href", "/login?redirect-to=/review")
	pupil.sign_in(PASSWORD)
	pupil.open().sees(questions[1])
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:1])


def test_a_token_that_is_no_longer_valid_is_renewed(pupil, questions, web):
	pupil.open()
	pupil.sign_in(PASSWORD)
	Pupil(pupil.page.context.new_page(), pupil.learner).open()  # makes the new session's token
	refused = Client(web.url)
	refused.session.cookies.update({c["name"]: c["value"] for c in pupil.page.context.cookies()})
	assert refused.post("memora.api.reviews.submit_review_session").json()["exc_type"] == "CSRFTokenError"
	answer(pupil, questions[:1])
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:1])


def test_another_learner_signs_in(pupil, questions):
	"""The first one's page is still open: her answers are not the other's."""
	pupil.open()
	other = make_learner()
	frappe.utils.password.update_password(other.user, PASSWORD)
	frappe.db.commit()
	Pupil(pupil.page, other).sign_in(PASSWORD)
	answer(pupil, questions[:1])
	pupil.send()
	expect(pupil.page.locator("#sign-in")).to_contain_text("Sign in to save your answers.")
	pupil.open()
	expect(pupil.title).to_have_text("All caught up!")  # the other's page
	pupil.has_saved()
	assert state.journal(other.name) == pupil.journal() == []
	pupil.sign_in(PASSWORD)
	pupil.open().sees(questions[1])
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:1])


def keep(pupil: Pupil, season: str, submission_id: str, owner: str = "", **answer: object) -> None:
	"""Puts an answer among those that wait, as a page of another time may have left it."""
	entry = {"question_id": bank_questions()[0], "quality": 4, "at": 1, "serial": 0}
	values = json.dumps({**entry, "season": season, "submission_id": submission_id, **answer})
	key = ":".join(["memora", "answer", owner or pupil.name, season, submission_id])
	pupil.page.evaluate("([key, values]) => localStorage.setItem(key, values)", [key, values])


def test_what_was_kept_under_her_address_before_there_were_ids_is_saved(pupil, questions, season):
	pupil.open().sees(questions[0])
	keep(pupil, season, "s-before", pupil.learner.user.replace("@", "%40"), question_id=questions[1])
	pupil.open()
	expect(pupil.state).to_have_text("Saved")
	assert pupil.journal() == [(questions[1], "Review", 4)]
	assert pupil.learner.user.split("@")[0] not in str(
		pupil.page.evaluate("() => Object.entries(localStorage)")
	)


def test_what_can_not_be_accepted_stands_in_nobodys_way(pupil, questions, season):
	pupil.open().sees(questions[0])
	keep(pupil, season, "s-bad", quality=9)
	keep(pupil, season, "s-unknown", question_id="no-such-question", at=2)
	keep(pupil, season, "s-used", question_id=questions[4], at=3)
	pupil.page.reload()
	expect(pupil.page.locator("#aside")).to_contain_text("Answers that could not be saved: 2.")
	pupil.has_saved()
	pupil.page.evaluate("localStorage.clear()")
	keep(pupil, season, "s-used", question_id=questions[3])
	keep(pupil, "SEASON-1999", "s-old", at=2)
	pupil.page.reload()
	notice = pupil.page.locator("#aside")
	expect(notice).to_contain_text("Answers that could not be saved: 2.")
	expect(notice).to_contain_text("s-used was stored before")
	expect(notice).to_contain_text("The season they belong to is over.")
	answer(pupil, questions[:1])
	pupil.has_saved()
	assert pupil.journal() == reviews([questions[4], questions[0]])
	notice.get_by_role("button").click()
	expect(notice).to_be_hidden()
	pupil.page.reload()
	pupil.sees(questions[1])
	expect(notice).to_be_hidden()


def test_one_answer_that_can_not_be_read_keeps_no_other_of_its_batch(pupil, questions, season):
	pupil.open().sees(questions[0])
	for place, quality in enumerate((4, 9, 4)):
		keep(pupil, season, f"s-{place}", question_id=questions[place], quality=quality, at=place, batch="")
	pupil.page.reload()
	expect(pupil.page.locator("#aside")).to_contain_text("Answers that could not be saved: 1.")
	pupil.has_saved()
	assert pupil.journal() == reviews([questions[0], questions[2]])


def test_the_season_ends_under_the_learner(pupil, questions, season):
	"""What she answers in a sitting that began before counts where the sitting began."""
	pupil.open()
	set_active(season, 0)
	answer(pupil, questions[:2])
	pupil.has_saved()
	pupil.page.reload()
	expect(pupil.title).to_have_text("No lessons right now")
	assert pupil.journal() == reviews(questions[:2])


def test_answers_from_before_the_season_changed_count_where_they_were_given(pupil, questions, season):
	pupil.open()
	pupil.page.context.set_offline(True)
	answer(pupil, questions[:2])
	expect(pupil.state).to_have_text(WAITING.format(2))
	following = make_season().name
	set_active(season, 0)
	set_active(following, 1)
	pupil.page.context.set_offline(False)
	pupil.page.reload()
	expect(pupil.title).to_have_text("All caught up!")
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:2])
	assert {row.season for row in state.rows("Player Review Log")} == {season}
	pupil.button("Learn something new").click()
	pupil.has_saved()
	expect(pupil.page.locator("#aside")).to_be_hidden()


def test_answers_that_come_after_the_time_of_grace_are_set_aside(pupil, questions, season):
	pupil.open().sees(questions[0])
	keep(pupil, season, "s-late", question_id=questions[1])
	following = make_season().name
	set_active(season, 0)
	set_active(following, 1)
	frappe.db.set_value("Game Subscription Season", season, "closed_at", add_days(site_now(), -15))
	frappe.db.commit()
	pupil.page.reload()
	notice = pupil.page.locator("#aside")
	expect(notice).to_contain_text("Answers that could not be saved: 1.")
	expect(notice).to_contain_text(f"Season {season} was closed on")
	pupil.has_saved()
	assert pupil.journal() == []


def set_active(season: str, is_active: int) -> None:
	frappe.get_doc("Game Subscription Season", season).update({"is_active": is_active}).save()
	frappe.db.commit()


def test_safe_mode_counts_down_and_goes_on(pupil, questions):
	"""Redis is not there, and the learner reloads; by the time the countdown ends it is back."""
	pupil.page.clock.install()
	with site_config(srs_redis_cache=f"redis://127.0.0.1:{ports.any_free()}/0"):
		pupil.open().sees(questions[0])
		expect(pupil.page.locator("#degraded")).to_be_visible()
		pupil.page.reload()
		expect(pupil.title).to_have_text("A short break")
		assert 25 <= int(pupil.page.locator(".countdown").inner_text()) <= 30
	pupil.page.clock.run_for(31_000)
	answer(pupil, questions[:1])
	expect(pupil.page.locator("#degraded")).to_be_hidden()
	pupil.has_saved()
	assert pupil.journal() == reviews(questions[:1])
