"""The patch that makes texts harmless which were stored before they were checked."""

import frappe
import pytest

from memora.memora.doctype.game_subject.game_subject import GameSubject
from memora.memora.doctype.game_topic.game_topic import GameTopic
from memora.patches.v1_0 import clean_texts
from memora.services.learning.plain_names import is_harmless, is_submission_id, plain
from memora.services.store import old_texts
from tests.integration import state
from tests.integration.factories import make_questions, make_records, make_topic
from tests.integration.submitting import answers, submit

MARKUP = "a<img src=x onerror=alert(1)>"
NAMES = [MARKUP, "=1+1", " @x", "a\tb\nc", "-ing forms", "Geography", "علوم", "It's 2", None, ""]


@pytest.fixture
def answered(player) -> dict[str, str]:
	"""Returns {submission's id as it was: name of its answer} of answers from before the check of ids."""
	names = {}
	for number, strange in enumerate([MARKUP, "=HYPERLINK(1)", "-1", "a b", "ä", "fine-1"]):
		submit(player, answers(questions=[answers(6)[number].question_id]), f"id-{number}")
		(row,) = state.rows("Player Review Log", player=player, submission_id=f"id-{number}")
		frappe.db.sql(
			"UPDATE `tabPlayer Review Log` SET submission_id = %s WHERE name = %s", (strange, row.name)
		)
		names[strange] = row.name
	frappe.db.commit()
	return names


def submission_ids(player) -> dict[str, str]:
	return {row.name: row.submission_id for row in state.journal(player)}


def test_ids_of_submissions_become_harmless(answered, player, monkeypatch):
	monkeypatch.setattr(old_texts, "RANGE_ROWS", 2)
	before = state.journal(player)
	clean_texts.execute()
	found = submission_ids(player)
	assert all(map(is_submission_id, found.values()))
	assert found[answered["fine-1"]] == "fine-1"
	assert len({*found.values()}) == len(answered)  # different ids stay different
	kept = [{**row, "submission_id": None} for row in before]
	assert [{**row, "submission_id": None} for row in state.journal(player)] == kept


def test_the_answers_of_a_submission_still_belong_together(answered):
	clean_texts.execute()
	doc = frappe.get_doc("Player Review Log", answered[MARKUP])
	doc.run_method("onload")
	assert doc.get_onload("submission_answers") == 1


def test_a_run_that_is_cut_off_is_run_again(answered, player, monkeypatch):
	monkeypatch.setattr(old_texts, "RANGE_ROWS", 2)
	ranges, first = old_texts._ranges, True

	def cut_off(doctype):
		nonlocal first
		for part in ranges(doctype):
			yield part
			if first:
				first = False
				raise KeyboardInterrupt

	monkeypatch.setattr(old_texts, "_ranges", cut_off)
	with pytest.raises(KeyboardInterrupt):
		clean_texts.execute()
	clean_texts.execute()
	once = submission_ids(player)
	clean_texts.execute()
	assert submission_ids(player) == once
	assert all(map(is_submission_id, once.values()))


def test_names_become_what_new_names_are(player):
	make_records(player, len(NAMES))
	rows = state.rows("Player Memory Tracker", player=player)
	for row, name in zip(rows, NAMES, strict=True):
		values = {"name": row.name, "subject": name, "topic": name}
		sql = "UPDATE `tabPlayer Memory Tracker` SET subject = %(subject)s, topic = %(topic)s WHERE name = %(name)s"
		frappe.db.sql(sql, values)
	frappe.db.commit()
	clean_texts.execute()
	cleaned = state.rows("Player Memory Tracker", player=player)
	assert [(row.subject, row.topic) for row in cleaned] == [(plain(name), plain(name)) for name in NAMES]
	assert all(is_harmless(row.subject) for row in cleaned if row.subject)


def test_questions_are_cleaned(monkeypatch):
	monkeypatch.setattr(old_texts, "QUESTIONS", 1)
	options = [{"option_text": "a", "is_correct": 1}, {"option_text": "b", "is_correct": 0}]
	bad, other = make_questions(2, options=options)
	frappe.db.set_value(
		"Game Question", bad, "question", '? <img src="/api/method/logout">', update_modified=False
	)
	frappe.db.set_value(
		"Game Question Option", {"parent": bad, "idx": 2}, "option_text", "<b class='x'>b</b>"
	)
	frappe.db.commit()
	before = {name: frappe.get_doc("Game Question", name).modified for name in (bad, other)}
	clean_texts.execute()
	doc = frappe.get_doc("Game Question", bad)
	assert (doc.question, doc.options[1].option_text) == ("? <img>", "<b>b</b>")
	assert {name: frappe.get_doc("Game Question", name).modified for name in before} == before


