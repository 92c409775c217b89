"""A lesson reads no more rows of the database for a learner who knows much than for one who knows nothing."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import frappe
import pytest

from memora.services import site_time
from memora.services.learning import bookmarks, lessons
from memora.services.operations import switching
from tests.integration.factories import ensure_learner, learner_id, make_records, make_season, make_topic
from tests.integration.submitting import answers, ids, submit

SUBJECT = "Big"
TOPICS = 50
QUESTIONS_SQL = """
	INSERT INTO `tabGame Question`
	(name, creation, modified, owner, modified_by, topic, subject, position, enabled, question, answer)
	SELECT CONCAT('big-', LPAD(seq, 5, '0')), NOW(), NOW(), 'Administrator', 'Administrator',
		CONCAT('Big: T', LPAD((seq - 1) DIV %s, 2, '0')), 'Big', seq, 1, 'Which?', 'This' FROM seq_1_to_{how_many}"""


class Bank:
	"""A subject of many questions in 50 topics; `names` in the order of teaching. She knows nine of ten of them, and more."""

	def __init__(self, how_many: int) -> None:
		for number in range(TOPICS):
			make_topic(SUBJECT, f"T{number:02}", number)
		frappe.db.sql(QUESTIONS_SQL.format(how_many=how_many), (how_many // TOPICS,))
		frappe.db.commit()
		self.names = [f"big-{number:05}" for number in range(1, how_many + 1)]
		self.known = how_many * 9 // 10 + how_many // 80  # and half of a topic
		self.next = self.names[self.known :]

	def diligent(self) -> str:
		"""A learner who knows these, and has had a lesson."""
		learner = learner_id("diligent")
		ensure_learner(learner)
		make_records(learner, question_ids=self.names[: self.known])
		lesson(learner)
		return learner


@pytest.fixture
def bank(season) -> Bank:
	return Bank(500)


@pytest.fixture
def diligent(bank) -> str:
	return bank.diligent()


def lesson(learner: str, subject: str | None = SUBJECT, topic: str | None = None) -> list[str]:
	return ids(lessons.read_lesson(learner, topic, subject, 10))


def rows_read(read: Callable[[], object]) -> int:
	before = _counters()
	read()
	return sum((_counters() - before).values())


def _counters() -> Counter[str]:
	found = frappe.db.sql("SHOW SESSION STATUS LIKE 'Handler_read_%'")
	return Counter({name: int(value) for name, value in found})


def test_she_who_knows_much_costs_no_more_than_she_who_knows_nothing(season):
	bank = Bank(10_000)
	diligent = bank.diligent()
	for subject in (SUBJECT, None):
		first = rows_read(partial(lesson, learner_id("fresh"), subject))
		assert first < 1000  # and does not sort the bank
		assert rows_read(partial(lesson, diligent, subject)) <= 1.1 * first
	assert lesson(diligent) == bank.next[:10]
	assert rows_read(lambda: submit(diligent, answers(questions=bank.next[:3]))) < 1000
	assert lesson(diligent) == bank.next[3:13]


def test_without_her_bookmarks_she_gets_the_same(bank, diligent):
	bookmarks.forget(diligent)
	assert lesson(diligent) == bank.next[:10]


def test_bookmarks_are_of_one_season(bank, diligent):
	switching.switch_season(make_season().name)
	assert lesson(diligent) == bank.names[:10]


def test_bookmarks_are_kept_for_a_day_from_the_first_on(bank, diligent, monkeypatch):
	"""What a hint may hide, it does not hide for longer."""
	cache = frappe.cache()
	key, hour, now = cache.make_key(bookmarks._key(diligent)), 3600, site_time.epoch_now
	assert 23 * hour < cache.ttl(key) <= 24 * hour
	for number, later in enumerate((20, 25)):
		monkeypatch.setattr(site_time, "epoch_now", lambda later=later: now() + later * hour)
		submit(diligent, answers(questions=bank.next[number : number + 1]))
		assert lesson(diligent)[0] == bank.next[number + 1]
		assert 3 * hour < cache.ttl(key) <= 4 * hour


@pytest.mark.parametrize(
	"change",
	["a new one", "brought back", "moved to the front", "moved from another topic"],
)
def test_what_changes_before_her_bookmark_is_taught(bank, diligent, change):
	name = bank.names[-1]
	frappe.db.sql("UPDATE `tabGame Question` SET modified = '2026-01-01' WHERE topic = 'Big: T00'")
	lesson(diligent)
	if change == "a new one":
		question = {"question": "New?", "answer": "Yes", "topic": "Big: T00", "position": 0}
		name = frappe.get_doc({"doctype": "Game Question", **question}).insert().name
	elif change == "brought back":
		name = "big-00000"
		doc = {"name": name, "question": "Old?", "answer": "Yes", "topic": "Big: T00", "subject": SUBJECT}
		frappe.new_doc("Game Question", **doc, position=0, enabled=0).db_insert()
		frappe.db.commit()
		lesson(diligent)
		frappe.get_doc("Game Question", name).update({"enabled": 1}).save()
	elif change == "moved to the front":
		make_topic(SUBJECT, "First", -1)
		frappe.get_doc("Game Question", name).update({"topic": "Big: First"}).save()
	else:
		frappe.get_doc("Game Question", name).update({"topic": "Big: T00"}).save()
	frappe.db.commit()
	assert lesson(diligent)[0] == name


def test_topics_that_are_merged_are_read_again(bank, diligent):
	frappe.rename_doc("Game Topic", "Big: T49", "Big: T00", merge=True, force=True)
	frappe.db.commit()
	assert lesson(diligent) == bank.names[-10:]


def test_what_she_leaves_out_comes_again_and_again(bank, player):
	submit(player, answers(questions=bank.names[1:8:2]))
	expected = [bank.names[0], bank.names[2], bank.names[4]]
	assert lesson(player)[:3] == lesson(player, topic="Big: T00")[:3] == expected
	submit(player, answers(questions=bank.names[:1]))
	assert lesson(player)[:2] == expected[1:]


@pytest.mark.parametrize("change", ["deleted", "moved to another topic"])
def test_what_is_gone_from_a_topic_takes_nobodys_place(bank, player, change):
	frappe.db.sql("UPDATE `tabGame Question` SET modified = '2026-01-01' WHERE topic = 'Big: T00'")
	frappe.db.sql("UPDATE `tabGame Question` SET modified = '2026-01-02' WHERE name = %s", bank.names[9])
	frappe.db.commit()
	assert lesson(player, topic="Big: T00") == bank.names[:10]
	for name in bank.names[:8]:
		if change == "deleted":
			frappe.delete_doc("Game Question", name)
		else:
			frappe.get_doc("Game Question", name).update({"topic": "Big: T01"}).save()
	frappe.db.commit()
	assert ids(lessons.read_lesson(player, "Big: T00", SUBJECT, 2)) == bank.names[8:10]
