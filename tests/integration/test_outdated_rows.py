"""What store/outdated_schedules notes of a schedule, and forgets, beside the notes of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import frappe
import pytest

from memora.services.store import failures, outdated_schedules, row_names
from memora.services.store.outdated_schedules import OutdatedSchedule
from tests.integration import state
from tests.integration.connections import raw_connection
from tests.integration.factories import learner_id

HER, OTHER = learner_id("her"), learner_id("somebody else")
AT = datetime(2026, 3, 2, 9)
LATER = AT + timedelta(minutes=1)

Schedule = tuple[str, str]  # learner and season


def notes() -> dict[Schedule, OutdatedSchedule]:
	frappe.db.rollback()
	return {(note.learner, note.season): note for note in outdated_schedules.get_page("")}


def note(schedules: dict[Schedule, dict[str, float]], now: datetime = AT) -> None:
	outdated_schedules.note_unseen(schedules, now)
	frappe.db.commit()


@pytest.fixture
def three(site) -> dict[Schedule, OutdatedSchedule]:
	"""Notes of two learners and two seasons, made at once."""
	note({(HER, "a"): {"q1": 1.5}, (HER, "b"): {"q1": 2.5}, (OTHER, "a"): {"q1": 3.5}})
	return notes()


def test_a_note_is_of_one_learner_and_one_season(three):
	for (learner, season), found in three.items():
		assert found.name == row_names.schedule_name(learner, season)
		assert outdated_schedules.get_token(learner, season) == found.token
		assert outdated_schedules.get_dates(learner, season) == found.dates
	assert {of: found.dates for of, found in three.items()} == {
		(HER, "a"): {"q1": 1.5},
		(HER, "b"): {"q1": 2.5},
		(OTHER, "a"): {"q1": 3.5},
	}
	assert outdated_schedules.get_token(OTHER, "b") == ""
	assert outdated_schedules.get_dates(OTHER, "b") is None
	assert {(row.creation, row.modified) for row in state.rows("Outdated Schedule")} == {(AT, AT)}


def test_dates_that_may_lack_come_together_until_something_lacks_in_any_case(three):
	note({(HER, "a"): {"q2": 9.5}}, LATER)
	found = notes()
	assert found[HER, "a"].dates == {"q1": 1.5, "q2": 9.5}
	note({(HER, "a"): {"q2": 7.5}}, LATER)
	assert notes()[HER, "a"].dates == {"q1": 1.5, "q2": 7.5}
	outdated_schedules.note_at_once([(HER, "a")], LATER)
	assert outdated_schedules.get_dates(HER, "a") is None
	assert outdated_schedules.get_token(HER, "a")
	note({(HER, "a"): {"q3": 8.5}}, LATER)
	last = notes()
	assert last[HER, "a"].dates is None
	assert len({three[HER, "a"].token, found[HER, "a"].token, last[HER, "a"].token}) == 3
	for of in ((HER, "b"), (OTHER, "a")):
		assert last[of] == three[of]
	by_name = {row.name: (row.creation, row.modified) for row in state.rows("Outdated Schedule")}
	assert by_name[last[HER, "a"].name] == (AT, LATER)


def test_a_note_made_at_once_is_committed_and_the_callers_transaction_goes_on(site):
	note_of_caller = {(HER, "a"): {"q1": 1.5}}
	outdated_schedules.note_unseen(note_of_caller, AT)
	outdated_schedules.note_at_once([(OTHER, "a"), (HER, "b")], AT)
	found = notes()  # rolls back
	assert {of: found.dates for of, found in found.items()} == {(OTHER, "a"): None, (HER, "b"): None}


def test_all_notes_are_made_and_found_page_by_page(monkeypatch):
	schedules = {(learner_id(f"learner {number}"), "a"): {"q": float(number)} for number in range(1001)}
	page_rows = outdated_schedules.PAGE_ROWS
	monkeypatch.setattr(outdated_schedules, "PAGE_ROWS", 400)
	note(schedules)
	pages = [outdated_schedules.get_page("")]
	pages.append(outdated_schedules.get_page(pages[0][-1].name))
	assert [len(page) for page in pages] == [page_rows, 1001 - page_rows]
	found = [note for page in pages for note in page]
	assert {(note.learner, note.season): note.dates for note in found} == schedules
	assert [note.name for note in found] == sorted(note.name for note in found)
	assert outdated_schedules.get_page(found[-1].name) == []


def test_only_what_was_read_is_forgotten(three):
	note({(HER, "b"): {"q1": 2.5}}, LATER)  # since it was read
	outdated_schedules.forget([(three[of].name, three[of].token) for of in ((HER, "a"), (HER, "b"))])
	assert notes().keys() == {(HER, "b"), (OTHER, "a")}
	outdated_schedules.forget([])
	assert notes().keys() == {(HER, "b"), (OTHER, "a")}


@contextmanager
def held(name: str) -> Iterator[None]:
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT 1 FROM `tabOutdated Schedule` WHERE name = %s FOR UPDATE", (name,))
		yield


def test_nobody_waits_long_for_a_note_that_another_holds(three, monkeypatch):
	monkeypatch.setattr(outdated_schedules, "LOCK_WAIT_SECONDS", 0)
	name, token = three[HER, "a"].name, three[HER, "a"].token
	with held(name):
		for action in (
			lambda: outdated_schedules.note_at_once([(HER, "a")], LATER),
			lambda: outdated_schedules.forget([(name, token)]),
		):
			with pytest.raises(failures.ERRORS) as caught:
				action()
			assert failures.number_of(caught.value) == 1205
	assert notes() == three
