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
