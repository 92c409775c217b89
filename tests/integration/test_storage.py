"""The layout of the tables, and that no migration touches it."""

import frappe
import pytest

from memora.services.store import layout, partitions, row_names, tables, tracker
from tests.integration.factories import STANDING_SEASON, learner_id, make_records

DOCTYPES = ("Player Memory Tracker", "Player Review Log", "Archived Memory Tracker")
TABLES = (*DOCTYPES, "Review Outbox")


def create_statements() -> dict[str, str]:
	frappe.db.rollback()
	return {d: frappe.db.sql(f"SHOW CREATE TABLE `tab{d}`")[0][1] for d in TABLES}


def indexes(doctype: str) -> dict[str, list[str]]:
	found: dict[str, list[str]] = {}
	for row in frappe.db.sql(f"SHOW INDEX FROM `tab{doctype}`", as_dict=True):
		found.setdefault(row.Key_name, []).append(row.Column_name)
	return found


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_the_primary_key_is_name_and_season(doctype):
	assert indexes(doctype)["PRIMARY"] == ["name", "season"]


@pytest.mark.parametrize(
	("doctype", "secondary"),
	[
		("Player Memory Tracker", [["player", "season", "next_review_date"]]),
		("Player Review Log", []),
		("Archived Memory Tracker", [["player", "season", "next_review_date"]]),
	],
)
def test_there_is_no_index_but_those_of_the_design(doctype, secondary):
	found = indexes(doctype)
	del found["PRIMARY"]
	assert sorted(found.values()) == secondary


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_the_tables_are_partitioned_by_season_without_a_default(doctype, season):
	statement = create_statements()[doctype]
	assert "PARTITION BY LIST  COLUMNS(`season`)" in statement
	assert "DEFAULT)" not in statement.partition("PARTITION BY")[2]
	assert [p["season"] for p in tables.list_partitions(doctype)] == ["", season]


def test_the_due_query_uses_the_composite_index(player, season):
	make_records(player, 15)
	for other in range(40):
		make_records(learner_id(f"other {other}"), question_ids=[f"q-{i}" for i in range(50)])
	frappe.db.sql_ddl("ANALYZE TABLE `tabPlayer Memory Tracker`")
	values = row_names.of_learner(
		player, season, now=frappe.utils.now_datetime(), subject=None, pending=[""], limit=10
	)
	plans = frappe.db.sql("EXPLAIN PARTITIONS " + tracker.DUE_SQL, values, as_dict=True)
	reads = [plan for plan in plans if plan.table == "t"]
	assert [plan.key for plan in reads] == ["schedule", "schedule"]
	assert {plan.partitions for plan in reads} == {tables.partition_name(season)}
	# one read follows the index to the limit, the other one takes the rows of the dates found: neither sorts a backlog
	assert ["filesort" in plan.Extra for plan in reads] == [False, False]
	assert {(plan.key, plan.rows) for plan in plans if plan.table == "s"} == {("PRIMARY", "1")}


@pytest.mark.parametrize("doctype", TABLES)
def test_lists_in_the_desk_neither_count_nor_sort_big_tables(doctype):
	meta = frappe.get_meta(doctype)
	settings = frappe.get_doc("List View Settings", doctype)
	assert settings.disable_count
	assert doctype == "Review Outbox" or (meta.sort_field, meta.sort_order) == ("name", "ASC")


def test_making_the_layout_again_changes_nothing():
	before = create_statements()
	frappe.db.commit()
	layout.ensure_layout()
	layout.ensure_layout()
	assert create_statements() == before


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_the_index_that_frappe_16_gives_every_table_goes(doctype, player):
	"""A new table is made with the index, and a patch adds it on a site that comes from 15."""
	make_records(player, 3)
	before = create_statements()
	frappe.db.sql_ddl(f"ALTER TABLE `tab{doctype}` ADD INDEX creation (creation)")
	assert layout.lacks_layout()
	assert layout.ensure_layout() == []
	assert create_statements() == before


def test_an_empty_table_that_was_never_partitioned_gets_the_layout():
	"""Brings the table to the state in which installation finds it."""
	before = create_statements()
	frappe.db.sql_ddl("ALTER TABLE `tabPlayer Memory Tracker` REMOVE PARTITIONING")
	frappe.db.sql_ddl(
		"""ALTER TABLE `tabPlayer Memory Tracker` DROP PRIMARY KEY, ADD PRIMARY KEY (name), DROP INDEX schedule,
		ADD INDEX modified (modified), ADD INDEX creation (creation)"""
	)
	assert layout.ensure_layout() == []
	partitions.create_partition(STANDING_SEASON)
	assert create_statements() == before
