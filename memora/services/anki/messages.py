"""What the reader of a package says. The reader runs without Frappe, so whoever started it translates.

A message is a list: a text, and the values that stand for {0}, {1}, … in the text. A value may be a message.
"""

from collections.abc import Callable
from html import escape
from typing import Any, NoReturn

Message = list[Any]

MAX_NAME = 140  # characters in a field that holds a name, and of what a message quotes
PLAIN = str.maketrans({"<": "(", ">": ")", **{code: " " for code in (*range(32), 127)}})


class Refused(Exception):
	"""A package can't be imported. `message` says why, and what would be right. `trace` is for the log."""

	def __init__(self, message: Message, trace: str = "") -> None:
		self.message, self.trace = message, trace


class Unusable(Exception):
	"""A card makes no question. `message` says why. The reader goes on with the next card."""

	def __init__(self, message: Message) -> None:
		self.message = message


def _(text: str) -> str:
	"""Marks a text for translation."""
	return text


def say(text: str, *values: Any) -> Message:
	"""Returns a message. What it quotes of the package is made plain."""
	return [text, *(plain(value) if isinstance(value, str) else value for value in values)]


def refuse(text: str, *values: Any) -> NoReturn:
	raise Refused(say(text, *values))


def plain(text: str, length: int = MAX_NAME) -> str:
	"""Returns the beginning of a text, without what HTML, a log or a field takes for something else."""
	return text[:length].encode(errors="replace").decode().translate(PLAIN)


def told(message: Message, translate: Callable[[str], str]) -> str:
	"""Returns a message as HTML, whatever is quoted."""
	text, *values = message
	return translate(text).format(
		*(told(v, translate) if isinstance(v, list) else _escaped(v) for v in values)
	)


def _escaped(value: object) -> object:
	return escape(value, quote=False) if isinstance(value, str) else value
