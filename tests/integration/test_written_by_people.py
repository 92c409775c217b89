"""Names and short texts that authors, decks and files write: markup and quotes in them are made harmless or refused."""

import frappe
import pytest

from memora.exceptions import InvalidAnkiImport, InvalidQuestion, InvalidSeason
from memora.services.anki.writing import make_topic as make_topic_of_deck
from tests.integration.anki_decks import SUBJECT, imported, note, run, write_deck
from tests.integration.factories import make_questions, make_season, make_topic

QUOTED = 'The "Great" War'


def test_a_text_that_is_no_html_holds_no_tag():
	make_topic("Subject", "Topic")
	doc = frappe.get_doc("Game Subject", "Subject")
	for text, kept in (
		("a < b & c > d", "a < b & c > d"),
		("<img src=x onerror=a()> 1<2", "‹img src=x onerror=a()> 1<2"),
		('"<img src=x>"', '"‹img src=x>"'),  # Frappe lets pass what is JSON
	):
		doc.update({"description": text}).save()
		assert frappe.db.get_value("Game Subject", doc.name, "description") == kept


def test_a_question_that_begins_like_a_formula_or_holds_less_than_stays():
	(name,) = make_questions(1, question="-5 + 3 < 0 = ?", answer="= means equal")
	doc = frappe.get_doc("Game Question", name)
	assert (doc.question, doc.answer) == ("-5 + 3 &lt; 0 = ?", "= means equal")
	doc.save()
	assert frappe.db.get_value("Game Question", name, "question") == "-5 + 3 &lt; 0 = ?"


@pytest.mark.parametrize("name", [QUOTED, "=1+1", "@a", "-a"])
def test_names_that_a_page_or_a_spreadsheet_would_take_for_more_are_refused(name):
	make_topic("Subject", "Topic")
	with pytest.raises(InvalidQuestion, match="name"):
		make_topic(name, "Topic")
	with pytest.raises(InvalidQuestion, match="name"):
		make_topic("Subject", name)
	with pytest.raises(InvalidQuestion, match="name"):
		frappe.rename_doc("Game Subject", "Subject", name)
	with pytest.raises(InvalidSeason, match="name"):
		make_season(season_name=name)
	assert not frappe.db.exists("Game Subject", name)
	assert not frappe.db.exists("Game Subscription Season", name)


@pytest.mark.parametrize(
	("deck", "topic"), [('The "Great" War', "The ”Great” War"), ("=1+1", "'=1+1"), ("a::<b>", "a – ‹b›")]
)
def test_a_deck_s_topic_has_a_plain_name(deck, topic):
	make_topic(SUBJECT, "Standing")
	assert make_topic_of_deck(SUBJECT, deck) == f"{SUBJECT}: {topic}"
	assert make_topic_of_deck(SUBJECT, deck) == f"{SUBJECT}: {topic}"


def test_tags_that_would_end_an_attribute_are_left_out(tmp_path):
	tags = ('a"onfocus=b', "<b>", "kept", "it's")
	run(write_deck(tmp_path / "tags.apkg", note("a", "b", guid="g", tags=tags)), with_tags=1)
	(question,) = imported()
	assert set(question._user_tags.strip(",").split(",")) == {"kept", "it's"}


@pytest.mark.parametrize(
	"file",
	["javascript:a()", "https://a.example/b.apkg", '/private/files/a"b.apkg', "/private/files/<b>", "/a/b"],
)
def test_an_import_takes_files_of_this_site_only(file):
	make_topic(SUBJECT, "Standing")
	doc = frappe.get_doc({"doctype": "Anki Import", "subject": SUBJECT, "file": file})
	with pytest.raises(InvalidAnkiImport, match="no file of this site"):
		doc.insert()
