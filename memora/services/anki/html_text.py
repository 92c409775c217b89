"""Looks at HTML that anybody may have written: each function reads it once, from the left to the right."""

import re
from collections.abc import Iterator
from html import unescape

from memora.services.anki.messages import plain

EXCERPT = 120  # characters
SHOWN = ("img", "audio")
HIDDEN = ("style", "script")
NAME = re.compile(r"</?([a-z0-9]{1,20})", re.IGNORECASE)
SOURCE = re.compile(r"\ssrc\s?=", re.IGNORECASE)


def parts(html: str) -> Iterator[tuple[str, str]]:
	"""Yields (text, the tag after it)."""
	at = 0
	while (start := html.find("<", at)) >= 0 and (end := html.find(">", start)) >= 0:
		yield html[at:start], html[start : end + 1]
		at = end + 1
	yield html[at:], ""


def is_empty(html: str) -> bool:
	"""Says whether HTML shows nothing to read, see or hear."""
	hidden_by = ""
	for text, tag in parts(html):
		if not hidden_by and text.replace("&nbsp;", "").strip():
			return False
		name = tag_name(tag)
		if hidden_by:
			hidden_by = "" if tag.startswith("</") and name == hidden_by else hidden_by
		elif name in SHOWN and SOURCE.search(tag):
			return False
		elif name in HIDDEN and not tag.startswith("</"):
			hidden_by = name
	return True


def tag_name(tag: str) -> str:
	match = NAME.match(tag)
	return match[1].lower() if match else ""


def without_tags(html: str) -> str:
	return "".join(text for text, _tag in parts(html))


def excerpt(html: str) -> str:
	"""Returns the beginning of a text in HTML, as plain text; of a note's fields, of the first field."""
	return plain(unescape(without_tags(html.partition("\x1f")[0])).strip(), EXCERPT)
