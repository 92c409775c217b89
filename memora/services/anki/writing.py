"""Writes a deck's questions to the question bank, and knows which of them are somebody else's."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import frappe
from frappe.desk.doctype.tag.tag import DocTags

from memora.services.anki.deck import Deck, Item
from memora.services.anki.media import ADDRESS
from memora.services.anki.messages import MAX_NAME
from memora.services.anki.package import DECK_SEPARATOR
from memora.services.anki.reader import MEDIA
from memora.services.learning.plain_names import plain, without_quotes
from memora.services.learning.question_html import clean
from memora.services.store import question_bank, row_names

QUESTION = "Game Question"
FACES = ("question", "answer")
LOOK_AT_ONCE = 500  # questions in a query
TAGS_OF_ANKI = {"leech", "marked"}  # these tags say something about a learner, not about a question


@dataclass
class ImportCounts:
	created: int = 0
	updated: int = 0
	unchanged: int = 0
	kept: int = 0
	kept_edited: int = 0
	reviews_imported: int = 0

	@property
	def questions(self) -> int:
		return self.created + self.updated + self.unchanged + self.kept + self.kept_edited


@dataclass(frozen=True)
class Standing:
	"""The questions of some items that exist already, and the addresses of their files."""

	questions: dict[str, dict[str, Any]]
	addresses: dict[tuple[str, str], str]

	@classmethod
	def of(cls, items: list[Item]) -> "Standing":
		names = ("in", [item.question_id for item in items])
		fields = ["name", "owner", "modified_by", "imported_text", *FACES]
		rows = frappe.get_all(QUESTION, filters={"name": names}, fields=fields)
		files = frappe.get_all(
			"File",
			filters={
				"attached_to_doctype": QUESTION,
				"attached_to_name": names,
				"file_name": ("like", "anki-%"),
			},
			fields=["attached_to_name", "file_name", "file_url"],
		)
		addresses = {(file.attached_to_name, file.file_name): file.file_url for file in files}
		return cls({row.name: row for row in rows}, addresses)

	def faces(self, item: Item) -> dict[str, str]:
		"""Returns an item's texts as the question would hold them, with the addresses of files that exist."""
		faces = {name: getattr(item, name) for name in FACES}
		for file in item.media:
			address = self.addresses.get((item.question_id, file), ADDRESS + file)
			faces = {name: text.replace(ADDRESS + file, address) for name, text in faces.items()}
		return {name: clean(text) for name, text in faces.items()}

	def is_changed_by(self, item: Item) -> bool:
		# cleaned before comparing: Frappe spells some attributes differently on their way to the database
		question = self.questions[item.question_id]
		return any(clean(question[name]) != text for name, text in self.faces(item).items())

	def is_edited(self, item: Item) -> bool:
		"""Says whether somebody has changed an item's question here since an import wrote it, as far as is known."""
		question = self.questions[item.question_id]
		return bool(question["imported_text"]) and question["imported_text"] != digest_of(question)

	def somebody_else(self, item: Item) -> str | None:
		"""Returns the user, but for oneself, who made an item's question or changed it last."""
		question = self.questions.get(item.question_id, {})
		people = (question.get("owner"), question.get("modified_by"))
		return next((user for user in people if user and user != frappe.session.user), None)


def digest_of(faces: Mapping[str, Any]) -> str:
	"""Returns what stands for the texts of a question, as Game Question's `imported_text`."""
	return row_names.digest(*(clean(faces[name]) or "" for name in FACES))


@dataclass
class Survey:
	"""What a deck would do to the question bank: how many questions are new, changed, and the same.

	Of those that it would change: `others` counts them by the other user who made or changed them last, `edited` has the
	names of those that somebody has changed here since the last import.
	"""

	new: int = 0
	changed: int = 0
	same: int = 0
	others: Counter[str] = field(default_factory=Counter)
	edited: list[str] = field(default_factory=list)

	@classmethod
	def of(cls, deck: Deck) -> "Survey":
		survey = cls()
		for items in batches(deck.items(), LOOK_AT_ONCE):
			standing = Standing.of(items)
			for item in items:
				survey.count(item, standing)
		return survey

	def count(self, item: Item, standing: Standing) -> None:
		if item.question_id not in standing.questions:
			self.new += 1
		elif not standing.is_changed_by(item):
			self.same += 1
		else:
			self.changed += 1
			if user := standing.somebody_else(item):
				self.others[user] += 1
			if standing.is_edited(item):
				self.edited.append(item.question_id)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
	iterator = iter(items)
	while batch := list(islice(iterator, size)):
		yield batch


