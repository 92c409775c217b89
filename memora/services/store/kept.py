"""Memora's tables while Memora is uninstalled: they have another name then, so that Frappe drops none of them.

Kept are all tables of Memora's DocTypes, and the values of its singles. Tables without a DocType, such as a season's on its way
to the archive, need no other name: Frappe does not know them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frappe
from frappe import _

from memora.exceptions import KeptDataInTheWay
from memora.services.store import ddl, tables

PREFIX = "memora_kept_"
FOLDERS = Path(frappe.get_app_path("memora", "memora"))
# The tables of which one row is worth keeping all
LEARNED = ("Player Review Log", "Player Memory Tracker", "Archived Memory Tracker", "Review Outbox")

# Of Memora alone: staging, notes of conversions, what a conversion has kept, and what this module keeps
OURS_SQL = f"""
	SELECT TABLE_NAME FROM information_schema.TABLES
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME REGEXP '^({"|".join(tables.OURS)})'"""
KEPT_SQL = """
	SELECT TABLE_NAME FROM information_schema.TABLES
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'memora\\_kept\\_%' ORDER BY TABLE_NAME"""
SINGLE_SQL = "SELECT 1 FROM tabSingles WHERE doctype = %s LIMIT 1"
RENAME_SINGLE_SQL = "UPDATE tabSingles SET doctype = %(new)s WHERE doctype = %(old)s"


def describe(kind: str) -> Iterator[dict[str, Any]]:
	"""Yields the documents of a kind (doctype, report, number_card …) that Memora's own files describe."""
	for path in sorted((FOLDERS / kind).glob("*/*.json")):
		yield json.loads(path.read_text())


def doctypes() -> list[str]:
	return [found["name"] for found in describe("doctype")]


def has_learned() -> bool:
	"""Says whether there is an answer or a record of a learner. The tables may be missing."""
	return bool(tables.list_staging()) or any(tables.table_has_rows(f"tab{name}") for name in LEARNED)


def is_there() -> bool:
	"""Says whether tables are kept from a time when Memora was installed."""
	return bool(_kept())


def keep() -> None:
	"""Gives Memora's tables the names under which they stay when their DocTypes go, all at once. Commits."""
	found = [name for name in doctypes() if tables.has_table(f"tab{name}")]
	ddl.rename_all({f"tab{name}": PREFIX + name for name in found})
	for name in _singles():
		_rename_single(name, PREFIX + name)
	frappe.db.commit()  # with the tables, which are changed for good already


def take_back() -> list[str]:
	"""Puts kept tables in the place of the DocTypes' new ones, which must hold no answers. Returns the DocTypes. Commits.

	Raises KeptDataInTheWay. Tables whose DocType this version does not have stay kept.
	"""
	found = [name for name in _kept() if name in doctypes()]
	refuse_answers_in_the_way(found)
	for name in found:
		ddl.drop(f"tab{name}")
	ddl.rename_all({PREFIX + name: f"tab{name}" for name in found})
	for name in found:
		if frappe.db.exists(
			"DocType", name
		):  # else migrate makes it, as after an uninstallation that broke off
			frappe.db.updatedb(name)  # columns that are newer than what was kept
	for name in _singles():
		if frappe.db.sql(SINGLE_SQL, (PREFIX + name,)):
			frappe.db.delete("Singles", {"doctype": name})
			_rename_single(PREFIX + name, name)
	frappe.db.commit()  # with the tables, which are changed for good already
	return found


def refuse_answers_in_the_way(found: list[str]) -> None:
	"""Raises KeptDataInTheWay if one of the DocTypes has answers beside those that are kept."""
	for name in found:
		if name in LEARNED and tables.table_has_rows(f"tab{name}"):
			text = _("The tables {0} and {1} both hold answers, so neither is touched.")
			raise KeptDataInTheWay(text.format(f"tab{name}", PREFIX + name))


def drop_all() -> int:
	"""Drops what is kept, and all other tables of Memora that have no DocType. Returns how many tables. Commits."""
	found = [name for (name,) in frappe.db.sql(OURS_SQL)]
	for name in found:
		ddl.drop(name)
	for name in _singles():
		frappe.db.delete("Singles", {"doctype": ("in", (name, PREFIX + name))})
	frappe.db.commit()  # with the tables, which are changed for good already
	return len(found)


def _kept() -> list[str]:
	return [name.removeprefix(PREFIX) for (name,) in frappe.db.sql(KEPT_SQL)]


def _singles() -> list[str]:
	return [found["name"] for found in describe("doctype") if found.get("issingle")]


def _rename_single(old: str, new: str) -> None:
	frappe.db.sql(RENAME_SINGLE_SQL, {"old": old, "new": new})
