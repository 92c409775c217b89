"""A season's partitions in tracker, journal and archive: made before its first answer, dropped when no row is left."""

from collections.abc import Callable

import frappe
import pymysql
from frappe import _

from memora.exceptions import PartitionError, SeasonStateError
from memora.services.store import database, ddl, tables
from memora.services.store.tables import INDEXES

# Another process has made or dropped the same partition first.
DONE_MEANWHILE = {1517, 1507}  # ER_SAME_NAME_PARTITION, ER_DROP_PARTITION_NON_EXISTENT
NOT_PARTITIONED = 1505
SAME_VALUE_TWICE = 1495  # ER_MULTIPLE_DEF_CONST_IN_LIST_PART

# These keep `partition_created` true. BINARY: MariaDB's collation takes names for equal that are not. The active season
# keeps its partitions.
MARK_SQL = "UPDATE `tabGame Subscription Season` SET partition_created = %s WHERE BINARY name = %s"
UNMARK_SQL = """
	UPDATE `tabGame Subscription Season` SET partition_created = 0 WHERE BINARY name = %s AND is_active = 0"""
IS_ACTIVE_SQL = "SELECT 1 FROM `tabGame Subscription Season` WHERE BINARY name = %s AND is_active = 1"
CREATED_SQL = "SELECT name, partition_created FROM `tabGame Subscription Season`"


def create_partition(season: str) -> None:
	"""Makes the season's partitions in tracker, journal and archive. Partitions that exist stay as they are.

	Raises PartitionError when a table stays locked for ddl.DEADLINE_SECONDS, or when MariaDB takes the season's name for
	another name that has a partition.
	"""
	for doctype in INDEXES:
		if season not in _seasons(doctype):
			_add(doctype, season)


def heal_partitions() -> list[str]:
	"""Makes the partitions that seasons lack, and brings `partition_created` in line with the tables.

	Returns the names of the seasons that changed. Commits. Runs hourly. Raises PartitionError as create_partition does.
	"""
	healed = []
	for name, created in frappe.db.sql(CREATED_SQL):
		if created and has_partitions(name):
			continue
		heal_season(name)
		healed.append(name)
	return healed


def find_wrong_seasons() -> list[str]:
	"""Returns the seasons whose `partition_created` does not say what is true. Changes nothing."""
	return [name for name, created in frappe.db.sql(CREATED_SQL) if bool(created) != has_partitions(name)]


def heal_season(season: str) -> None:
	"""Makes the partitions that a season lacks, and has `partition_created` say so. Commits."""
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
		frappe.db.sql(UNMARK_SQL, (season,))  # from here on it can't become active
	try:
		_refuse_to_drop(season)
		for doctype in INDEXES:
			if season in _seasons(doctype):
				change(doctype, lambda table: ddl.drop_partition(table, season))
	finally:
		_mark(season)


def _refuse_to_drop(season: str) -> None:
	if database.query(IS_ACTIVE_SQL, (season,)):
		frappe.throw(
			_("Season {0} is active, so its partitions stay.").format(season),
			SeasonStateError,
		)
	for doctype in INDEXES:
		if tables.partition_has_rows(tables.table_of(doctype), season):
			frappe.throw(
				_("Season {0} still has rows in {1}, so its partitions stay.").format(season, _(doctype)),
				SeasonStateError,
			)


def empty_partition(doctype: str, season: str) -> None:
	"""Drops all rows of a season from one table at once; its partition stays."""
	change(doctype, lambda table: ddl.empty_partition(table, season))


def has_partitions(season: str) -> bool:
	"""Says whether the season has its partition in every one of the three tables."""
	return all(season in _seasons(doctype) for doctype in INDEXES)


def _seasons(doctype: str) -> set[str]:
	return {partition["season"] for partition in tables.list_partitions(doctype)}


def _add(doctype: str, season: str) -> None:
	try:
		change(doctype, lambda table: ddl.add_partition(table, season))
	except pymysql.err.MySQLError as error:
		if error.args[0] != SAME_VALUE_TWICE:
			raise
		frappe.throw(
			_(
				"MariaDB can't tell season {0} from another season that has a partition in {1}. Names must differ in more than letter case, accents or blanks at the end."
			).format(season, _(doctype)),
			PartitionError,
		)


def change(doctype: str, action: Callable[[str], None]) -> None:
	"""Runs an action of ddl on one of the three tables. Does nothing where another process has done it meanwhile."""
	try:
		action(tables.table_of(doctype))
	except pymysql.err.MySQLError as error:
		if error.args[0] == NOT_PARTITIONED:
			frappe.throw(
				_("{0} is not partitioned by season yet: {1}").format(_(doctype), how_to_partition()),
				PartitionError,
			)
		if error.args[0] not in DONE_MEANWHILE:
			raise


def how_to_partition() -> str:
	"""Returns the command that an operator runs where the patch has failed or was skipped."""
	return f"bench --site {frappe.local.site} run-patch --force memora.patches.v1_0.setup_partitioning"
