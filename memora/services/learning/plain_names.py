"""What ids and names may be made of.

They are shown in lists, reports, prints and exports, some of which take text for HTML, or for a formula of a
spreadsheet. So what clients choose is allow-listed by character; what a host app names is made plain.
"""

import re
from typing import Any

import frappe
from frappe import _

from memora.exceptions import InvalidQuestion, quoting

MAX_NAME_LENGTH = MAX_QUESTION_ID_LENGTH = 140  # the width of the columns
MAX_SUBMISSION_ID_LENGTH = 64  # the width of the column
SUBMISSION_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*")
QUESTION_ID = re.compile(r"\w[\w.:-]*")  # letters and digits of any alphabet
MARKUP = re.compile(r"[\x00-\x1f\x7f<>]")
FORMULA = re.compile(r"\s*[=+@-]")
NUMBER = re.compile(r"\s*[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?\s*%?\s*")
TAG = re.compile(r"<(?=[A-Za-z/!?])")
QUOTE = '"'  # Frappe writes names between such ones, as they are
LOOK_ALIKES = str.maketrans({"<": "‹", ">": "›"})  # as in store/old_texts.py


def is_submission_id(text: str) -> bool:
	"""Says whether a text is 1 to 64 ASCII letters, digits, and behind the first also `.`, `:` and `-`."""
	return len(text) <= MAX_SUBMISSION_ID_LENGTH and bool(SUBMISSION_ID.fullmatch(text))


def is_question_id(text: str) -> bool:
	"""Says whether a text is 1 to 140 letters, digits, and behind the first also `.`, `:` and `-`."""
	return len(text) <= MAX_QUESTION_ID_LENGTH and bool(QUESTION_ID.fullmatch(text))


def is_harmless(text: str) -> bool:
	"""Says whether a text is neither markup nor a formula, wherever it is shown."""
	return not MARKUP.search(text) and not FORMULA.match(text)


def require_plain_name(name: str | None, error: type[Exception] = InvalidQuestion) -> None:
	"""Raises the error if a spreadsheet would take a name for a formula, or if the name would end an attribute of HTML.

	Frappe refuses < and > in names.
	"""
	if FORMULA.match(name or ""):
		frappe.throw(
			quoting(_("A spreadsheet would take the name {0} for a formula. Begin with a letter."), name),
			error,
		)
	if QUOTE in (name or ""):
		frappe.throw(quoting(_('The name {0} has the character ". Write “ and ” in its place.'), name), error)


def without_quotes(name: str) -> str:
	"""Returns a name that require_plain_name lets through, but for formulas."""
	return name.replace(QUOTE, "”")


def plain(name: Any) -> str | None:
	"""Returns the name of a subject or topic as it is stored: harmless, and at most 140 characters long."""
	if name is None:
		return None
	text = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]+", " ", str(name)).translate(LOOK_ALIKES)
	return (f"'{text}" if FORMULA.match(text) else text)[:MAX_NAME_LENGTH]


def without_tags(text: str) -> str:
	"""Returns a text in which each < that would begin a tag is a look-alike. Others stay, as in "a < b"."""
	return TAG.sub("‹", text)


def without_formula(text: str) -> str:
	"""Returns a text as it is written to a CSV file: with ' before what a spreadsheet would run."""
	return f"'{text}" if _is_formula(text) else text


def with_formula(text: str) -> str:
	"""Returns what without_formula was given."""
	return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
	"""Says whether a spreadsheet would run a text. It takes a number for a number."""
	return bool(FORMULA.match(text)) and not NUMBER.fullmatch(text)
