"""What a question's HTML may not hold, whoever has cleaned it before."""

import pytest

from memora.services.learning.safe_html import clean_html

NO_HOSTS: frozenset[str] = frozenset()
BEYOND_THE_TEXT = (
	"style",
	"id",
	"class",
	"name",
	"onclick",
	"action",
	"srcdoc",
	"target",
	"ping",
	"data-x",
	"form",
)


@pytest.mark.parametrize("attribute", BEYOND_THE_TEXT)
@pytest.mark.parametrize("tag", ["p", "div", "span", "table", "td", "a", "img", "audio"])
def test_no_attribute_reaches_beyond_the_text(tag, attribute):
	assert attribute not in clean_html(f'<{tag} {attribute}="position:fixed">text</{tag}>', NO_HOSTS)


@pytest.mark.parametrize("tag", ["form", "input", "button", "link", "meta", "base", "dialog"])
def test_an_element_that_is_no_text_goes_and_its_text_stays(tag):
	assert clean_html(f"<p>before</p><{tag}>text</{tag}>", NO_HOSTS) == "<p>before</p>text"


@pytest.mark.parametrize("tag", ["script", "style", "template", "iframe", "object", "svg", "textarea"])
def test_an_element_that_is_not_for_readers_goes_with_its_text(tag):
	assert clean_html(f"<p>before</p><{tag}>text</{tag}>", NO_HOSTS) == "<p>before</p>"


def test_a_link_tells_nobody_where_it_was():
	link = clean_html('<a href="https://a.example" rel="opener">text</a>', NO_HOSTS)
	assert link == '<a href="https://a.example" rel="noopener noreferrer nofollow">text</a>'


HOSTS = frozenset({"media.example.com"})


@pytest.mark.parametrize(
	("html", "cleaned"),
	[
		('<img src="/files/a.png" alt="a">', '<img src="/files/a.png" alt="a">'),
		('<img src=" https://media.example.com/a.png ">', '<img src=" https://media.example.com/a.png ">'),
		('<img src="https://evil.example/a.png" alt="a">', '<img alt="a">'),
		('<img src="/api/method/logout">', "<img>"),
		('<p title="/api/method/logout">text</p>', '<p title="/api/method/logout">text</p>'),
	],
)
def test_addresses_stay_if_they_are_allowed(html, cleaned):
	assert clean_html(html, HOSTS) == cleaned


@pytest.mark.parametrize(
	("href", "stays"),
	[("https://evil.example/a", True), ("/files/a.pdf", True), ("/api/method/logout", False)],
)
def test_links_stay_if_they_lead_out(href, stays):
	assert (f'href="{href}"' in clean_html(f'<a href="{href}">text</a>', NO_HOSTS)) is stays


def test_what_is_written_anew_is_judged_by_what_it_is_then():
	"""Pictures of a deck, say, whose files have other names here."""
	files = {"a.png": "/files/1.png", "b.png": "/api/method/logout", "c.png": None}

	def rewrite(tag: str, attribute: str, value: str) -> str | None:
		return files[value] if (tag, attribute) == ("img", "src") else value.upper()

	html = '<img src="a.png"><img src="b.png"><img src="c.png" alt="c">'
	assert clean_html(html, HOSTS, rewrite) == '<img src="/files/1.png"><img><img alt="C">'
