"""Answers go to the server some at a time. Until then the latest one can be taken back."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.integration.browser.pupil import Pupil
from tests.integration.factories import make_questions, make_records

SUBMIT = "**/api/method/memora.api.reviews.submit_review_session"
WAITING = "Answers waiting: {}"
OPTIONS = [{"option_text": text, "is_correct": text == "right"} for text in ("wrong", "right")]


@pytest.fixture
def questions(player) -> list[str]:
	names = make_questions(12, subject="Bank Geography")
	make_records(player, question_ids=names)
	return names


@pytest.fixture
def batches(pupil) -> list[list[tuple[str, int]]]:
	"""What she sends: of each submission the questions and qualities. Time stands still for her page."""
	sent = []

	def note(route: Route) -> None:
		body = route.request.post_data_json
		sent.append([(one["question_id"], one.get("quality")) for one in body["responses"]])
		route.continue_()

	pupil.page.route(SUBMIT, note)
	pupil.page.clock.install()
	return sent


def answer(pupil: Pupil, questions: list[str], rating: str = "Good") -> None:
	for question_id in questions:
		pupil.sees(question_id)
		pupil.grade(rating)


def good(questions: list[str]) -> list[tuple[str, int]]:
	return [(question_id, 4) for question_id in questions]


def test_five_answers_are_one_submission_and_the_newest_can_wait(pupil, questions, batches):
	pupil.open()
	answer(pupil, questions[:5])
	expect(pupil.state).to_have_text(WAITING.format(5))
	assert batches == []
	answer(pupil, questions[5:6])
	expect(pupil.state).to_have_text(WAITING.format(1))
	answer(pupil, questions[6:])
	pupil.has_saved()
	assert batches == [good(questions[:5]), good(questions[5:10]), good(questions[10:])]
	assert pupil.journal() == [(question_id, "Review", 4) for question_id in questions]


def test_quiet(pupil, player, batches):
	"""On the screen between two questions ten seconds are quiet; before a question she thinks."""
	names = make_questions(2, options=OPTIONS)
	make_records(player, question_ids=names)
	pupil.open().sees(names[0])
	pupil.choices.nth(1).click()
	pupil.page.clock.run_for(9_000)
	pupil.page.mouse.wheel(0, 10)
	pupil.page.keyboard.press("Shift")
	pupil.page.clock.run_for(9_000)
	pupil.button("Next").click()
	pupil.sees(names[1])
	pupil.page.clock.run_for(59_000)
	expect(pupil.state).to_have_text(WAITING.format(1))
	assert pupil.journal() == []
	pupil.page.clock.run_for(2_000)
	expect(pupil.state).to_have_text("Saved")
	pupil.choices.nth(1).click()
	expect(pupil.state).to_have_text(WAITING.format(1))
	pupil.page.clock.run_for(11_000)
	expect(pupil.state).to_have_text("Saved")
	assert pupil.journal() == [(name, "Review", 4) for name in names]


HIDE = """() => {
	Object.defineProperty(document, "hidden", {value: true, configurable: true});
	document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_page_that_is_hidden_sends_what_it_has(pupil, questions, batches):
	pupil.open()
	answer(pupil, questions[:2])
	pupil.page.evaluate(HIDE)
	expect(pupil.state).to_have_text("Saved")
	assert batches == [good(questions[:2])]


@pytest.fixture(params=["button", "keys"])
def undo(request, pupil) -> Callable[[], None]:
	if request.param == "keys":
		return lambda: pupil.page.keyboard.press("Control+z")
	return lambda: pupil.button("Undo").click()


def test_what_is_taken_back_is_never_sent(pupil, questions, batches, undo):
	pupil.open()
	expect(pupil.button("Undo")).to_be_hidden()
	answer(pupil, questions[:1])
	answer(pupil, questions[1:2], "Again")
	pupil.sees(questions[2])
	expect(pupil.page.locator("#progress-text")).to_have_text("1 of 12")
	undo()
	expect(pupil.button("Undo")).to_be_hidden()  # the latest answer alone
	expect(pupil.page.locator("#progress-text")).to_have_text("1 of 12")
	answer(pupil, questions[1:3], "Easy")
	pupil.has_saved()
	assert batches == [[(questions[0], 4), (questions[1], 5), (questions[2], 5)]]
	assert [quality for _question, _kind, quality in pupil.journal()] == [4, 5, 5]
	answer(pupil, questions[3:])
	expect(pupil.page.locator(".counts dd")).to_have_text(["12", "12"])
	expect(pupil.button("Undo")).to_be_hidden()


def test_a_choice_is_taken_back(pupil, player, undo):
	names = make_questions(1, options=OPTIONS)
	make_records(player, question_ids=names)
	pupil.open()
	pupil.choices.nth(0).click()
	expect(pupil.page.locator(".verdict")).to_have_text("Not quite.")
	undo()
	expect(pupil.page.locator(".verdict")).to_have_count(0)
	pupil.choices.nth(1).click()
	pupil.has_saved()
	expect(pupil.button("Undo")).to_be_hidden()
	assert pupil.journal() == [(names[0], "Review", 4)]


def test_what_is_under_way_is_not_taken_back(pupil, questions):
	held: list[Route] = []
	pupil.page.route(SUBMIT, lambda route: held.append(route))
	pupil.open()
	answer(pupil, questions[:1])
	expect(pupil.button("Undo")).to_be_visible()
	with pupil.page.expect_request(SUBMIT):
		pupil.send()
	expect(pupil.button("Undo")).to_be_hidden()
	pupil.page.keyboard.press("Control+z")
	pupil.sees(questions[1])
	held[0].continue_()
	pupil.has_saved()
	assert pupil.journal() == [(questions[0], "Review", 4)]


def test_a_batch_whose_reply_is_lost_is_sent_again_as_it_was(pupil, questions):
	"""What was answered since goes with the next one."""
	sent = []

	def lose_first(route: Route) -> None:
		body = route.request.post_data_json
		sent.append((body["submission_id"], [one["question_id"] for one in body["responses"]]))
		if len(sent) > 1:
			return route.continue_()
		route.fetch()
		route.abort()

	pupil.page.route(SUBMIT, lose_first)
	pupil.open()
	answer(pupil, questions[:6])
	pupil.has_saved()
	first, again, rest = sent
	assert first == again == (first[0], questions[:5])
	assert rest[1] == questions[5:6]
	assert pupil.journal() == [(question_id, "Review", 4) for question_id in questions[:6]]


NO_VERDICTS = [
	(417, '{"exc_type": "ImportError", "exception": "fsrs"}'),
	(404, '{"exc_type": "DoesNotExistError"}'),
	(400, '{"exc_type": "UnknownArgument"}'),
	(400, '{"exc_type": "CSRFTokenError"}'),
	(502, "<html>Bad Gateway</html>"),
	(200, "<html>A page of the hotel's network</html>"),
	(200, "{}"),
	(413, "<html>Too large</html>"),
]


def test_what_is_no_verdict_leaves_answers_waiting(pupil, questions):
	said: list[tuple[int, str]] = []

	def reply(route: Route) -> None:
		if not said:
			return route.continue_()
		status, body = said[-1]
		route.fulfill(status=status, body=body)

	pupil.page.route(SUBMIT, reply)
	pupil.open()
	answer(pupil, questions[:2])
	for verdict in NO_VERDICTS:
		said.append(verdict)
		with pupil.page.expect_response(SUBMIT):
			pupil.send()
		expect(pupil.page.locator("#state")).to_have_attribute("data-state", "offline")
		expect(pupil.state).to_have_text(WAITING.format(2))
	said.clear()
	pupil.has_saved()
	expect(pupil.page.locator("#aside")).to_be_hidden()
	assert pupil.journal() == [(question_id, "Review", 4) for question_id in questions[:2]]
