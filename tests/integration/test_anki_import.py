"""Decks of Anki: how notes become questions with media, tags and topics, and what a preview says."""

import json
from pathlib import Path

import frappe
import genanki
import pytest
from frappe.utils import strip_html

from memora.exceptions import InvalidAnkiImport
from memora.services.anki import importer
from memora.services.anki.cards import cloze
from tests.integration.anki_decks import (
	EXPORTED_BY_ANKI,
	SUBJECT,
	files,
	fresh,
	imported,
	make_import,
	note,
	png,
	run,
	write_deck,
)
from tests.integration.factories import make_topic

# What becomes a question


def test_a_deck_becomes_questions(deck):
	doc = run(deck)
	assert (doc.status, doc.notes, doc.questions, doc.created, doc.skipped) == ("Completed", 4, 6, 6, 0)
	questions = imported()
	assert [strip_html(q.question).strip() for q in questions] == [
		*("France", "Italy", "Rome", "[city] is in Germany", "Berlin is in […]", "فرنسا"),
	]
	assert strip_html(questions[2].answer).strip() == "Italy"
	assert questions[4].answer.startswith("Berlin is in <b>Germany</b>")
	assert {(q.subject, q.topic) for q in questions} == {(SUBJECT, f"{SUBJECT}: Geo – Europe")}
	assert 'dir="rtl"' in questions[5].question
	assert questions[0]._user_tags.strip(",") == "geo"


def test_media_become_public_files_of_the_questions_that_show_them(deck):
	doc = run(deck)
	assert doc.media == 2
	shown = {url for q in imported() for url in _addresses(q.question + q.answer)}
	assert {f.file_url for f in files()} == shown
	assert {f.is_private for f in files()} == {0}
	assert len(files()) == 4, "the picture belongs to each of three questions, the sound to one"
	for url in shown:
		assert url.startswith("/files/anki-")
		assert Path(frappe.get_site_path("public", url[1:])).read_bytes() in (png(1), b"ID3 sound")


def _addresses(html: str) -> list[str]:
	return [part.split('"')[0] for part in html.split('src="')[1:]]


def test_what_anki_exports_today_is_read():
	doc = run(EXPORTED_BY_ANKI)
	assert (doc.status, doc.questions, doc.media, doc.skipped) == ("Completed", 5, 1, 0)
	first, *_others = imported()
	assert strip_html(first.question).strip() == "Capital of France?"
	assert set(first._user_tags.strip(",").split(",")) == {"geo", "capitals::europe"}
	assert len(files()) == 1


def test_a_second_import_changes_nothing_and_a_changed_note_changes_its_question(deck, tmp_path):
	run(deck)
	before = imported()
	again = run(deck)
	assert (imported(), len(files())) == (before, 4)
	assert (again.created, again.updated, again.unchanged) == (0, 0, 6)
	elsewhere = make_topic(SUBJECT, "Sorted")
	frappe.db.set_value("Game Question", before[0].name, "topic", elsewhere)
	changed = write_deck(tmp_path / "new.apkg", note("France?", "Paris", guid="fr"))
	assert (lambda d: (d.created, d.updated))(run(changed)) == (0, 1)
	question = frappe.get_doc("Game Question", before[0].name)
	assert (question.question, question.topic, question.position) == ("France?", elsewhere, 1)
	assert len(imported()) == 6


def test_topics_are_those_chosen(deck):
	chosen, other = make_topic(SUBJECT, "Chosen"), make_topic("Another", "Topic")
	doc = make_import(deck)
	doc.run_method("preview")
	doc.decks[0].topic = other
	with pytest.raises(InvalidAnkiImport, match="Another: Topic belongs to the subject Another"):
		doc.save()
	doc = fresh(doc)
	doc.decks[0].topic = chosen
	doc.save()
	frappe.db.commit()
	importer.run_import(doc.name)
	assert {q.topic for q in imported()} == {chosen}


def test_names_too_long_or_not_allowed_here(tmp_path):
	tags = ("t" * 200, "a<b", "good")
	path = write_deck(tmp_path / "long.apkg", note("Q", "A", guid="1", tags=tags), deck="<D>::" + "d" * 300)
	doc = run(path)
	assert (doc.status, doc.decks[0].questions) == ("Completed", 1)
	(question,) = imported()
	assert question._user_tags.strip(",") == "good"
	assert question.topic.startswith(f"{SUBJECT}: (D) – ddd")


def test_a_long_question_keeps_its_tags(tmp_path):
	path = write_deck(tmp_path / "long.apkg", note("<b>Why</b>? " * 50, "So.", guid="1", tags=("geo",)))
	assert run(path).status == "Completed"
	assert imported()[0]._user_tags.strip(",") == "geo"


@pytest.mark.parametrize(
	("text", "number", "asked", "told"),
	[
		("{{c1::a}} {{c2::b}}", 1, "<b>[…]</b> b", "<b>a</b> b"),
		("{{c1::a {{c2::b}}::hint}}", 1, "<b>[hint]</b>", "<b>a b</b>"),
		("{{c1::a {{c2::b}}}}", 2, "a <b>[…]</b>", "a <b>b</b>"),
		("{{c1::a", 1, "", ""),
		("}} {{c1::a}}", 1, "}} <b>[…]</b>", "}} <b>a</b>"),
	],
)
def test_clozes(text, number, asked, told):
	assert (cloze(text, number, False), cloze(text, number, True)) == (asked, told)


def test_templates_with_conditions_and_filters(tmp_path):
	model = genanki.Model(
		1_700_000_002,
		"Own",
		fields=[{"name": "Word"}, {"name": "Hint"}, {"name": "Meaning"}],
		templates=[
			{
				"name": "Card",
				"qfmt": "{{Word}} {{type:Meaning}}",
				"afmt": '{{FrontSide}}<hr id="answer">{{text:Meaning}} {{#Hint}}{{Unknown}}({{Hint}}){{/Hint}}{{^Hint}}{{Deck}}{{/Hint}}',
			}
		],
	)
	path = write_deck(
		tmp_path / "own.apkg",
		note("mare", "water", "<i>sea</i>", guid="1", model=model),
		note("sol", "", "sun", guid="2", model=model),
	)
	run(path)
	assert [(q.question.strip(), q.answer) for q in imported()] == [
		("mare", "sea (water)"),
		("sol", "sun Geo::Europe"),
	]


# The preview


def test_a_preview_says_what_would_be_and_changes_nothing(deck):
	doc = make_import(deck)
	doc.run_method("preview")
	frappe.db.commit()
	doc = fresh(doc)
	assert (doc.status, doc.notes, doc.questions, doc.media, doc.created) == ("Draft", 4, 6, 2, 0)
	assert [(row.deck, row.questions) for row in doc.decks] == [("Geo::Europe", 6)]
	assert json.loads(doc.sample)[0] == {"deck": "Geo::Europe", "question": "France", "answer": "Paris"}
	assert (imported(), files()) == ([], [])
