"""What grows with the number of seasons: open files. What does not: a learner's requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frappe
import pytest
from frappe.database.database import Database

from memora.services.folding import queueing
from memora.services.learning import lessons, reviews
from memora.services.operations import doctor, doctor_files
from memora.services.store import journal, row_names, surroundings, tables
from tests.integration import folding
from tests.integration.cleaning import empty_schedules
from tests.integration.factories import make_records, make_season
from tests.integration.submitting import answers, submit


def test_a_mariadb_that_keeps_fewer_files_open_than_there_are_partitions_is_found(monkeypatch):
	files = tables.count_files()
	make_season()
	assert tables.count_files() == files + 3
	assert list(doctor_files.open_files()) == []
	monkeypatch.setattr(
		surroundings, "get_open_files", lambda: files + 2
	)  # it can't be changed while MariaDB runs
	((problem, mend),) = doctor.CHECKS["open_files"]()
	assert f"are {files + 3} files" in problem
	assert mend.startswith("Set innodb_open_files")


def test_a_status_costs_no_look_into_every_season(season, player):
	values = {"seasons": [season], **row_names.bounds(player)}
	(row,) = frappe.db.sql(f"EXPLAIN PARTITIONS {journal.IS_JOURNALLED_SQL}", values, as_dict=True)
	assert row.partitions == tables.partition_name(season)


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
	"""(statement, values) of all that Frappe's connection sends in the block about a partitioned table."""
	sent: list[tuple[str, Any]] = []
	sql = Database.sql

	def noting(self, query, values=(), *more, **options):
		if any(f"`tab{doctype}`" in str(query) for doctype in tables.INDEXES):
			sent.append((str(query), values))
		return sql(self, query, values, *more, **options)

	with monkeypatch.context() as patch:
		patch.setattr(Database, "sql", noting)
		yield sent


def partitions_of(statement: str, values: Any) -> list[str]:
	"""The partitions that MariaDB would look into, for each part of the statement that looks into any."""
	rows = frappe.db.sql(f"EXPLAIN PARTITIONS {statement}", values, as_dict=True)
	return [row.partitions for row in rows if row.partitions]


def test_no_statement_of_a_learners_requests_looks_into_more_than_one_season(season, player, monkeypatch):
	make_season()
	make_records(player, 5)
	with statements(monkeypatch) as sent:
		for _cold_and_warm in range(2):
			reviews.read_reviews(player, None, 20)
		reviews.read_reviews(player, "Subject", 20)
		lessons.read_lesson(player, None, None, 5)
		result = submit(player, answers(3))
		submit(player, answers(3))
		folding.drain()
		queueing.get_status(result["persistence_job_id"])
		empty_schedules()
		reviews.read_reviews(player, None, 20)
	frappe.db.rollback()
	assert len(sent) > 5
	for statement, values in sent:
		if statement != journal.IS_JOURNALLED_SQL:  # the latest seasons, see above
			for found in partitions_of(statement, values):
				assert found == tables.partition_name(season), statement
