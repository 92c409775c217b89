"""The patch to the design's layout within Frappe's migrations."""

import frappe
import pytest
from frappe.modules import patch_handler
from frappe.modules.patch_handler import PatchType

from memora import install
from memora.exceptions import PartitionError
from memora.services.learning import reviews
from memora.services.store import database, partitions
from tests.integration import cleaning, state
from tests.integration.factories import make_records
from tests.integration.old_tables import (
	ADDED_BY_FRAPPE,
	PATCH,
	TRACKER,
	checksums,
	insert,
	layouts,
	make_old_rows,
	memory,
	migrate,
	newest,
	old_layout,
	old_row,
	run_patch,
	unpartitioned,
)
from tests.integration.submitting import answers, submit


def everything() -> dict:
	"""All but the queue: Frappe's own migrate has jobs to give."""
	kept_rows = database.query(f"CHECKSUM TABLE {unpartitioned(TRACKER)}")
	site = {key: value for key, value in state.everything().items() if key != "jobs"}
	return {"layouts": layouts(), "checksums": checksums(), "kept": kept_rows, **site}


def test_an_old_site_is_brought_over_and_two_full_migrates_afterwards_change_nothing(player, season):
	with old_layout(TRACKER, without=ADDED_BY_FRAPPE):
		rows = make_old_rows(1000)
		insert(TRACKER, rows)
		frappe.db.delete("Patch Log", {"patch": PATCH})
		frappe.reload_doc("memora", "doctype", frappe.scrub(TRACKER), force=True)
		patch_handler.run_all(patch_type=PatchType.post_model_sync)
		assert memory() == newest(rows)
		assert {(r.state, r.reps, r.difficulty) for r in state.rows(TRACKER)} == {("Review", 1, 2.118104)}
		make_records(player, 10)
		submit(player, answers(3))
		before = everything()
		for _ in range(2):
			migrate()
			assert everything() == before


def test_a_migration_that_skips_the_patch_leaves_the_old_table_and_says_so(old_tracker, capfd):
	insert(TRACKER, [old_row(), old_row(name="a")])
	before = layouts()
	install.after_migrate()
	assert layouts() == before
	output = capfd.readouterr().out
	assert "Player Memory Tracker" in output
	assert f"bench --site {frappe.local.site} run-patch --force {PATCH}" in output


def test_an_old_table_takes_no_partitions(old_tracker):
	insert(TRACKER, [old_row()])
	with pytest.raises(PartitionError, match="run-patch"):
		partitions.create_partition("new")
	cleaning.drop_stray_partitions()


def test_tables_of_the_layout_stay_as_they_are(player, season):
	make_records(player, 3)
	submit(player, answers(2))
	reviews.read_reviews(player)
	before = (layouts(), state.everything())
	run_patch()
	run_patch()
	assert (layouts(), state.everything()) == before