@dataclass
class Writer:
	"""Writes the questions of one run. Commits nothing."""

	deck: Deck
	with_tags: bool
	change_others: bool
	overwrite_edits: bool
	counts: ImportCounts = field(default_factory=ImportCounts)
	positions: dict[str, int] = field(default_factory=dict)  # the last position in each topic

	def write(self, items: list[Item], topics: dict[str, str]) -> None:
		standing = Standing.of(items)
		for item in items:
			if item.question_id not in standing.questions:
				self._create(item, topics[item.deck], standing)
			elif not standing.is_changed_by(item):
				self.counts.unchanged += 1
				self._note_text(item, standing)
			elif standing.somebody_else(item) and not self.change_others:
				self.counts.kept += 1
				continue
			elif standing.is_edited(item) and not self.overwrite_edits:
				self.counts.kept_edited += 1
			else:
				self._update(item, standing)
			if self.with_tags and (self.change_others or not standing.somebody_else(item)):
				_tag(item)

	def _create(self, item: Item, topic: str, standing: Standing) -> None:
		self._attach(item, standing)
		values = {"doctype": QUESTION, "topic": topic, "position": self._next_position(topic)}
		frappe.get_doc({**values, **_imported(item, standing)}).insert(set_name=item.question_id)
		self.counts.created += 1

	def _update(self, item: Item, standing: Standing) -> None:
		"""Updates the texts alone. Topic, position, options and `enabled` stay, because somebody may have chosen them."""
		self._attach(item, standing)
		frappe.get_doc(QUESTION, item.question_id).update(_imported(item, standing)).save()
		self.counts.updated += 1

	def _note_text(self, item: Item, standing: Standing) -> None:
		"""Notes that a question is as the deck has it, also if an earlier version imported it or somebody typed it."""
		question = standing.questions[item.question_id]
		if question["imported_text"] != digest_of(question):
			values = {"imported_text": digest_of(question)}
			frappe.db.set_value(QUESTION, item.question_id, values, update_modified=False)

	def _attach(self, item: Item, standing: Standing) -> None:
		"""Makes an item's media public Files of its question.

		Public, because learners may not read Game Question in the desk: they could not open its private Files.
		"""
		for name in item.media:
			key = (item.question_id, name)
			if key not in standing.addresses:
				content = (self.deck.folder / MEDIA / name).read_bytes()
				owner = {"attached_to_doctype": QUESTION, "attached_to_name": item.question_id}
				file = {"doctype": "File", **owner, "file_name": name, "is_private": 0, "content": content}
				standing.addresses[key] = frappe.get_doc(file).insert().file_url

	def _next_position(self, topic: str) -> int:
		if topic not in self.positions:
			self.positions[topic] = question_bank.get_last_position(topic)
		self.positions[topic] += 1
		return self.positions[topic]


def _imported(item: Item, standing: Standing) -> dict[str, str]:
	faces = standing.faces(item)
	return {**faces, "imported_text": digest_of(faces)}


def make_topic(subject: str, deck: str) -> str:
	"""Returns the topic of a deck's name. Makes the topic if it does not exist. Commits nothing."""
	title = plain(without_quotes(deck.replace(DECK_SEPARATOR, " – "))) or ""
	title = title[: MAX_NAME - len(subject) - 2].strip() or "Anki"
	name = f"{subject}: {title}"
	if frappe.db.exists("Game Topic", name):
		return name
	return frappe.get_doc({"doctype": "Game Topic", "subject": subject, "topic_name": title}).insert().name


def _tag(item: Item) -> None:
	tags = DocTags(QUESTION)
	known = tags.get_tags(item.question_id).split(",")
	for tag in item.tags:
		if tag not in known and tag.lower() not in TAGS_OF_ANKI and _is_name(tag):
			tags.add(item.question_id, tag)


def _is_name(tag: str) -> bool:
	return len(tag) <= MAX_NAME and not set(tag) & set('<>,"')
