"""The layout of the big tables: primary key, partitions, indexes. Brings tables that Frappe has made into it."""

from collections.abc import Iterable
from functools import partial

from memora.services.store import ddl, partitions, tables
from memora.services.store.tables import INDEXES

# `modified` is Frappe's own. `archived_at` is the same for all rows of a season: an index of it finds nothing that the
# partition does not, and takes longer to build than all the rest of archiving.
USELESS_INDEXES = {"modified", "archived_at"}

OUTBOX = "tabReview Outbox"
OUTBOX_INDEXES = {"creation": ["creation"]}  # a drain takes the oldest first


def ensure_layout() -> list[str]:
	"""Gives the big tables their primary key, partitions and indexes; does nothing where they have them.

	Returns the DocTypes of tables with rows but without partitions. Those tables stay as they are, because their rows may
	contradict the layout; patches/v1_0/setup_partitioning brings them over.
	"""
	unpartitioned = [doctype for doctype in INDEXES if is_unpartitioned(doctype)]
	for doctype in INDEXES:
		if doctype not in unpartitioned and (changes := _missing_layout(doctype)):
			partitions.change(doctype, partial(ddl.alter, changes=changes))
	if missing := OUTBOX_INDEXES.keys() - tables.indexes_of(OUTBOX).keys():
		ddl.alter(OUTBOX, [ddl.add_index(name, OUTBOX_INDEXES[name]) for name in missing])
	return unpartitioned


def is_unpartitioned(doctype: str) -> bool:
	"""Says whether a table holds rows and has no partitions for them."""
	return not tables.list_partitions(doctype) and tables.table_has_rows(tables.table_of(doctype))


def create_twin(doctype: str, twin: str, seasons: Iterable[str]) -> None:
	"""Makes an empty table with the columns of one of the three, in the layout, with partitions for these seasons.

	A table that has the twin's name is dropped.
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
	"""Says whether ensure_layout would change one of the three tables."""
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
