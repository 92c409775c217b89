"""What MariaDB's catalogue says of the site's tables, beside another database that has tables of the same names."""

import time
from collections.abc import Iterator
from typing import Any

import frappe
import pytest

from devtools import mariadb
from devtools.paths import current_bench
from memora.services.store import partitions, surroundings, tables
from tests.integration.factories import make_season

TRACKER, LOG = "Player Memory Tracker", "Player Review Log"
BESIDE_SQL = """
	CREATE DATABASE {beside};
	CREATE TABLE {beside}.`tabPlayer Memory Tracker` LIKE {own}.`tabPlayer Memory Tracker`;
	ALTER TABLE {beside}.`tabPlayer Memory Tracker` ADD PARTITION (PARTITION p_beside VALUES IN ('beside'));
	ALTER TABLE {beside}.`tabPlayer Memory Tracker` ADD COLUMN beside INT, ADD INDEX beside (beside);
	CREATE TABLE {beside}.`tabQuestion Status` LIKE {own}.`tabQuestion Status`;
	ALTER TABLE {beside}.`tabQuestion Status` MODIFY name VARCHAR(140) COLLATE utf8mb4_general_ci;
	CREATE TABLE {beside}.`to_archive_beside` (name VARCHAR(9) COLLATE utf8mb4_bin PRIMARY KEY) ENGINE = Aria;
	INSERT INTO {beside}.`to_archive_beside` VALUES ('a'), ('b');
	GRANT ALL ON {beside}.* TO {user};"""


@pytest.fixture
def beside(season) -> Iterator[None]:
	"""The site's user may use the other database, too: else MariaDB would not tell of it."""
	name, bench = "memora_beside", current_bench()
	((user,),) = frappe.db.sql("SELECT CURRENT_USER()")
	frappe.db.commit()
	quoted = "@".join(f"'{part}'" for part in user.rsplit("@", 1))
	drop = f"DROP DATABASE IF EXISTS {name};"
	statements = BESIDE_SQL.format(beside=name, own=f"`{frappe.conf.db_name}`", user=quoted)
	mariadb.execute(bench, drop + statements)
	yield
	frappe.db.commit()
	mariadb.execute(bench, f"REVOKE ALL ON {name}.* FROM {quoted}; {drop}")


def told(season: str) -> dict[str, Any]:
	return {
		"partitions": [tables.list_partitions(doctype) for doctype in tables.INDEXES],
		"season": tables.describe_season(season),
		"files": tables.count_files(),
		"columns": tables.columns_of("tabPlayer Memory Tracker"),
		"indexes": tables.indexes_of("tabPlayer Memory Tracker"),
		"staging": tables.list_staging(),
		"binary": tables.is_binary("tabQuestion Status", "name"),
		"beside": [partitions.has_partitions("beside"), tables.estimate_rows(TRACKER, "beside")],
	}


def test_another_database_changes_nothing(season, request):
	before = told(season)
	request.getfixturevalue("beside")
	assert told(season) == before
	assert before["binary"]
	table = "to_archive_beside"
	assert (tables.has_table(table), tables.table_has_rows(table)) == (False, False)
	assert (tables.estimate_table(table), tables.columns_of(table), tables.indexes_of(table)) == (0, {}, {})
	assert not tables.is_binary(table, "name")


def test_partitions_come_in_the_order_in_which_they_were_made_with_their_sizes(season):
	names = [make_season(season_name=name).name for name in ("b", "c", "a")]
	for doctype in tables.INDEXES:
		assert [p["season"] for p in tables.list_partitions(doctype)][-3:] == names
	frappe.db.rollback()
	((page,),) = frappe.db.sql("SELECT @@innodb_page_size")
	sizes = {
		doctype: tables.list_partitions(doctype)[-1]["bytes"] // page for doctype in (TRACKER, LOG)
	}  # one for each index
	assert sizes == {TRACKER: 2, LOG: 1}
	described = tables.describe_season("a")
	assert {doctype: described[doctype]["bytes"] // page for doctype in sizes} == sizes


def test_a_table_with_rows_and_one_without(season, player):
	assert tables.table_has_rows("tabMemora Learner")
	assert not tables.table_has_rows("tabReview Outbox")
	assert not tables.table_has_rows("tabNowhere")
	assert tables.estimate_table("tabReview Outbox") == 0


@pytest.mark.parametrize(
	("estimate", "rounded"),
	[(0, 0), (7, 7), (99, 99), (123, 120), (1_260, 1_300), (98_765_432, 99_000_000)],
)
def test_an_estimate_by_its_first_two_digits(estimate, rounded):
	assert tables.rounded(estimate) == rounded


def test_names_of_partitions_are_for_ever():
	"""They are in the tables: other names would part seasons from their rows."""
	assert tables.partition_name("2024-2025") == "p_2024_2025_a8880c63"
	long = tables.partition_name("A season with a name that is longer than forty letters")
	assert long == "p_a_season_with_a_name_that_is_longer_than_588eda5a"


def test_which_tables_have_no_owner():
	owned = {table: tables.is_without_owner(table) for table in ("tabMemora Learner", "to_fill_x", "tabUser")}
	assert owned == {"tabMemora Learner": True, "to_fill_x": True, "tabUser": False}


def test_who_gets_another_name_owns_on_what_she_owned_and_nothing_else(season):
	doctype = "Game Subscription Season"
	owners = {"a": ("old", "x"), "b": ("x", "old"), "c": ("old", "old"), "d": ("x", "y"), "e": ("OLDER", "x")}
	for name, (owner, modified_by) in owners.items():
		frappe.new_doc(doctype, name=name, season_name=name).db_insert()
		frappe.db.set_value(
			doctype, name, {"owner": owner, "modified_by": modified_by}, update_modified=False
		)
	before = frappe.db.get_value(doctype, season, ["owner", "modified_by"])
	tables.rename_owner("old", "new")
	found = frappe.get_all(doctype, fields=["name", "owner", "modified_by"])
	assert {row.name: (row.owner, row.modified_by) for row in found} == {
		season: before,
		**{n: tuple("new" if v == "old" else v for v in values) for n, values in owners.items()},
	}
	frappe.db.rollback()


def test_what_kind_of_server_this_is(season):
	before = time.time()
	clock = surroundings.get_clock()
	assert before - 0.001 <= clock <= time.time() + 0.001
	assert not surroundings.is_encrypted()
	assert surroundings.count_galera_nodes() == 0
	assert "MariaDB" in surroundings.get_version()
