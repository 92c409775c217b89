"""Turns an Anki card into a question and an answer: fills the templates of the note type with the note's fields."""

import re
from dataclasses import dataclass
from html import escape

from frappe import _

from memora.exceptions import UnusableCard
from memora.services.anki.package import Card, NoteType, Template

TAG = re.compile(r"\{\{\s*([#^/]?)\s*(.*?)\s*\}\}", re.DOTALL)
CLOZE = re.compile(r"\{\{c(\d+)::|\}\}")
CLOZE_CONDITION = re.compile(r"c\d+")
SOUND = re.compile(r"\[sound:(.*?)\]")
ANSWER_LINE = re.compile(r"""<hr[^>]*\bid\s*=\s*["']?answer\b[^>]*>""", re.IGNORECASE)
STYLE = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
MARKUP = re.compile(r"<(?!(?:img|audio)\b[^>]*\bsrc=)[^>]*>|&nbsp;|\s", re.IGNORECASE)


@dataclass(frozen=True)
class Faces:
	"""The question and the answer of a card, as HTML.

	The HTML is not cleaned yet. Media have the names that they have in the package.
	"""

	question: str
	answer: str


def render_card(card: Card) -> Faces:
	"""Returns the two faces of a card. The answer does not repeat the question. Raises UnusableCard, which says why."""
	template, fields = _template(card), _fields(card)
	question = _fill(template.front, _Context(card, fields, reveal=False))
	if is_empty(question):
		raise UnusableCard(_("The front of card {0} is empty.").format(card.ordinal + 1))
	answer = ANSWER_LINE.split(_fill(template.back, _Context(card, fields, reveal=True)))[-1]
	if is_empty(answer):
		raise UnusableCard(_("The back of card {0} is empty.").format(card.ordinal + 1))
	return Faces(_playable(question), _playable(answer))


def is_empty(html: str) -> bool:
	"""Says whether HTML shows nothing to read, see or hear."""
	return not MARKUP.sub("", STYLE.sub("", html))


def _note_type(card: Card) -> NoteType:
	if not card.note_type:
		raise UnusableCard(_("The type of the note is not in the file."))
	return card.note_type


def _template(card: Card) -> Template:
	kind = _note_type(card)
	number = 0 if kind.is_cloze else card.ordinal
	if number >= len(kind.templates):
		raise UnusableCard(_("The note type {0} has no card {1}.").format(kind.name, card.ordinal + 1))
	return kind.templates[number]


def _fields(card: Card) -> dict[str, str]:
	kind = _note_type(card)
	if len(kind.fields) != len(card.values):
		raise UnusableCard(
			_("The numbers of fields differ: {0} in the note, {2} in its type {1}.").format(
				len(card.values), kind.name, len(kind.fields)
			)
		)
	return dict(zip(kind.fields, card.values, strict=True))


@dataclass(frozen=True)
class _Context:
	card: Card
	fields: dict[str, str]
	reveal: bool

	def value(self, reference: str) -> str:
		"""Returns the text that stands for a reference, {{filter:filter:Field}}."""
		*filters, name = (part.strip() for part in reference.split(":"))
		text = self.fields.get(name, self._special(name))
		for filter_ in reversed(filters):
			text = self._filtered(filter_, text)
		return text

	def holds(self, name: str) -> bool:
		if CLOZE_CONDITION.fullmatch(name):
			return name == f"c{self.card.ordinal + 1}"
		return not is_empty(self.fields.get(name, self._special(name)))

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
			return re.sub(r"<[^>]*>", "", text)
		if (filter_ == "type" and not self.reveal) or filter_.startswith("tts "):
			return ""  # a box to type the answer in, or a synthetic voice: learners have neither
		return text


def _fill(template: str, context: _Context) -> str:
	"""Fills in a template's references, and leaves out the sections whose condition does not hold."""
	shown, outer, parts, at = True, [], [], 0
	for tag in TAG.finditer(template):
		if shown:
			parts.append(template[at : tag.start()])
		at = tag.end()
		kind, name = tag.groups()
		if kind in ("#", "^"):
			outer.append(shown)
			shown = shown and context.holds(name) == (kind == "#")
		elif kind == "/":
			shown = outer.pop() if outer else True
		elif shown:
			parts.append(context.value(name))
	return "".join([*parts, template[at:] if shown else ""])


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
			open_.append((mark[0], []))
		elif len(open_) == 1:
			open_[-1][1].append(mark[0])
		else:
			opening, parts = open_.pop()
			is_asked = opening == f"{{{{c{number}::"
			found = found or is_asked
			open_[-1][1].append(_deletion("".join(parts), is_asked, reveal))
	open_[-1][1].append(text[at:])
	return "".join(opening + "".join(parts) for opening, parts in open_) if found else ""


def _deletion(content: str, is_asked: bool, reveal: bool) -> str:
	text, _separator, hint = content.partition("::")
	if not is_asked:
		return text
	return f"<b>{text}</b>" if reveal else f"<b>[{hint or '…'}]</b>"


def _playable(html: str) -> str:
	"""Replaces each [sound:name] by an audio element, which a browser can play."""

	def element(match: re.Match[str]) -> str:
		name = match[1] if "&" in match[1] else escape(match[1])  # some fields hold the name escaped already
		return f'<audio src="{name}" controls></audio>'

	return SOUND.sub(element, html)
