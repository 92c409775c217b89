"""What is noted of questions: found beside rows of other questions, in pages, and by processes that come later."""

from datetime import timedelta

import frappe
import pytest

from memora.exceptions import JournalUnavailable
from memora.services.store import question_status
from memora.services.store.question_status import MOST_CHANGES, Status
from tests.integration.connections import in_other_connection, raw_connection
from tests.integration.factories import make_questions, site_now

LIVE, GONE = Status(True, "S", "S: T"), Status(False, "S", "S: T")
HISTORY_SQL = f"""
	INSERT INTO `tabQuestion Status` (name, is_live, subject, topic, version, creation, modified)
	SELECT CONCAT('q-', LPAD(seq, 6, '0')), MOD(seq, 2), 'S', 'S: T', seq, NOW(6), NOW(6) FROM seq_1_to_{MOST_CHANGES}"""


def versions() -> dict[str, int]:
	return dict(frappe.db.sql("SELECT name, version FROM `tabQuestion Status`"))


def test_what_changes_gets_the_next_version_and_the_rest_keeps_its_own(monkeypatch):
	monkeypatch.setattr(question_status, "MAX_ROWS", 2)
	statuses = dict.fromkeys("abcde", LIVE)
	question_status.put(statuses, "ab")
	assert versions() == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}
	question_status.put({"a": GONE, "b": Status(True, "Other", None), "c": GONE}, "ac")
	assert versions() == {"a": 2, "b": 1, "c": 2, "d": 0, "e": 0}
	assert question_status.get_version() == 2
	assert question_status.get_statuses("abcd") == {
		**{"a": GONE, "b": Status(True, "Other", None), "c": GONE, "d": LIVE},
	}
	assert question_status.get_statuses([]) == {}


def test_which_questions_are_withdrawn():
	question_status.put({"a": LIVE, "A": LIVE}, "aA")
	assert not question_status.is_any_withdrawn()
	question_status.put({"A": GONE}, "A")
	assert question_status.is_any_withdrawn()
	assert [question_status.is_withdrawn(q) for q in ("a", "A", "b")] == [False, True, False]


def test_which_questions_have_changed_since_a_moment():
	moment = site_now()
	question_status.put(dict.fromkeys("abcde", LIVE), "abcd")
	shifts = {"a": -1, "b": 0, "c": 1, "d": 1, "e": 1}  # d is not asked about, e has no version
	for name, shift in shifts.items():
		values = (moment + timedelta(microseconds=shift), name)
		frappe.db.sql("UPDATE `tabQuestion Status` SET modified = %s WHERE name = %s", values)
	assert question_status.get_changed(["a", "b", "c", "e", "nowhere"], moment) == {"b", "c"}
	assert question_status.get_changed([], moment) == set()
	question_status.put({"a": LIVE}, [])
	assert question_status.get_changed(["a"], moment) == {"a"}  # it is noted when


def test_who_holds_the_lock_sees_what_was_committed_last(season):
	question_status.put({"a": LIVE}, "a")
	frappe.db.commit()
	assert question_status.get_version() == 1  # from here on this transaction sees the table as it is now
	with raw_connection(autocommit=True) as other, other.cursor() as cursor:
		cursor.execute("UPDATE `tabQuestion Status` SET is_live = 0, version = 7")
	assert question_status.get_statuses(["a"]) == {"a": GONE}
	question_status.put({"b": LIVE}, "b")
	frappe.db.commit()
	assert versions() == {"a": 7, "b": 8}


def test_one_at_a_time_changes_questions(season):
	def hold(seconds: int) -> None:
		question_status.hold_lock(seconds)
		frappe.db.rollback()

	question_status.hold_lock(0)
	with pytest.raises(JournalUnavailable):
		in_other_connection(lambda: hold(0)).result(30)
	frappe.db.rollback()
	in_other_connection(lambda: hold(10)).result(30)


def test_a_process_knows_as_many_changes_as_it_may_and_says_what_it_has_forgotten():
	frappe.db.sql(HISTORY_SQL)
	rows = [(n, f"q-{n:06}", n % 2 == 1) for n in range(1, MOST_CHANGES + 1)]
	known = question_status.get_changes(MOST_CHANGES)
	assert (known.version, known.forgotten, known.entries) == (MOST_CHANGES, 0, rows)
	question_status.put({"a": GONE}, "a")
	expected = (MOST_CHANGES + 1, 1, [*rows[1:], (MOST_CHANGES + 1, "a", False)])
	for _ in range(2):
		known = question_status.get_changes(MOST_CHANGES + 1)
		assert (known.version, known.forgotten, known.entries) == expected
		question_status.forget_changes()  # a process that begins now
	question_status.get_changes(MOST_CHANGES + 1)
	question_status.put({"q-000005": GONE, "q-000006": LIVE}, ["q-000005", "q-000006"])
	known = question_status.get_changes(MOST_CHANGES + 2)
	assert known.since(MOST_CHANGES) == [
		(MOST_CHANGES + 1, "a", False),
		(MOST_CHANGES + 2, "q-000005", False),
		(MOST_CHANGES + 2, "q-000006", True),
	]
	assert (len(known.entries), known.forgotten) == (MOST_CHANGES, 1)
	assert known.entries[:4] == [*rows[1:4], rows[6]]
	ids = list(question_status.get_ids())
	assert ids == sorted(["a", *(name for _version, name, _live in rows)])
	frappe.db.rollback()
	assert question_status.get_changes(0).entries == []  # the site has been restored


def test_what_the_bank_says_otherwise_is_found(season):
	names = make_questions(8, subject="Sub", topic="Top", prefix="bank-says")
	right, withdrawn, moved, renamed, brought_back, unknown, capitals, twice = names
	is_ = Status(True, "Sub", "Sub: Top")
	statuses = dict.fromkeys(frappe.get_all("Game Question", pluck="name"), Status(True, None, None))
	del statuses[unknown]
	for name in (withdrawn, twice):
		frappe.db.set_value("Game Question", name, "enabled", 0)
	frappe.db.set_value("Game Question", right, "subject", "what lists in the desk filter by")
	statuses |= {
		**dict.fromkeys((right, withdrawn), is_),
		moved: Status(True, "Sub", "Sub: Elsewhere"),
		renamed: Status(True, "Before", "Sub: Top"),
		brought_back: Status(False, "Sub", "Sub: Top"),
		capitals: Status(True, "SUB", "Sub: Top"),
		twice: Status(True, "Before", "Sub: Elsewhere"),
		"deleted": is_,
		"deleted and known": Status(False, "Sub", "Sub: Top"),
	}
	question_status.put(statuses, [])
	assert sorted(question_status.find_outdated()) == sorted([*(set(names) - {right}), "deleted"])
	frappe.db.rollback()
