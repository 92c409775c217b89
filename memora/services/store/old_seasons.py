"""Seasons of rows from before the tables had partitions: gives each season one name, and a document."""

from collections.abc import Iterable
from typing import Any

import frappe

from memora.services.store import seasons
from memora.services.store.database import query
from memora.services.store.tables import INDEXES, list_partitions

DEFAULT_SEASON = "SEASON-DEFAULT"  # for rows without a season

WEIGHT_SQL = "SELECT HEX(WEIGHT_STRING(CONVERT(%s USING utf8mb4) COLLATE utf8mb4_unicode_ci))"
SPAN_SQL = """
	SELECT MIN(creation), MAX(GREATEST(COALESCE({0}, creation), creation)) FROM `tab{1}` WHERE season = %s"""
LAST_DATES = {
	"Player Memory Tracker": "next_review_date",
	"Player Review Log": "reviewed_at",
	"Archived Memory Tracker": "next_review_date",
}


def settle(tables: Iterable[str]) -> dict[str | None, str]:
	"""Returns {spelling: season} for each spelling of a season in the tables, and for each season's document.

	Spellings that MariaDB takes for equal become one season. Its name is that of a season's document, else
	that of a partition, else the most frequent spelling.
	"""
	counts = [
		row
		for t in tables
		for row in query(f"SELECT season, COUNT(*) FROM `{t}` GROUP BY season, BINARY season")
	]
	spellings = [spelling for spelling, _count in sorted(counts, key=lambda row: -row[1])]
	documents = frappe.get_all("Game Subscription Season", pluck="name")
	partitions = [p["season"] for doctype in INDEXES for p in list_partitions(doctype) if p["season"]]
	known: dict[str, str] = {}
	for name in (*documents, *partitions, *map(_canonical, spellings)):
		known.setdefault(_weight(_canonical(name)), name)
	settled = {spelling: known[_weight(_canonical(spelling))] for spelling in spellings}
	return settled | {name: name for name in documents}


def _canonical(spelling: str | None) -> str:
	return seasons.canonical_name(spelling) or DEFAULT_SEASON


def _weight(name: str) -> str:
	"""Returns MariaDB's sort key of a name: names that MariaDB takes for equal have one sort key."""
	((weight,),) = query(WEIGHT_SQL, (name,))
	return weight


def make_documents(found: list[str]) -> None:
	"""Makes the documents that seasons with rows lack, so that the seasons can be listed and archived."""
	for name in found:
		if frappe.db.exists("Game Subscription Season", name) or not (span := _span(name)):
			continue
		values = {"season_name": name, "start_date": span[0], "end_date": span[1]}
		try:
			frappe.get_doc({"doctype": "Game Subscription Season", **values}).insert()
		except (frappe.NameError, frappe.ValidationError) as error:
			print(f"Season {name} has rows, but can't have a document: {error}")
			continue
		print(f"Season {name} had rows but no document. It has one now, not active, {span[0]} to {span[1]}.")


def _span(season: str) -> tuple[Any, ...] | None:
	"""Returns the first and the last day of a season's rows; None without rows.

	The days reach from the first answer to the last review that is due.
	"""
	spans = [query(SPAN_SQL.format(last, doctype), (season,))[0] for doctype, last in LAST_DATES.items()]
	moments = [moment for span in spans for moment in span if moment]
	return (min(moments).date(), max(moments).date()) if moments else None
