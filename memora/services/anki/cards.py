"""Turns an Anki card into a question and an answer: fills the templates of the note type with the note's fields.

Each text is read once, from the left to the right, and what comes of it is bounded: somebody else wrote the templates.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape

from memora.services.anki.collection import NoteType, Template
from memora.services.anki.html_text import is_empty, parts, tag_name, without_tags
from memora.services.anki.messages import Unusable, _, say
from memora.services.anki.package import Card

MAX_FACE = 1 << 16  # characters of a question or an answer
MAX_TAGS = 5_000  # in a question or an answer: cleaning it takes time with their square
MAX_FILTERS = 8
MAX_CLOZE_DEPTH = 16
CLOZE = re.compile(r"\{\{c(\d{1,9})::|\}\}")
CLOZE_CONDITION = re.compile(r"c\d+")
SOUND = re.compile(r"\[sound:([^\[\]\n]{1,255})\]")
ANSWER_LINE = re.compile(r"""\sid\s?=\s?["']?answer\b""", re.IGNORECASE)


@dataclass(frozen=True)
class Faces:
	"""The question and the answer of a card, as HTML.

	The HTML is not cleaned yet. Media have the names that they have in the package.
	"""

	question: str
	answer: str


def render_card(card: Card) -> Faces:
	"""Returns the two faces of a card. The answer does not repeat the question. Raises Unusable, which says why."""
	if card.is_too_long:
		raise Unusable(say(_("The fields of the note are too long.")))
	template, fields = _template(card), _fields(card)
	question = _fill(template.front, _Context(card, fields, reveal=False))
	if is_empty(question):
		raise Unusable(say(_("The front of card {0} is empty."), card.ordinal + 1))
	answer = _after_question(_fill(template.back, _Context(card, fields, reveal=True)))
	if is_empty(answer):
		raise Unusable(say(_("The back of card {0} is empty."), card.ordinal + 1))
	return Faces(_playable(question), _playable(answer))


def _note_type(card: Card) -> NoteType:
	if not card.note_type:
		raise Unusable(say(_("The type of the note is not in the file.")))
	return card.note_type


def _template(card: Card) -> Template:
	kind = _note_type(card)
	number = 0 if kind.is_cloze else card.ordinal
	if not 0 <= number < len(kind.templates):
		raise Unusable(say(_("The note type {0} has no card {1}."), kind.name, card.ordinal + 1))
	return kind.templates[number]


def _fields(card: Card) -> dict[str, str]:
	kind = _note_type(card)
	if len(kind.fields) != len(card.values):
		text = _("The numbers of fields differ: {0} in the note, {2} in its type {1}.")
		raise Unusable(say(text, len(card.values), kind.name, len(kind.fields)))
	return dict(zip(kind.fields, card.values, strict=True))


@dataclass(frozen=True)
class _Context:
	card: Card
	fields: dict[str, str]
	reveal: bool
	known: dict[str, bool] = field(default_factory=dict)  # conditions

	def value(self, reference: str) -> str:
		"""Returns the text that stands for a reference, {{filter:filter:Field}}."""
		*filters, name = (part.strip() for part in reference.split(":"))
		if len(filters) > MAX_FILTERS:
			raise Unusable(say(_("{0} in a template has more than {1} filters."), reference, MAX_FILTERS))
		text = self._named(name)
		for filter_ in reversed(filters):
			text = self._filtered(filter_, text)
		return text

	def holds(self, name: str) -> bool:
		if CLOZE_CONDITION.fullmatch(name):
			return name == f"c{self.card.ordinal + 1}"
		if name not in self.known:
			self.known[name] = not is_empty(self._named(name))
		return self.known[name]

	def _named(self, name: str) -> str:
		return self.fields[name] if name in self.fields else self._special(name)

	def _special(self, name: str) -> str:
		"""Returns the value of a special field. FrontSide is empty on purpose: learners see the question anyway."""
		card = self.card
		values = {
			"Deck": card.deck,
			"Subdeck": card.deck.rpartition("::")[2],
			"Tags": " ".join(card.tags),
			"Type": _note_type(card).name,
		}
		return escape(values.get(name, ""))

	def _filtered(self, filter_: str, text: str) -> str:
		if filter_ == "cloze":
			return cloze(text, self.card.ordinal + 1, self.reveal)
		if filter_ == "text":
			return without_tags(text)
		if (filter_ == "type" and not self.reveal) or filter_.startswith("tts "):
			return ""  # a box to type the answer in, or a synthetic voice: learners have neither
		return text


