"""What store/layout gives to tables that lack it, and what it leaves as it is."""

from typing import Any

import frappe
import pytest

from memora.services.store import ddl, layout, question_status, tables
from tests.integration.accounts import put_tracker
from tests.integration.factories import learner_id, make_record
from tests.integration.old_tables import ARCHIVE, JOURNAL, TRACKER, insert, old_layout, old_row, run

ALL = [*(f"tab{doctype}" for doctype in tables.INDEXES), *layout.SMALL_INDEXES, question_status.TABLE]
BROKEN = {
	f"tab{TRACKER}": "DROP INDEX schedule, ADD INDEX schedule (player), ADD INDEX modified (modified)",
	f"tab{ARCHIVE}": "DROP INDEX schedule, ADD INDEX archived_at (archived_at)",
	"tabReview Outbox": "DROP INDEX waiting, DROP INDEX of_season",
	"tabDaily Learner": "DROP INDEX player",
	question_status.TABLE: "MODIFY name varchar(140) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
}
TWIN = "memora_test_twin"


def look() -> dict[str, Any]:
	frappe.db.commit()
	return {
		table: (
			tables.indexes_of(table),
			tables.columns_of(table),
			[p["season"] for p in tables.partitions_of(table)],
		)
		for table in ALL
	} | {"binary": tables.is_binary(question_status.TABLE, "name")}


def test_what_tables_lack_is_given_to_them_and_indexes_of_others_stay(season):
	before = look()
	for table, changes in BROKEN.items():
		frappe.db.sql_ddl(f"ALTER TABLE `{table}` {changes}")
	frappe.db.sql_ddl(f"ALTER TABLE `tab{TRACKER}` ADD INDEX of_others (state)")
	try:
		assert layout.lacks_layout()
		assert layout.ensure_layout() == []
		assert not layout.lacks_layout()
		assert "of_others" in tables.indexes_of(f"tab{TRACKER}")
	finally:
		frappe.db.commit()
		frappe.db.sql_ddl(f"ALTER TABLE `tab{TRACKER}` DROP INDEX IF EXISTS of_others")
	assert look() == before
	assert layout.ensure_layout() == []
	assert look() == before


def test_a_table_without_partitions_waits_for_its_rows_to_be_converted():
	with old_layout(TRACKER, JOURNAL):
		run(f"ALTER TABLE `tab{JOURNAL}` DROP INDEX once")
		insert(TRACKER, [old_row()])
		frappe.db.commit()
		old = look()[f"tab{TRACKER}"]
		assert [layout.is_unpartitioned(d) for d in (TRACKER, JOURNAL, ARCHIVE)] == [True, False, False]
		assert layout.ensure_layout() == [TRACKER]
		assert look()[f"tab{TRACKER}"] == old
		assert tables.list_partitions(JOURNAL)
		assert layout.lacks_layout()
		run(f"ALTER TABLE `tab{TRACKER}` DROP INDEX once")
		frappe.db.sql(f"DELETE FROM `tab{TRACKER}`")
		frappe.db.commit()
		assert layout.ensure_layout() == []
		assert not layout.lacks_layout()
		for doctype in (TRACKER, JOURNAL):
			found = tables.indexes_of(f"tab{doctype}")
			assert found["PRIMARY"] == "name,season"
			assert found.keys() >= tables.INDEXES[doctype].keys()
			assert not found.keys() & layout.USELESS_INDEXES


@pytest.mark.parametrize("doctype", [TRACKER, JOURNAL])
def test_a_twin_has_the_columns_of_its_table_and_the_seasons_that_are_named(season, doctype):
	put_tracker(learner_id("her"), season, make_record("q1"))
	frappe.db.sql_ddl(f"CREATE TABLE IF NOT EXISTS `{TWIN}` (of_an_earlier_run int)")
	try:
		layout.create_twin(doctype, TWIN, ["One", "Another"])
		assert tables.columns_of(TWIN) == tables.columns_of(f"tab{doctype}")
		assert tables.indexes_of(TWIN) == tables.indexes_of(f"tab{doctype}")
		assert {p["season"] for p in tables.partitions_of(TWIN)} >= {"One", "Another"}
		assert season not in {p["season"] for p in tables.partitions_of(TWIN)}
		assert not tables.table_has_rows(TWIN)
	finally:
		frappe.db.commit()
		ddl.drop(TWIN)
