"""The layout of the big tables: primary key, partitions, indexes.

Frappe makes the tables without the layout; this module brings them into it.
"""

from collections.abc import Iterable
from functools import partial

from memora.services.store import ddl, digits, partitions, question_status, tables
from memora.services.store.tables import INDEXES

# Frappe makes these: version 15 `modified`, version 16 `creation`. `archived_at` is equal for all rows of a
# season: its index finds nothing that the partition does not find, and takes longer to build than all the rest
# of archiving.
USELESS_INDEXES = {"modified", "creation", "archived_at"}

SMALL_INDEXES = {
	"tabReview Outbox": {
		"creation": ["creation"],  # the desk's list
		"waiting": ["parked_at", "creation"],  # a drain takes the oldest submissions first
		"of_season": ["season", "parked_at", "creation"],
	},
	# an erasure, and whoever else looks for one learner's rows: without it they would read, or lock, those of all
	"tabDaily Learner": {"player": ["player"]},
	# lessons go through a topic by the one, and see by the other whether it was changed
	"tabGame Question": {
		"topic_place": ["topic", "enabled", "position", "name"],
		"topic_modified": ["topic", "modified"],
	},
}


def ensure_layout() -> list[str]:
	"""Gives the big tables the primary key, partitions, indexes and digits that they lack.

	Returns the DocTypes whose table has rows but no partitions. Such a table stays as it is, because its rows
	may contradict the layout; patches/v1_0/setup_partitioning converts the table.
	"""
	unpartitioned = [doctype for doctype in INDEXES if is_unpartitioned(doctype)]
	for doctype in INDEXES:
		changes = [*digits.widen_columns(doctype), *_missing_layout(doctype)]
		if changes and doctype not in unpartitioned:
			partitions.change(doctype, partial(ddl.alter, changes=changes))
	for table, indexes in SMALL_INDEXES.items():
		if missing := indexes.keys() - tables.indexes_of(table).keys():
			ddl.alter(table, [ddl.add_index(name, indexes[name]) for name in missing])
	if not tables.is_binary(question_status.TABLE, "name"):
		ddl.alter(question_status.TABLE, [ddl.binary_column("name", 140)])
	return unpartitioned


def is_unpartitioned(doctype: str) -> bool:
	"""Says whether a DocType's table holds rows and has no partitions."""
	return not tables.list_partitions(doctype) and tables.table_has_rows(tables.table_of(doctype))


def create_twin(doctype: str, twin: str, seasons: Iterable[str]) -> None:
	"""Makes an empty table in the layout: the columns of a DocType's table, and partitions for these seasons.

	An older table of the twin's name is dropped.
	"""
	ddl.drop(twin)
	ddl.create_like(twin, tables.table_of(doctype))
	others = tables.indexes_of(twin).keys() - {"PRIMARY"}
	changes = [
		*(ddl.drop_index(name) for name in others),
		*(ddl.add_index(name, columns) for name, columns in INDEXES[doctype].items()),
		*ddl.NARROW_COLUMNS,
		ddl.partitioned(ddl.SET_PRIMARY_KEY, seasons),
	]
	ddl.alter(twin, changes)


def lacks_layout() -> bool:
	"""Says whether one of the three tables lacks its primary key, partitions or indexes."""
	return any(_missing_layout(doctype) for doctype in INDEXES)


def _missing_layout(doctype: str) -> list[str]:
	keys = tables.indexes_of(tables.table_of(doctype))
	changes = [ddl.drop_index(name) for name in keys.keys() & USELESS_INDEXES]
	for name, columns in INDEXES[doctype].items():
		if keys.get(name) != ",".join(columns):
			changes += [ddl.drop_index(name)] if name in keys else []
			changes.append(ddl.add_index(name, columns))
	if keys["PRIMARY"] != "name,season":
		changes.append(ddl.SET_PRIMARY_KEY)
	if not tables.list_partitions(doctype):
		changes += ddl.NARROW_COLUMNS
		changes[-1] = ddl.partitioned(changes[-1], [])
	return changes
