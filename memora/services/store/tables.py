"""The big tables as MariaDB's catalogue describes them: partitions, columns, indexes, estimates.

This module changes nothing.
"""

import re
from hashlib import blake2b
from typing import Any, TypedDict

import frappe
from frappe import _

from memora.exceptions import PartitionError, quoting
from memora.services import site_time
from memora.services.store.database import query

# The secondary indexes of the three partitioned tables. The primary key (name, season) keeps one learner's
# rows together.
SCHEDULE_INDEX: dict[str, tuple[str, ...]] = {"schedule": ("player", "season", "next_review_date")}
INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
	"Player Memory Tracker": SCHEDULE_INDEX,
	"Player Review Log": {},
	"Archived Memory Tracker": SCHEDULE_INDEX,
}

# The tables that grow with learners and answers. The owner of their rows, if any, is never a person.
WITHOUT_OWNER = {
	f"tab{doctype}"
	for doctype in (
		*INDEXES,
		*("Review Outbox", "Memora Learner", "Memora Former Address", "Safe Mode Admission"),
		*("Outdated Schedule", "Memora Host"),
		*("Memora Erasure", "Memora Erasure Count"),
		*(
			"Daily Learner",
			"Activity Count",
			"Daily Activity",
			"Daily Activity Subject",
			"Due Forecast",
			"Due Forecast Day",
			"Question Status",
		),
	)
}
# Tables without a DocType: of seasons on their way to the archive, and what a conversion of old tables has kept
STAGING = ("to_archive_", "to_fill_", "srs_staging_")  # see swap
OURS = (*STAGING, "memora_")
# Tables with people as owners whose rows are locked for learners who answer, or come for the first time
LOCKED_BY_LEARNERS = ("tabGame Subscription Season", "tabUser")

PARTITIONS_SQL = """
	SELECT PARTITION_NAME, PARTITION_DESCRIPTION, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH
	FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND PARTITION_NAME IS NOT NULL
	ORDER BY PARTITION_ORDINAL_POSITION"""
OF_SEASON_SQL = """
	SELECT TABLE_NAME, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH, UNIX_TIMESTAMP(CREATE_TIME)
	FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %(tables)s AND PARTITION_NAME = %(partition)s"""
INDEXES_SQL = """
	SELECT INDEX_NAME, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX)
	FROM information_schema.STATISTICS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s GROUP BY INDEX_NAME"""
COUNT_TABLES_SQL = "SELECT COUNT(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
EXISTS_SQL = """
	SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
TABLE_ROWS_SQL = """
	SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
OWNED_SQL = "SELECT name FROM `{table}` WHERE owner = %(old)s OR modified_by = %(old)s"
GIVE_SQL = """
	UPDATE `{table}` SET owner = IF(owner = %(old)s, %(new)s, owner),
	modified_by = IF(modified_by = %(old)s, %(new)s, modified_by) WHERE name IN %(names)s"""
STAGING_SQL = f"""
	SELECT TABLE_NAME FROM information_schema.TABLES
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME REGEXP '^({"|".join(STAGING)})'"""
COLUMN_TYPES_SQL = """
	SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
COLLATION_SQL = """
	SELECT COLLATION_NAME FROM information_schema.COLUMNS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COLUMN_NAME = %s"""
ANY_ROW_SQL = {
	doctype: f"SELECT 1 FROM `tab{doctype}` WHERE season = %s LIMIT 1"
	for doctype in (*INDEXES, "Review Outbox")
}


class Partition(TypedDict):
	"""A partition of a table. `rows` and `bytes` (data and indexes) are InnoDB's estimates."""

	name: str
	season: str
	rows: int
	bytes: int


# Partitions


def list_partitions(doctype: str) -> list[Partition]:
	"""Returns the partitions of one of the three DocTypes' tables, in their order; [] if there are none."""
	return partitions_of(table_of(doctype))


def partitions_of(table: str) -> list[Partition]:
	"""Returns the partitions of a table, in their order; [] if there are none."""
	rows = frappe.db.sql(PARTITIONS_SQL, (table,))
	return [
		Partition(name=name, season=_unquote(values), rows=rows, bytes=size)
		for name, values, rows, size in rows
	]


def count_files() -> int:
	"""Returns how many files the site's tables are: one for each partition, and one for each other table."""
	partitions = sum(len(list_partitions(doctype)) for doctype in INDEXES)
	return partitions + int(query(COUNT_TABLES_SQL)[0][0]) - len(INDEXES)


