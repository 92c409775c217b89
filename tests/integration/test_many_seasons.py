"""What grows with the number of seasons: open files. What does not: a learner's requests."""

import frappe

from memora.services.operations import doctor, doctor_files
from memora.services.store import database, journal, row_names, tables
from tests.integration.factories import make_season


def test_a_mariadb_that_keeps_fewer_files_open_than_there_are_partitions_is_found(monkeypatch):
	files = tables.count_files()
	make_season()
	assert tables.count_files() == files + 3
	assert list(doctor_files.open_files()) == []
	monkeypatch.setattr(
		database, "get_open_files", lambda: files + 2
	)  # it can't be changed while MariaDB runs
	((problem, mend),) = doctor.CHECKS["open_files"]()
	assert f"are {files + 3} files" in problem
	assert mend.startswith("Set innodb_open_files")


def test_a_status_costs_no_look_into_every_season(season, player):
	values = {"seasons": [season], **row_names.bounds(player)}
	(row,) = frappe.db.sql(f"EXPLAIN PARTITIONS {journal.IS_JOURNALLED_SQL}", values, as_dict=True)
	assert row.partitions == tables.partition_name(season)