class _Bounded:
	"""A text that is put together from parts, and may not grow too long."""

	def __init__(self) -> None:
		self.parts: list[str] = []
		self.length = self.tags = 0

	def add(self, part: str) -> None:
		self.length += len(part)
		self.tags += part.count("<")
		if self.length > MAX_FACE or self.tags > MAX_TAGS:
			text = _("A side of the card has more than {0} characters or {1} tags of HTML.")
			raise Unusable(say(text, MAX_FACE, MAX_TAGS))
		self.parts.append(part)


def _fill(template: str, context: _Context) -> str:
	"""Fills in a template's references, and leaves out the sections whose condition does not hold."""
	shown, outer, result = True, [], _Bounded()
	for text, kind, name in _tokens(template):
		if shown and text:
			result.add(text)
		if kind in ("#", "^"):
			outer.append(shown)
			shown = shown and context.holds(name) == (kind == "#")
		elif kind == "/":
			shown = outer.pop() if outer else True
		elif shown and name:
			result.add(context.value(name))
	return "".join(result.parts)


@lru_cache(maxsize=32)
def _tokens(template: str) -> list[tuple[str, str, str]]:
	"""Returns (text, kind, name) of each tag: the text before {{kind name}}. What is left after the last has no name."""
	return list(_read_tokens(template))


def _read_tokens(template: str) -> Iterator[tuple[str, str, str]]:
	at = 0
	while (start := template.find("{{", at)) >= 0 and (end := template.find("}}", start)) >= 0:
		tag = template[start + 2 : end].strip()
		kind = tag[:1] if tag[:1] in ("#", "^", "/") else ""
		yield template[at:start], kind, tag[len(kind) :].strip()
		at = end + 2
	yield template[at:], "", ""


def cloze(text: str, number: int, reveal: bool) -> str:
	"""Returns a cloze text with the deletions of one number hidden, or with `reveal` in bold.

	Returns an empty text if there is no deletion of this number. Deletions may stand inside each other:
	{{c1::a {{c2::b}}::a hint}}.
	"""
	# of each open deletion: the mark that opens it, and its contents so far
	open_: list[tuple[str, list[str]]] = [("", [])]
	found, at = False, 0
	for mark in CLOZE.finditer(text):
		open_[-1][1].append(text[at : mark.start()])
		at = mark.end()
		if mark[1]:
			_check_depth(len(open_))
			open_.append((mark[0], []))
		elif len(open_) == 1:
			open_[-1][1].append(mark[0])
		else:
			opening, contents = open_.pop()
			is_asked = opening == f"{{{{c{number}::"
			found = found or is_asked
			open_[-1][1].append(_deletion("".join(contents), is_asked, reveal))
	open_[-1][1].append(text[at:])
	return "".join(opening + "".join(contents) for opening, contents in open_) if found else ""


def _check_depth(depth: int) -> None:
	if depth > MAX_CLOZE_DEPTH:
		text = _("More than {0} deletions of the cloze text stand inside each other.")
		raise Unusable(say(text, MAX_CLOZE_DEPTH))


def _deletion(content: str, is_asked: bool, reveal: bool) -> str:
	text, _separator, hint = content.partition("::")
	if not is_asked:
		return text
	return f"<b>{text}</b>" if reveal else f"<b>[{hint or '…'}]</b>"


def _after_question(html: str) -> str:
	"""Returns what stands after the last line <hr id=answer>, or all of it."""
	at = begin = 0
	for text, tag in parts(html):
		at += len(text) + len(tag)
		if tag_name(tag) == "hr" and ANSWER_LINE.search(tag):
			begin = at
	return html[begin:]


def _playable(html: str) -> str:
	"""Replaces each [sound:name] by an audio element, which a browser can play."""

	def element(match: re.Match[str]) -> str:
		name = match[1] if "&" in match[1] else escape(match[1])  # some fields hold the name escaped already
		return f'<audio src="{name}" controls></audio>'

	return SOUND.sub(element, html)