def estimate_rows(doctype: str, season: str) -> int:
	"""Returns InnoDB's estimate of a season's rows in one of the three partitioned tables."""
	return sum(p["rows"] for p in list_partitions(doctype) if p["season"] == season)


def estimate_table(table: str) -> int:
	"""Returns InnoDB's estimate of the rows of a table without partitions; 0 if there is no such table."""
	rows = query(TABLE_ROWS_SQL, (table,))
	return int(rows[0][0] or 0) if rows else 0


def rounded(estimate: int) -> int:
	"""Returns an estimate by its first two digits."""
	return round(estimate, 2 - len(str(estimate)))


def describe_season(season: str) -> dict[str, dict[str, Any] | None]:
	"""Returns {doctype: {rows, bytes, created_at}} of a season's partitions; None for a missing partition.

	Rows and bytes are InnoDB's estimates. `created_at` is naive site time; a swap renews `created_at`. One
	query.
	"""
	values = {"tables": [table_of(doctype) for doctype in INDEXES], "partition": partition_name(season)}
	found = {
		table: {"rows": rows, "bytes": size, "created_at": created and site_time.to_naive(float(created))}
		for table, rows, size, created in frappe.db.sql(OF_SEASON_SQL, values)
	}
	return {doctype: found.get(table_of(doctype)) for doctype in INDEXES}


def partition_name(season: str) -> str:
	"""Returns `p_`, the letters and digits of the season's name, and a hash that parts similar names."""
	readable = re.sub(r"[^a-z0-9]+", "_", season.lower()).strip("_")[:40]
	return f"p_{readable}_{blake2b(season.encode(), digest_size=4).hexdigest()}"


def table_of(doctype: str) -> str:
	"""Returns the table of one of the three DocTypes; raises PartitionError for another DocType."""
	if doctype not in INDEXES:
		frappe.throw(quoting(_("{0} is not partitioned by season."), doctype), PartitionError)
	return f"tab{doctype}"


def _unquote(literal: str) -> str:
	"""Returns the value of the one SQL string that describes a partition.

	MariaDB shows non-Latin names in hex.
	"""
	if literal.startswith("_utf8mb4 0x"):
		return bytes.fromhex(literal.removeprefix("_utf8mb4 0x")).decode()
	return re.sub(r"\\(.)|''", lambda m: m[1] or "'", literal[1:-1])


# Columns, indexes, rows


def columns_of(table: str) -> dict[str, str]:
	"""Returns {column: type} in the order of the table; empty if the table does not exist."""
	return dict(query(COLUMN_TYPES_SQL, (table,)))


def indexes_of(table: str) -> dict[str, str]:
	"""Returns {index: its columns, joined by commas}, PRIMARY included."""
	return dict(query(INDEXES_SQL, (table,)))


def list_staging() -> list[str]:
	"""Returns the tables of seasons whose rows are on their way from the tracker to the archive; see module swap."""
	return [table for (table,) in frappe.db.sql(STAGING_SQL)]


def is_without_owner(table: str) -> bool:
	"""Says whether a table is one of those that grow with learners and answers, where no row has a person as its owner."""
	return table in WITHOUT_OWNER or table.startswith(OURS)


def rename_owner(old: str, new: str) -> None:
	"""Does for LOCKED_BY_LEARNERS what Frappe does for all tables when a User is renamed, but locks no row of others.

	The caller commits.
	"""
	for table in LOCKED_BY_LEARNERS:
		if found := frappe.db.sql(OWNED_SQL.format(table=table), {"old": old}):
			names = [name for (name,) in found]
			frappe.db.sql(GIVE_SQL.format(table=table), {"old": old, "new": new, "names": names})


def is_binary(table: str, column: str) -> bool:
	"""Says whether letters of either case differ in a column."""
	return query(COLLATION_SQL, (table, column)) == (("utf8mb4_bin",),)


def has_table(table: str) -> bool:
	return bool(query(EXISTS_SQL, (table,)))


def table_has_rows(table: str) -> bool:
	"""Says whether the table exists and holds a row."""
	return has_table(table) and bool(query(f"SELECT 1 FROM `{table}` LIMIT 1"))


def partition_has_rows(table: str, season: str) -> bool:
	"""Says whether the table, which must exist, has a row of the season."""
	return bool(query(f"SELECT 1 FROM `{table}` WHERE season = %s LIMIT 1", (season,)))


def season_has_rows(doctype: str, season: str) -> bool:
	"""Says whether a season has a row in one of the four tables that hold answers. Costs one lookup."""
	return bool(frappe.db.sql(ANY_ROW_SQL[doctype], (season,)))
