"""Lessons and reviews, by touch and by keyboard, and what MariaDB holds of them afterwards."""

from datetime import timedelta

import frappe
import pytest
from playwright.sync_api import expect

from memora.services.folding import folds
from tests.integration import state
from tests.integration.factories import bank_questions, make_questions, make_records, site_now
from tests.integration.submitting import answers, submit

OPTIONS = [{"option_text": text, "is_correct": text == "right"} for text in ("one", "right", "three", "four")]


@pytest.fixture
def choice_questions(player) -> list[str]:
	names = make_questions(3, options=OPTIONS)
	make_records(player, question_ids=names)
	return names


def test_guests_are_sent_to_log_in(open_browser):
	answer = open_browser().request.get("/review", max_redirects=0)
	assert answer.status in (301, 302)
	assert answer.headers["location"] == "/login?redirect-to=/review"
	assert "no-store" in answer.headers["cache-control"]  # or the browser would go there for ever


def test_a_lesson(pupil):
	pupil.open()
	expect(pupil.title).to_have_text("All caught up!")
	expect(pupil.page.locator(".screen")).to_contain_text("Nothing to review yet.")
	pupil.button("Learn something new").click()
	first, second = bank_questions("Bank Biology")[:2]
	pupil.sees(first)
	expect(pupil.page.locator(".badge")).to_have_text("New")
	pupil.grade("Easy")
	pupil.sees(second)
	pupil.grade("Hard")
	pupil.has_saved()
	assert pupil.journal() == [(first, "Learn", 5), (second, "Learn", 3)]


def test_reviews_to_the_end(pupil, player):
	first, second, third = (record.question_id for record in make_records(player, 3, stability=20.0))
	pupil.open().sees(first)
	expect(pupil.page.locator("#progress-text")).to_have_text("0 of 3")
	pupil.grade("Good")
	pupil.sees(second)
	pupil.button("Show answer").click()
	expect(pupil.page.locator(".answer")).to_have_text(f"It is {second}.")
	expect(pupil.page.locator(".grade small")).to_have_count(4)
	pupil.page.locator(".grade", has_text="Again").click()
	pupil.sees(third)
	pupil.grade("Easy")
	pupil.sees(second)  # again, beside the schedule
	expect(pupil.page.locator(".badge")).to_have_text("Once more")
	pupil.button("Show answer").click()
	expect(pupil.page.locator(".grade")).to_have_text(["Again", "Good"])
	pupil.page.locator(".grade", has_text="Good").click()
	expect(pupil.title).to_have_text("Well done!")
	expect(pupil.page.locator(".counts dd")).to_have_text(["3", "2"])
	expect(pupil.page.locator(".screen")).to_contain_text("Next reviews:")
	pupil.has_saved()
	assert_stored(
		pupil, [(first, "Review", 4), (second, "Review", 1), (third, "Review", 5), (second, "Practice", 4)]
	)


def assert_stored(pupil, expected: list[tuple[str, str, int]]) -> None:
	"""The journal holds this, and the tracker what its reviews led to."""
	assert pupil.journal() == expected
	folds.drain(site_now())
	tracked = state.tracker(pupil.name)
	for row in state.journal(pupil.name):
		assert row.response_time_ms > 0
		assert tracked[row.question_id].reps == 2
		if row.kind == "Review":
			assert tracked[row.question_id].next_review_date == row.next_review_date_after
			assert tracked[row.question_id].last_review_date == row.reviewed_at


def test_choices(pupil, choice_questions):
	first, second, third = choice_questions
	pupil.open().sees(first)
	pupil.choices.nth(1).click()
	expect(pupil.page.locator(".verdict")).to_have_text("Right!")
	expect(pupil.page.locator("#live")).to_have_text("Right!")
	expect(pupil.choices.nth(0)).to_be_disabled()
	pupil.button("Next").click()
	pupil.sees(second)
	pupil.choices.nth(0).click()
	expect(pupil.page.locator(".verdict")).to_have_text("Not quite.")
	expect(pupil.page.locator("#live")).to_have_text("Not quite. Right answer: right")
	expect(pupil.page.locator(".choice.is-right .choice-text")).to_have_text("right")
	pupil.button("Next").click()
	pupil.sees(third)
	pupil.has_saved()
	assert pupil.journal() == [(first, "Review", 4), (second, "Review", 1)]
	assert {(row.graded_by, bool(row.chosen)) for row in state.journal(pupil.name)} == {("Server", True)}


def test_what_is_right_may_have_changed_since_the_question_was_read(pupil, choice_questions):
	question_id = choice_questions[0]
	pupil.open().sees(question_id)
	question = frappe.get_doc("Game Question", question_id)
	for option in question.options:
		option.is_correct = option.option_text == "three"
	question.save()
	frappe.db.commit()
	pupil.choices.nth(1).click()
	pupil.has_saved()
	expect(pupil.page.locator(".verdict")).to_have_text("Not quite.")
	expect(pupil.page.locator("#live")).to_have_text("Not quite. Right answer: three")
	expect(pupil.page.locator(".choice.is-right .choice-text")).to_have_text("three")
	expect(pupil.page.locator(".choice.is-wrong .choice-text")).to_have_text("right")
	expect(pupil.page.locator(".choice .icon")).to_have_count(2)
	assert pupil.journal() == [(question_id, "Review", 1)]


