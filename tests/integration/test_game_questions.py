"""The question bank: harmless HTML, options without contradictions, and where else questions may come from."""

import sys
from typing import ClassVar
from urllib.parse import urlsplit

import frappe
import pytest
from frappe.tests.utils import patch_hooks

from memora.exceptions import InvalidQuestion, InvalidSettings
from memora.services.folding.folds import fold
from memora.services.learning import lessons
from memora.services.learning.question_source import QuestionBank, get_source, get_subjects
from tests.integration import state
from tests.integration.factories import make_questions, make_records, make_topic
from tests.integration.submitting import answers, ids, read, submit

HARMFUL = [
	"<script>alert(1)</script>",
	'<img src=x onerror="alert(1)">',
	"<img src=x onerror=alert(1)>",
	'<a href="javascript:alert(1)">x</a>',
	'<a href=" JaVaScRiPt:alert(1)">x</a>',
	"<svg/onload=alert(1)>",
	'<iframe src="https://evil.example"></iframe>',
	"<math><mtext></p><script>alert(1)</script></mtext></math>",
	'{"a": "<script>alert(1)</script>"}',
	'["<img src=x onerror=alert(1)>"]',
	"<style>@import url(//evil.example)</style>",
	'<form action="//evil.example"><input name=password></form>',
	'<p style="background:url(javascript:alert(1))">x</p>',
]
DANGERS = ("<script", "onerror", "onload", "javascript:", "<iframe", "<style", "<form", "<svg")
FIELDS = ("question", "answer", "explanation")


def question(**values):
	topic = make_topic("Subject", "Topic")
	return frappe.get_doc(
		{"doctype": "Game Question", "topic": topic, "question": "?", "answer": "!", **values}
	)


def option(text: str, is_correct: int = 0) -> dict:
	return {"option_text": text, "is_correct": is_correct}


@pytest.mark.parametrize("html", HARMFUL)
def test_what_could_run_on_a_learners_page_goes(html):
	options = [option(f"right {html}", 1), option(f"wrong {html}")]
	doc = question(**{field: f"kept {html}" for field in FIELDS}, options=options).insert()
	texts = [doc.get(field) for field in FIELDS] + [o.option_text for o in doc.options]
	assert not [d for d in DANGERS for text in texts if d in text.lower()]
	assert all("kept" in doc.get(field) for field in FIELDS)


@pytest.mark.parametrize("html", HARMFUL)
def test_a_text_of_nothing_but_harm_is_cleaned_too(html):
	"""Frappe leaves texts alone that look like JSON."""
	doc = question(question=f"? {html}", explanation=html).insert()
	assert not [d for d in DANGERS if d in (doc.explanation or "").lower()]
	assert doc.explanation is None or "alert(1)" not in doc.explanation or "<" not in doc.explanation


@pytest.mark.parametrize(
	"html",
	[
		"<p>What is <b>this</b>?</p>",
		"a &lt; b &amp; c",
		'<p dir="rtl" lang="ar">ما هي عاصمة فرنسا؟</p>',
		"<ul><li>one</li><li>two</li></ul>",
		"<table><tbody><tr><td>1</td></tr></tbody></table>",
		"H<sub>2</sub>O, x<sup>2</sup>",
	],
)
def test_what_questions_are_written_with_stays(html):
	assert question(question=html).insert().question == html


def allow_media_from(hosts: str) -> None:
	frappe.get_single("Memora Settings").update({"media_hosts": hosts}).save()


ASKS = [
	"/api/method/logout",
	"/files/../api/method/logout",
	"//evil.example/p.gif",
	"https://evil.example/p.gif",
	"data:image/png;base64,AAAA",
	"pic.png",
]


@pytest.mark.parametrize("address", ASKS)
@pytest.mark.parametrize("tag", ["img", "audio"])
def test_pictures_and_sounds_call_no_address_but_files(tag, address):
	html = f'? <{tag} src="{address}"></{tag}><{tag} src="/files/a.png"></{tag}>'
	doc = question(question=html, options=[option(html, 1), option(html)]).insert()
	for text in (doc.question, doc.options[0].option_text):
		assert "/files/a.png" in text
		assert address not in text


def test_hosts_in_settings_may_show_pictures():
	html = '? <img src="https://media.example.com/a.png"><img src="https://evil.example/a.png">'
	assert "src" not in question(question=html).insert().question
	allow_media_from("media.example.com")
	assert question(question=html).insert().question == '? <img src="https://media.example.com/a.png"><img>'


def test_a_class_a_form_and_an_id_go():
	html = (
		'<div class="modal show" id="x" style="inset:0">? <form action="/api"><input name="a">b</form></div>'
	)
	assert question(question=html).insert().question == "<div>? b</div>"


def test_a_link_tells_the_other_site_nothing():
	doc = question(question='<a href="https://a.example/x">x</a><a href="/api/method/logout">y</a>').insert()
	assert doc.question.count("noopener noreferrer nofollow") == 2
	assert 'href="https://a.example/x"' in doc.question
	assert "logout" not in doc.question


def test_a_question_that_is_stored_is_cleaned_when_it_is_read(player):
	"""It may be older than a rule, or written by SQL."""
	options = [option("a", 1), option("b")]
	(name,) = make_questions(options=options, explanation="e", subject="Old", topic="Older")
	bad = "kept <img src='/api/method/logout' class='x'>"
	frappe.db.set_value("Game Question", name, dict.fromkeys(FIELDS, bad))
	frappe.db.set_value("Game Question Option", {"parent": name}, "option_text", bad)
	(lesson,) = lessons.read_lesson(player, "Old: Older", None, 1)["questions"]
	make_records(player, question_ids=[name])
	(review,) = read(player)["questions"]
	for content in (lesson, review):
		texts = [*(content[field] for field in FIELDS), content["options"][0]["option"]]
		assert texts == ["kept <img>"] * 4


