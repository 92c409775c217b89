"""The questions that come with the app: the capitals of the world's countries.

`bench memora seed-demo` makes the questions on any site.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from pathlib import Path
from typing import Any

import frappe

from memora.services.store import seasons

CAPITALS = Path(__file__).parent / "data" / "capitals.csv"
SUBJECT = "Geography"
WRONG_OPTIONS = 3


@dataclass(frozen=True)
class Capital:
	"""One row of the file. `topic` is the continent. `note` is empty if there is nothing to explain."""

	question_id: str
	topic: str
	country: str
	capital: str
	note: str


def load_question_set() -> int:
	"""Makes the questions that are missing, with their topics and subject. The caller commits.

	Returns how many questions were made. Questions that exist stay as they are, even if somebody has edited them.
	"""
	by_topic: dict[str, list[Capital]] = {}
	for row in read_capitals():
		by_topic.setdefault(row.topic, []).append(row)
	_insert_missing("Game Subject", SUBJECT, subject_name=SUBJECT)
	return sum(_load_topic(position, rows) for position, rows in enumerate(by_topic.values(), start=1))


def ensure_season() -> str:
	"""Returns the active season. If there is none, makes one that lasts a year from today. The caller commits."""
	if active := seasons.get_active_season():
		return active.name
	begin = frappe.utils.getdate()
	values = {"start_date": begin, "end_date": frappe.utils.add_days(begin, 365), "is_active": 1}
	season = {"doctype": "Game Subscription Season", "season_name": f"DEMO-{begin}", **values}
	return frappe.get_doc(season).insert().name


def read_capitals() -> Iterator[Capital]:
	"""Yields the rows of the file, in the order of teaching."""
	with CAPITALS.open(encoding="utf-8", newline="") as file:
		for row in csv.DictReader(file):
			yield Capital(**row)


def _load_topic(topic_position: int, rows: list[Capital]) -> int:
	topic = f"{SUBJECT}: {rows[0].topic}"
	_insert_missing("Game Topic", topic, subject=SUBJECT, topic_name=rows[0].topic, position=topic_position)
	names = [row.question_id for row in rows]
	known = set(frappe.get_all("Game Question", filters={"name": ("in", names)}, pluck="name"))
	for position, row in enumerate(rows, start=1):
		if row.question_id not in known:
			document = {"doctype": "Game Question", "topic": topic, "subject": SUBJECT, "position": position}
			frappe.get_doc({**document, **_content(row, rows)}).insert(set_name=row.question_id)
	return len(names) - len(known)


def _insert_missing(doctype: str, name: str, **values: Any) -> None:
	if not frappe.db.exists(doctype, name):
		frappe.get_doc({"doctype": doctype, **values}).insert()


def _content(row: Capital, topic_rows: list[Capital]) -> dict[str, Any]:
	return {
		"question": f"What is the capital of <b>{_html(row.country)}</b>?",
		"answer": _html(row.capital),
		"explanation": _html(row.note),
		"options": [
			{"option_text": _html(capital), "is_correct": capital == row.capital}
			for capital in _options(row, topic_rows)
		],
	}


def _options(row: Capital, topic_rows: list[Capital]) -> list[str]:
	"""Returns the right capital and three capitals of the same continent. Choice and order are equal on every site.

	No wrong option has the name of the country that the question is about: such an option would give itself away.
	"""
	others = {r.capital for r in topic_rows if r.capital not in (row.capital, r.country)}
	wrong = sorted(others, key=lambda capital: _draw(row, "choose", capital))[:WRONG_OPTIONS]
	return sorted([row.capital, *wrong], key=lambda capital: _draw(row, "order", capital))


def _draw(row: Capital, purpose: str, capital: str) -> bytes:
	"""Draws a lot that depends on the question's id only. `random` would shuffle differently on every site."""
	return blake2b(f"{row.question_id}\0{purpose}\0{capital}".encode(), digest_size=8).digest()


def _html(text: str) -> str:
	return escape(text, quote=False)
