"""A host app's question source that changes: what it tells of holds at once, what it does not tell of is noticed."""

import sys
from typing import Any, ClassVar

import frappe
import pytest
from frappe.tests.utils import patch_hooks

from memora.exceptions import InvalidQuestion
from memora.services.figures import survey
from memora.services.learning import content_changes, reviews
from memora.services.store import database, question_status
from tests.integration import state
from tests.integration.connections import raw_connection
from tests.integration.factories import make_records
from tests.integration.submitting import answers, ids, read, submit

NAMES = [f"q-{number}" for number in range(5)]


class HostQuestions:
	"""Questions of a host app, which may change at any moment."""

	content: ClassVar[dict[str, dict[str, Any]]] = {}

	@classmethod
	def get_questions(cls, question_ids):
		return {q: cls.content[q] for q in question_ids if q in cls.content}

	@classmethod
	def find_questions(cls, subject, topic, offset, limit):
		found = [
			q
			for q, c in cls.content.items()
			if subject in (None, c["subject"]) and topic in (None, c["topic"])
		]
		return found[offset : offset + limit]


@pytest.fixture
def host(monkeypatch):
	"""Five questions of one subject."""
	HostQuestions.content = {q: {"subject": "One", "topic": "T", "question": q} for q in NAMES}
	monkeypatch.setitem(sys.modules, "memora.host_app", sys.modules[__name__])
	with patch_hooks({"memora_question_source": ["memora.host_app.HostQuestions"]}):
		yield HostQuestions


@pytest.fixture
def due(host, player) -> list[str]:
	make_records(player, question_ids=NAMES, subject="One", topic="T", lapses=9)
	read(player)
	return NAMES


def rename(host, new: str) -> None:
	for content in host.content.values():
		content["subject"] = new


def told(tell, question_ids: list[str]) -> None:
	tell(question_ids)
	frappe.db.commit()


def due_by_subject(player) -> dict[str | None, int]:
	return {subject: read(player, subject)["total_due"] for subject in (None, "One", "Two")}


# What it tells of


def test_what_it_tells_of_is_withdrawn_and_comes_back_at_once(host, player, due):
	taken = [host.content.pop(due[0]), host.content[due[1]]]
	host.content[due[1]] = {**taken[1], "withdrawn": True}
	told(content_changes.note_changes, due[:2])
	assert (ids(read(player)), read(player)["total_due"]) == (due[2:], 3)
	host.content |= dict(zip(due, taken, strict=False))
	told(content_changes.note_changes, due[:2])
	assert (ids(read(player)), read(player)["total_due"]) == (due, 5)


def test_what_it_tells_of_has_another_subject_at_once(host, player, due):
	rename(host, "Two")
	told(content_changes.note_moves, due)
	assert due_by_subject(player) == {None: 5, "One": 0, "Two": 5}


def statuses() -> dict[str, tuple]:
	return {row.name: (row.is_live, row.subject, row.topic) for row in state.rows("Question Status")}


def test_what_is_deleted_stays_where_it_was(host):
	told(content_changes.note_changes, NAMES[:1])
	host.content.pop(NAMES[0])
	host.content[NAMES[1]] = {"question": "of no subject"}
	told(content_changes.note_changes, [*NAMES[:2], "never there"])
	assert statuses() == {NAMES[0]: (0, "One", "T"), NAMES[1]: (1, "", ""), "never there": (0, None, None)}


def test_a_move_leaves_alone_whether_a_question_is_asked(host):
	withdrawn, asked, deleted, new, new_withdrawn = NAMES
	host.content[withdrawn]["withdrawn"] = True
	told(content_changes.note_changes, [withdrawn, asked, deleted])
	host.content.pop(deleted)
	for name, content in host.content.items():
		content.update(subject="Two", topic="U", withdrawn=name in (asked, new_withdrawn))
	told(content_changes.note_moves, [*NAMES, "never there"])
	assert statuses() == {
		withdrawn: (0, "Two", "U"),
		asked: (1, "Two", "U"),
		deleted: (1, "One", "T"),
		new: (1, "Two", "U"),
		new_withdrawn: (0, "Two", "U"),
		"never there": (0, None, None),
	}