@pytest.mark.parametrize("host", ["https://a.example.com", "*.example.com", "a.example.com;", "'self'"])
def test_settings_refuse_what_is_no_host(host):
	with pytest.raises(InvalidSettings, match="media.example.com"):
		allow_media_from(host)


def test_settings_refuse_this_site_as_a_host_of_media():
	"""A picture could call any of its addresses."""
	host = urlsplit(frappe.utils.get_url()).hostname
	with pytest.raises(InvalidSettings):
		allow_media_from(host)


def test_cleaning_twice_changes_nothing():
	doc = question(question='<p>1 < 2 & "x" <script>bad()</script></p>').insert()
	once = doc.question
	doc.save()
	assert doc.question == once


def test_a_question_has_the_subject_of_its_topic():
	assert question().insert().subject == "Subject"


def test_a_question_without_options_is_revealed_and_graded_by_the_learner():
	assert question().insert().options == []


@pytest.mark.parametrize("count", [2, 8])
def test_two_to_eight_options_with_one_right(count):
	options = [option(f"option {i}", int(i == 1)) for i in range(count)]
	assert len(question(options=options).insert().options) == count


@pytest.mark.parametrize(
	("options", "named"),
	[
		([option("only", 1)], "2 to 8"),
		([option(f"option {i}", int(i == 0)) for i in range(9)], "9"),
		([option("a"), option("b")], "not 0"),
		([option("a", 1), option("b", 1)], "not 2"),
	],
)
def test_options_that_contradict_each_other_are_refused(options, named):
	before = frappe.db.count("Game Question")
	with pytest.raises(InvalidQuestion, match=named) as caught:
		question(options=options).insert()
	assert caught.value.http_status_code == 400
	assert frappe.db.count("Game Question") == before


@pytest.mark.parametrize("field", ["question", "answer", "topic"])
def test_a_question_needs_question_answer_and_topic(field):
	with pytest.raises(frappe.MandatoryError):
		question(**{field: None}).insert()


# A host app's own questions


class HostQuestions:
	"""A question source that a host app may name under the hook memora_question_source."""

	CONTENT: ClassVar = {
		f"host-{i}": {"subject": "Host", "topic": "Own", "text": f"Host question {i}", "media": ["a.png"]}
		for i in range(1, 6)
	}

	@classmethod
	def get_questions(cls, question_ids):
		return {q: cls.CONTENT[q] for q in question_ids if q in cls.CONTENT}

	@classmethod
	def find_questions(cls, subject, topic, offset, limit):
		return list(cls.CONTENT)[offset : offset + limit]


@pytest.fixture
def host_path(monkeypatch) -> str:
	"""A path inside an installed app: Frappe takes no other."""
	monkeypatch.setitem(sys.modules, "memora.host_app", sys.modules[__name__])
	return "memora.host_app.HostQuestions"


@pytest.fixture
def host(host_path):
	with patch_hooks({"memora_question_source": [host_path]}):
		yield


def test_without_a_hook_the_question_bank_serves():
	assert get_source() is QuestionBank


def test_a_lesson_asks_the_host_app(host, player):
	session = lessons.read_lesson(player, None, None, 2)
	assert session["questions"] == [
		{"question_id": q, "known": False, **HostQuestions.CONTENT[q]} for q in ("host-1", "host-2")
	]


def test_a_host_app_may_tell_its_subjects(host, monkeypatch):
	assert get_subjects() == []
	monkeypatch.setattr(HostQuestions, "get_subjects", lambda: ["Host", "Other"], raising=False)
	assert get_subjects() == ["Host", "Other"]


def test_answers_to_the_host_apps_questions_are_scheduled_with_their_subject(host, player):
	bank = make_questions()
	result = submit(player, answers(questions=["host-1", *bank, "host-99"]))
	assert result["processed"] == 1
	assert [r["question_id"] for r in result["rejected"]] == [*bank, "host-99"]
	fold(state.outbox(player)[0].name)
	row = state.tracker(player)["host-1"]
	assert (row.subject, row.topic) == ("Host", "Own")


def test_the_host_apps_html_is_cleaned(host, player, monkeypatch):
	html = "kept <img src='/api/method/logout' onerror='x'><script>x</script>"
	content = {
		"question": html,
		"answer": html,
		"options": [{"option": html}, "own"],
		"explanation": None,
		"text": html,
	}
	monkeypatch.setitem(HostQuestions.CONTENT, "host-1", content)
	(shown,) = lessons.read_lesson(player, None, None, 1)["questions"]
	clean = "kept <img>"
	assert (shown["question"], shown["answer"], shown["explanation"]) == (clean, clean, None)
	assert shown["options"] == [{"option": clean, "key": "1"}, "own"]
	assert shown["text"] == html  # a key of the host app's own


def test_reviews_show_the_host_apps_content(host, player):
	make_records(player, question_ids=["host-2"], subject="Host", topic="Own")
	(shown,) = read(player, subject="Host")["questions"]
	assert (shown["text"], shown["media"]) == ("Host question 2", ["a.png"])
	assert ids(read(player)) == ["host-2"]


def test_the_last_app_to_name_a_source_wins(host_path):
	others = ["memora.no_such_module.Source", "memora.no_such_module.Other"]
	with patch_hooks({"memora_question_source": [*others, host_path]}):
		assert get_source() is HostQuestions
