"""The app's texts for people, as Frappe's own extractors find them, and their translations."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import frappe
import pytest
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from frappe import translate

PACKAGE = Path(__file__).parents[2] / "memora"
DOCTYPE = "DocType: "  # begins the place of what is found in one
DESK_RECORDS = (
	*(f"memora/{kind}/*/*.json" for kind in ("workspace", "number_card", "dashboard_chart")),
	*("workspace_sidebar/*.json", "desktop_icon/*.json"),
)
DESK_LABELS = ("label", "title", "chart_name")


class Text(NamedTuple):
	"""One in the source. What has no translation of its own in its context has the one without."""

	source: str
	context: str | None = None

	def __str__(self) -> str:
		return f"{self.source!r} ({self.context})" if self.context else repr(self.source)

	@property
	def plain(self) -> "Text":
		return Text(self.source)


def of_app() -> set[Text]:
	"""All that is to be translated. The context of what a DocType holds is its name: so forms and lists ask."""
	frappe.flags.scanned_files = set()  # Frappe reads no file twice
	found = set(map(_text, translate.get_messages_for_app("memora", deduplicate=False)))
	return found - set(map(_text, translate.get_messages_from_navbar())) | set(_of_desk())


def _text(message: tuple) -> Text:
	"""Returns the source of (place, source), (place, source, context) or (place, source, context, line)."""
	place, source, *more = message
	if place and place.startswith(DOCTYPE):
		return Text(source, place.removeprefix(DOCTYPE))
	return Text(source, more[0] if more else None)


def _of_desk() -> Iterator[Text]:
	"""Returns the texts of workspaces, cards, charts, sidebar and icon, which get_messages_for_app leaves out."""
	for pattern in DESK_RECORDS:
		for path in PACKAGE.glob(pattern):
			yield from map(Text, _labels(json.loads(path.read_text())))


def _labels(record: dict[str, Any]) -> Iterator[str]:
	yield from (record[field] for field in DESK_LABELS if record.get(field))
	for block in json.loads(record.get("content") or "[]"):
		if block["type"] == "header":
			yield BeautifulSoup(block["data"]["text"], "html.parser").text
	for rows in record.values():
		if isinstance(rows, list):
			yield from (label for row in rows for label in _labels(row))


def rows(language: str) -> list[tuple[Text, str]]:
	"""Returns the app's translations into a language, as they stand in the file."""
	with open(PACKAGE / "translations" / f"{language}.csv", newline="") as file:
		return [(Text(source, *context), text) for source, text, *context in csv.reader(file)]


def of_frappe(language: str) -> set[Text]:
	"""Returns Frappe's own translations: 15.0 keeps them in a CSV file, later versions in a catalog.

	Skips the test where this copy of Frappe brings neither.
	"""
	catalog = Path(frappe.get_app_path("frappe", "locale", f"{language}.po"))
	if catalog.exists():
		with open(catalog, "rb") as file:
			return {Text(message.id, message.context) for message in read_po(file) if message.string}
	table = Path(frappe.get_app_path("frappe", "translations", f"{language}.csv"))
	if not table.exists():
		pytest.skip(f"this copy of Frappe has no translations into {language}")
	with open(table, newline="") as file:
		return {
			Text(source, *filter(None, context[:1])) for source, text, *context in csv.reader(file) if text
		}