def test_texts_of_authors_and_decks_hold_no_tag():
	make_topic("Subject", "Topic")
	values = {"subject": "Subject", "file": "/private/files/a.apkg", "problems": [{"reason": "a"}]}
	doc = frappe.get_doc({"doctype": "Anki Import", **values}).insert()
	for doctype, name, field in (
		("Game Subject", "Subject", "description"),
		("Anki Import", doc.name, "file"),
		("Anki Import Problem", doc.problems[0].name, "note"),
	):
		frappe.db.set_value(doctype, name, field, f"{MARKUP} and 1 < 2", update_modified=False)
	frappe.db.commit()
	clean_texts.execute()
	harmless = f"{MARKUP} and 1 < 2".replace("<img", "‹img")
	assert frappe.db.get_value("Game Subject", "Subject", "description") == harmless
	cleaned = frappe.get_doc("Anki Import", doc.name)
	assert (cleaned.problems[0].note, cleaned.file) == (harmless, "/private/files/removed.apkg")
	cleaned.save()


@pytest.mark.parametrize("range_rows", [1, 2, 3, 5000])
def test_every_name_is_cleaned_in_whatever_range_it_is(season, monkeypatch, range_rows):
	monkeypatch.setattr(old_texts, "RANGE_ROWS", range_rows)
	texts = ["a<b", "a>b", "=1", "plain", None]
	for doctype, columns in old_texts.NAMED.items():
		for number, text in enumerate([*texts, "a\nb"]):
			values = {"name": f"n{number}", "season": season, **dict.fromkeys(columns, text)}
			put_row(doctype, {k: v for k, v in values.items() if frappe.db.has_column(doctype, k)})
	frappe.db.commit()
	old_texts.clean_names()
	for doctype, columns in old_texts.NAMED.items():
		for column in columns:
			found = [row[column] for row in state.rows(doctype)]
			assert found == ["a‹b", "a›b", "'=1", "plain", None, "a b"]


def put_row(doctype: str, values: dict) -> None:
	columns = ", ".join(f"`{column}`" for column in values)
	marks = ", ".join(["%s"] * len(values))
	frappe.db.sql(f"INSERT INTO `tab{doctype}` ({columns}) VALUES ({marks})", [*values.values()])


@pytest.mark.parametrize("range_rows", [1, 2, 3, 5000])
def test_every_text_of_authors_and_decks_is_cleaned_in_whatever_range_it_is(monkeypatch, range_rows):
	monkeypatch.setattr(old_texts, "RANGE_ROWS", range_rows)
	cleaned = {"<b>": "‹b>", "1 < 2": "1 < 2", "</i><!x": "‹/i>‹!x", "<?": "‹?", None: None, "<a": "‹a"}
	files = [
		"/files/a.apkg",
		"/private/files/a.apkg",
		"/files/a<b",
		'/files/a"b',
		"/files/a>b",
		"/elsewhere/files/a",
	]
	for doctype, columns in old_texts.WRITTEN.items():
		for number, text in enumerate(cleaned):
			more = {"Game Topic": {"subject": "Tests"}, "Anki Import": {"file": files[number]}}.get(
				doctype, {}
			)
			put_row(doctype, {"name": f"zz{number}", **dict.fromkeys(columns, text), **more})
	frappe.db.commit()
	old_texts.clean_tags()
	old_texts.clean_files()
	for doctype, columns in old_texts.WRITTEN.items():
		rows = [row for row in state.rows(doctype) if row.name.startswith("zz")]
		for column in columns:
			assert [row[column] for row in rows] == [*cleaned.values()]
	assert [row.file for row in state.rows("Anki Import")] == files[:2] + ["/private/files/removed.apkg"] * 4


@pytest.mark.parametrize("page", [1, 2, 3, 200])
def test_every_text_of_a_question_is_cleaned_on_whatever_page_it_is(monkeypatch, page):
	monkeypatch.setattr(old_texts, "QUESTIONS", page)
	options = [{"option_text": f"option {n}", "is_correct": not n} for n in range(2)]
	names = make_questions(5, options=options, explanation="explained")
	for name in names[::2]:
		values = {"question": f"bad {name}", "answer": "bad answer", "explanation": "bad reason"}
		frappe.db.set_value("Game Question", name, values, update_modified=False)
		frappe.db.set_value("Game Question Option", {"parent": name, "idx": 2}, "option_text", "bad option")
	frappe.db.commit()
	before = {doctype: state.rows(doctype) for doctype in ("Game Question", "Game Question Option")}

	def clean(text: str | None) -> str | None:
		return text and text.replace("bad", "good")

	old_texts.clean_questions(clean)
	for doctype, rows in before.items():
		expected = [{k: clean(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
		assert state.rows(doctype) == expected


def test_names_with_quotation_marks_are_renamed_with_what_links_to_them(monkeypatch):
	for doctype in (GameSubject, GameTopic):
		monkeypatch.setattr(doctype, "before_insert", lambda self: None)
	(question,) = make_questions(1, subject='The "Great" War', topic='A "b"')
	monkeypatch.undo()
	clean_texts.execute()
	doc = frappe.get_doc("Game Question", question)
	assert (doc.subject, doc.topic) == ("The ”Great” War", "The ”Great” War: A ”b”")
	assert frappe.db.get_value("Game Topic", doc.topic, ["topic_name", "subject"]) == ("A ”b”", doc.subject)
	assert frappe.get_all("Game Topic", {"name": ("like", '%"%')}) == []