def test_an_answer_of_another_device_has_counted_already(pupil, player):
	first, second = (record.question_id for record in make_records(player, 2))
	pupil.open().sees(first)
	submit(player, answers(questions=[first]))
	pupil.grade("Easy")
	pupil.sees(second)
	pupil.send()
	notice = pupil.page.locator("#repeated")
	expect(notice).to_contain_text(
		"You have answered this question today already. This time counts as practice."
	)
	notice.get_by_role("button").click()
	expect(notice).to_be_hidden()
	pupil.has_saved()
	assert pupil.journal() == [(first, "Review", 4), (first, "Practice", 5)]


def test_a_question_that_was_withdrawn_meanwhile_is_named_as_not_saved(pupil, player):
	first, second = make_questions(2)
	make_records(player, question_ids=[first, second])
	pupil.open().sees(first)
	frappe.db.set_value("Game Question", first, "enabled", 0)
	frappe.db.commit()
	pupil.grade("Good")
	pupil.sees(second)
	pupil.send()
	expect(pupil.page.locator("#aside")).to_contain_text("This question has been withdrawn.")
	assert pupil.journal() == []


def test_by_keyboard_alone(pupil, player, choice_questions):
	make_records(
		player, question_ids=bank_questions()[:2], next_review_date=lambda _: site_now() - timedelta(days=9)
	)
	revealed, other = bank_questions()[:2]
	press = pupil.page.keyboard.press
	pupil.open().sees(revealed)
	press("Space")
	expect(pupil.page.locator(".grade")).to_have_count(4)
	press("2")
	pupil.sees(other)
	press("Space")
	press("ArrowRight")
	press("ArrowRight")
	expect(pupil.page.locator(".grade").nth(1)).to_be_focused()
	press("ArrowLeft")
	press("ArrowLeft")
	expect(pupil.page.locator(".grade").nth(3)).to_be_focused()
	press("Enter")
	first, second, third = choice_questions
	pupil.sees(first)
	press("Numpad2")
	expect(pupil.page.locator(".verdict")).to_have_text("Right!")
	press("Enter")
	pupil.sees(second)
	press("ArrowDown")
	press("ArrowDown")
	expect(pupil.choices.nth(1)).to_be_focused()
	press("Space")
	expect(pupil.page.locator(".verdict")).to_have_text("Right!")
	press("Space")
	pupil.sees(third)
	pupil.has_saved()
	assert pupil.journal() == [
		*((revealed, "Review", 3), (other, "Review", 5)),
		*((first, "Review", 4), (second, "Review", 4)),
	]


def test_more_than_one_sitting(pupil, player):
	names = make_questions(22, subject="Bank Geography")
	make_records(player, question_ids=names)
	requests: list[str] = []
	pupil.page.on("request", lambda request: "/assets/" in request.url or requests.append(request.url))
	pupil.open()
	for name in names[:20]:
		pupil.sees(name)
		pupil.page.keyboard.press("Space")
		pupil.page.keyboard.press("3")
	pupil.button("Go on: 2 more").click()
	pupil.sees(names[20])
	expect(pupil.page.locator("#progress-text")).to_have_text("0 of 2")
	assert len(requests) <= 8, requests


def test_one_subject(pupil, player):
	biology, geography = bank_questions("Bank Biology")[0], bank_questions()[0]
	make_records(
		player,
		question_ids=[geography, biology],
		subject=lambda index: ["Bank Geography", "Bank Biology"][index],
	)
	pupil.open().sees(geography)
	pupil.page.get_by_label("Subject").select_option("Bank Biology")
	pupil.sees(biology)
	pupil.page.reload()
	pupil.sees(biology)
	expect(pupil.page.get_by_label("Subject")).to_have_value("Bank Biology")


def test_nothing_due_tells_when_something_will_be(pupil, player):
	make_records(player, next_review_date="2027-02-03 04:00:00")
	pupil.open()
	expect(pupil.page.locator(".screen")).to_contain_text("Wednesday, February 3 at 4:00")


def test_what_is_due_tomorrow_is_said_so(pupil, player):
	tomorrow = site_now().date() + timedelta(days=1)
	make_records(player, next_review_date=f"{tomorrow} 04:00:00")
	pupil.open()
	expect(pupil.page.locator(".screen")).to_contain_text("Next reviews: tomorrow at 4:00")


def test_between_seasons(pupil, season):
	frappe.db.set_value("Game Subscription Season", season, "is_active", 0)
	frappe.db.commit()
	pupil.open()
	expect(pupil.title).to_have_text("No lessons right now")
	expect(pupil.page.locator(".screen")).to_contain_text(f"Season {season} is not open for learning.")
