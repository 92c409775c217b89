"""The partitions of a season in tracker, journal and archive.

They are made before the season's first answer, and dropped when no row of the season is left.
"""

import random
from collections.abc import Callable
from typing import NoReturn

import frappe
from frappe import _

from memora.exceptions import PartitionError, SeasonStateError, quoting
from memora.services.store import database, ddl, failures, tables
from memora.services.store.loops import go_through, tell_of
from memora.services.store.tables import INDEXES

# Another process was first to make, or to drop, the partition.
DONE_MEANWHILE = {1517, 1507}  # ER_SAME_NAME_PARTITION, ER_DROP_PARTITION_NON_EXISTENT
NOT_PARTITIONED = 1505
SAME_VALUE_TWICE = 1495  # ER_MULTIPLE_DEF_CONST_IN_LIST_PART

# These statements keep `partition_created` true. BINARY, because MariaDB's collation takes some different
# names for equal. The active season keeps its partitions.
MARK_SQL = "UPDATE `tabGame Subscription Season` SET partition_created = %s WHERE BINARY name = %s"
UNMARK_SQL = """
	UPDATE `tabGame Subscription Season` SET partition_created = 0 WHERE BINARY name = %s AND is_active = 0"""
IS_ACTIVE_SQL = "SELECT 1 FROM `tabGame Subscription Season` WHERE BINARY name = %s AND is_active = 1"
CREATED_SQL = "SELECT name, partition_created FROM `tabGame Subscription Season`"


def create_partition(season: str) -> None:
	"""Makes the season's partitions in tracker, journal and archive. Partitions that exist stay as they are.

	Raises PartitionError when a table stays locked for ddl.DEADLINE_SECONDS, or when MariaDB takes the names
	of this season and of another season that has a partition for equal.
	"""
	for doctype in INDEXES:
		if season not in _seasons(doctype):
			_add(doctype, season)


def heal_partitions() -> list[str]:
	"""Makes the partitions that seasons lack, and brings `partition_created` in line with the tables.

	Returns the names of the seasons that were not in order. Commits. Runs hourly. A season that fails does not stop the
	others; PartitionError, in the end, names those that failed, and says why.
	"""
	complete = _complete_seasons()
	wrong = [name for name, created in frappe.db.sql(CREATED_SQL) if not (created and name in complete)]
	random.shuffle(wrong)  # each waits for locks: if the time ends, the next run begins with others
	if failed := go_through(wrong, heal_season):
		frappe.throw(quoting("{0}", tell_of(failed)), PartitionError)
	return wrong


def find_wrong_seasons() -> list[str]:
	"""Returns the seasons whose `partition_created` contradicts the tables. Changes nothing."""
	complete = _complete_seasons()
	return [name for name, created in frappe.db.sql(CREATED_SQL) if bool(created) != (name in complete)]


def heal_season(season: str) -> None:
	"""Makes the partitions that a season lacks, and brings its `partition_created` in line. Commits.

	Raises PartitionError for the reasons of create_partition.
	"""
	_mark(season)
	try:
		create_partition(season)
	finally:
		_mark(season)


def _mark(season: str) -> None:
	with database.transaction():
		frappe.db.sql(MARK_SQL, (has_partitions(season), season))


def drop_partition(season: str) -> None:
	"""Drops the season's partitions from all three tables. Commits.

	Raises SeasonStateError while the season is active or has a row, PartitionError when a table stays locked.
	"""
	with database.transaction():
		frappe.db.sql(UNMARK_SQL, (season,))  # from here on the season can't become active
	try:
		_refuse_to_drop(season)
		for doctype in INDEXES:
			if season in _seasons(doctype):
				change(doctype, lambda table: ddl.drop_partition(table, season))
	finally:
		_mark(season)


def _refuse_to_drop(season: str) -> None:
	if database.query(IS_ACTIVE_SQL, (season,)):
		frappe.throw(quoting(_("Season {0} is active, so its partitions stay."), season), SeasonStateError)
	for doctype in INDEXES:
		if tables.partition_has_rows(tables.table_of(doctype), season):
			frappe.throw(
				quoting(_("Season {0} still has rows in {1}, so its partitions stay."), season, _(doctype)),
				SeasonStateError,
			)


def empty_partition(doctype: str, season: str) -> None:
	"""Drops all rows of a season from one table at once; its partition stays."""
	change(doctype, lambda table: ddl.empty_partition(table, season))


def has_partitions(season: str) -> bool:
	"""Says whether the season has its partition in every one of the three tables."""
	return season in _complete_seasons()


def _complete_seasons() -> set[str]:
	return set.intersection(*map(_seasons, INDEXES))


def _seasons(doctype: str) -> set[str]:
	return {partition["season"] for partition in tables.list_partitions(doctype)}


def _add(doctype: str, season: str) -> None:
	try:
		change(doctype, lambda table: ddl.add_partition(table, season))
	except failures.ERRORS as error:
		if failures.number_of(error) != SAME_VALUE_TWICE:
			raise
		frappe.throw(
			quoting(
				_(
					"MariaDB can't tell season {0} from another season that has a partition in {1}. Names must differ in more than letter case, accents or blanks at the end."
				),
				season,
				_(doctype),
			),
			PartitionError,
		)


def change(doctype: str, action: Callable[[str], None]) -> None:
	"""Runs an action of ddl on one of the three tables.

	It is no error if another process has done the action first. Raises PartitionError if the table has no
	partitions.
	"""
	try:
		action(tables.table_of(doctype))
	except failures.ERRORS as error:
		if failures.number_of(error) == NOT_PARTITIONED:
			refuse_unpartitioned(doctype)
		if failures.number_of(error) not in DONE_MEANWHILE:
			raise


def refuse_unpartitioned(doctype: str) -> NoReturn:
	"""Raises PartitionError, which says how a DocType's table is partitioned."""
	frappe.throw(
		quoting(_("{0} is not partitioned by season yet: {1}"), _(doctype), how_to_partition()),
		PartitionError,
	)


def how_to_partition() -> str:
	"""Returns the command that an operator runs if the patch has failed or was skipped."""
	return f"bench --site {frappe.local.site} run-patch --force memora.patches.v1_0.setup_partitioning"