# What it does not tell of


def test_a_question_that_is_gone_without_a_word_is_shown_to_nobody(host, player, due):
	known = state.tracker(player)
	host.content.pop(due[0])
	assert ids(read(player)) == due[1:]
	assert statuses() == {due[0]: (0, None, None)}
	assert read(player)["total_due"] == 4
	assert state.tracker(player) == known


def test_a_read_waits_for_nobody_who_changes_questions(host, player, due, monkeypatch):
	tries, note = [], content_changes.note_now
	monkeypatch.setattr(
		content_changes, "note_now", lambda *how, **more: tries.append((how, more)) or note(*how, **more)
	)
	for name in due[:3]:
		host.content.pop(name)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(question_status.LOCK),))
		assert ids(read(player, limit=1)) == due[3:4]
	assert tries == [((due[:1],), {"wait_seconds": 0})]
	assert not frappe.local.message_log


@pytest.mark.parametrize(("gone", "most", "shown"), [(2, 3, 1), (3, 3, 1), (4, 3, 0), (4, 9, 1), (5, 9, 0)])
def test_a_read_that_can_note_nothing_looks_behind_so_many(host, player, due, monkeypatch, gone, most, shown):
	monkeypatch.setattr(reviews, "MOST_WITHDRAWN", most)
	for name in due[:gone]:
		host.content.pop(name)
	with raw_connection() as other, other.cursor() as cursor:
		cursor.execute("SELECT GET_LOCK(%s, 0)", (database._lock_key(question_status.LOCK),))
		assert ids(read(player, limit=1)) == due[gone:][:shown]
	assert statuses() == {}


def test_an_hour_later_all_of_it_is_known(host, player, season, due):
	content_changes.compare_with_source()
	rename(host, "Two")
	host.content[due[0]]["withdrawn"] = True
	gone = host.content.pop(due[1])
	assert content_changes.compare_with_source() == 5
	assert due_by_subject(player) == {None: 3, "One": 0, "Two": 3}
	assert survey.find_leeches(season).by_subject == {"Two": 3}
	host.content[due[0]].pop("withdrawn")
	host.content[due[1]] = gone
	content_changes.compare_with_source()
	assert due_by_subject(player) == {None: 5, "One": 0, "Two": 5}
	assert content_changes.compare_with_source() == 0


def test_an_answer_to_what_came_back_without_a_word_counts(host, player, due):
	gone = host.content.pop(due[0])
	read(player)
	host.content[due[0]] = gone
	assert submit(player, answers(questions=due[:1]))["processed"] == 1


def test_an_id_is_noted_if_a_record_can_have_it(host):
	assert content_changes.note_now(["x" * 141]) == 0
	assert content_changes.note_now(["x" * 140, "x" * 141]) == 1
	assert statuses() == {"x" * 140: (0, None, None)}


def test_an_id_that_no_record_can_have_keeps_no_other_from_being_noted(host, player, due):
	host.content["y" * 200] = {"subject": "One", "topic": "T"}
	told(content_changes.note_changes, ["x" * 200, *withdrawn(host, 0)])
	assert read(player)["total_due"] == 4
	withdrawn(host, 1)
	assert content_changes.compare_with_source() == 3  # noted for the first time
	assert read(player)["total_due"] == 3


@pytest.mark.parametrize("note", [content_changes.note_changes, content_changes.note_moves])
def test_a_text_in_place_of_a_list_is_refused(host, note):
	with pytest.raises(InvalidQuestion, match="not host-1"):
		note("host-1")


def test_a_source_that_knows_no_pages_is_compared_once(host, monkeypatch):
	monkeypatch.setattr(host, "find_questions", lambda subject, topic, offset, limit: [*NAMES])
	assert content_changes.compare_with_source() == len(NAMES)


def withdrawn(host, number: int) -> list[str]:
	del host.content[NAMES[number]]
	return [NAMES[number]]
