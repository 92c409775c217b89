"""Partitions by season of the three big tables: the only DDL of the app.

DDL commits whatever transaction it runs in and waits for every reader of the table, with all new
readers queueing behind it. So it runs on a connection of its own, gives up after LOCK_WAIT_SECONDS, and
tries again until DEADLINE_SECONDS have passed.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, TypedDict

import frappe
import pymysql
from frappe import _

from memora.exceptions import PartitionError, SeasonStateError
from memora.services import memory_store, site_time

LOCK_WAIT_SECONDS = 2  # how long new readers may queue behind a waiting ALTER
DEADLINE_SECONDS = 30
PAUSE_SECONDS = 0.5  # lets the queued readers through

# Each table's secondary indexes. The primary key (name, season) keeps one learner's rows together.
SCHEDULE_INDEX = {"schedule": ("player", "season", "next_review_date")}
INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
	"Player Memory Tracker": SCHEDULE_INDEX,
	"Player Review Log": {},
	"Archived Memory Tracker": SCHEDULE_INDEX,
}

# Frappe's own; and that of a season's rows, which are all archived at the same moment: an index of it finds
# nothing that the partition does not, and takes longer to build than all the rest of archiving.
USELESS_INDEXES = {"modified", "archived_at"}

# Frappe's own, which are always 0 here: six bytes a row less. Frappe does not look at their type again.
NARROW_COLUMNS = tuple(
	f"MODIFY COLUMN {column} tinyint NOT NULL DEFAULT 0" for column in ("docstatus", "idx")
)

# Another process has made or dropped the same partition first.
DONE_MEANWHILE = {1517, 1507}  # ER_SAME_NAME_PARTITION, ER_DROP_PARTITION_NON_EXISTENT
LOCK_WAIT_TIMEOUT = 1205
NOT_PARTITIONED = 1505
SAME_VALUE_TWICE = 1495  # ER_MULTIPLE_DEF_CONST_IN_LIST_PART

# Keeps `partition_created` true. Exactly this season, not what the collation takes for it; the active one
# keeps its partitions.
MARK_SQL = "UPDATE `tabGame Subscription Season` SET partition_created = %s WHERE BINARY name = %s"
UNMARK_SQL = """
	UPDATE `tabGame Subscription Season` SET partition_created = 0 WHERE BINARY name = %s AND is_active = 0"""
IS_ACTIVE_SQL = "SELECT 1 FROM `tabGame Subscription Season` WHERE BINARY name = %s AND is_active = 1"

# Other connections of this site, those longest in their present state first.
OTHERS_SQL = """
	SELECT ID, COMMAND, TIME, LEFT(INFO, 80) FROM information_schema.PROCESSLIST
	WHERE DB = DATABASE() AND ID != CONNECTION_ID() ORDER BY TIME_MS DESC LIMIT 10"""

PARTITIONS_SQL = """
	SELECT PARTITION_NAME, PARTITION_DESCRIPTION, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH
	FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND PARTITION_NAME IS NOT NULL
	ORDER BY PARTITION_ORDINAL_POSITION"""
OF_SEASON_SQL = """
	SELECT TABLE_NAME, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH, UNIX_TIMESTAMP(CREATE_TIME)
	FROM information_schema.PARTITIONS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %(tables)s AND PARTITION_NAME = %(partition)s"""
INDEXES_SQL = """
	SELECT INDEX_NAME, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX)
	FROM information_schema.STATISTICS
	WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s GROUP BY INDEX_NAME"""


class Partition(TypedDict):
	"""`rows` and `bytes` (data and indexes) are InnoDB's estimates."""

	name: str
	season: str
	rows: int
	bytes: int


def create_partition(season: str) -> None:
	"""Makes the season's partitions in tracker, journal and archive; those that exist stay as they are.

	Raises PartitionError when a table stays locked for DEADLINE_SECONDS, or when MariaDB takes the name for
	another one that has a partition.
	"""
	for doctype in INDEXES:
		if season not in _seasons(doctype):
			_add(doctype, season)


def heal_partitions() -> list[str]:
	"""Makes the partitions that any season lacks and brings `partition_created` in line with the tables;
	the names of the seasons that changed. Commits. Runs hourly; raises PartitionError as create_partition does."""
	healed = []
	for name, created in frappe.db.sql("SELECT name, partition_created FROM `tabGame Subscription Season`"):
		if created and has_partitions(name):
			continue
		heal_season(name)
		healed.append(name)
	return healed


def heal_season(season: str) -> None:
	"""Makes the partitions that a season lacks, and has `partition_created` say so. Commits."""
	_mark(season)
	try:
		create_partition(season)
	finally:
		_mark(season)


def _mark(season: str) -> None:
	with memory_store.transaction():
		frappe.db.sql(MARK_SQL, (has_partitions(season), season))


def drop_partition(season: str) -> None:
	"""Drops the season's partitions from all three tables. Commits.

	Raises SeasonStateError while the season is active or has a row, PartitionError when a table stays locked.
	"""
	with memory_store.transaction():
		frappe.db.sql(UNMARK_SQL, (season,))  # from here on it can't become active
	try:
		_refuse_to_drop(season)
		for doctype in INDEXES:
			if season in _seasons(doctype):
				_alter(doctype, f"DROP PARTITION {partition_name(season)}")
	finally:
		_mark(season)


def _refuse_to_drop(season: str) -> None:
	if query(IS_ACTIVE_SQL, (season,)):
		frappe.throw(
			_("Season {0} is active: its partitions stay.").format(season),
			SeasonStateError,
		)
	for doctype in INDEXES:
		if query(memory_store.ANY_ROW_SQL[doctype], (season,)):
			frappe.throw(
				_("Season {0} still has rows in {1}: its partitions stay.").format(season, _(doctype)),
				SeasonStateError,
			)


def empty_partition(doctype: str, season: str) -> None:
	"""Drops all rows of a season from one table at once; its partition stays."""
	_alter(doctype, f"TRUNCATE PARTITION {partition_name(season)}")


def list_partitions(doctype: str) -> list[Partition]:
	"""The partitions of one of the three tables, in their order; empty if it has none."""
	return partitions_of(_table(doctype))


def partitions_of(table: str) -> list[Partition]:
	"""The same of any table."""
	rows = frappe.db.sql(PARTITIONS_SQL, (table,))
	return [
		Partition(name=name, season=_unquote(values), rows=rows, bytes=size)
		for name, values, rows, size in rows
	]


def estimate_rows(doctype: str, season: str) -> int:
	"""How many rows of a season one of the three tables has, as InnoDB estimates."""
	return sum(p["rows"] for p in list_partitions(doctype) if p["season"] == season)


def has_partitions(season: str) -> bool:
	"""Whether the season has its partition in every one of the three tables."""
	return all(season in _seasons(doctype) for doctype in INDEXES)


def describe(season: str) -> dict[str, dict[str, Any] | None]:
	"""{rows, bytes, created_at} of the season's partition in each of the three tables, None where it has none.

	Rows and bytes are InnoDB's estimates; `created_at` is naive site time, also that of the last swap. One query.
	"""
	values = {"tables": [_table(doctype) for doctype in INDEXES], "partition": partition_name(season)}
	found = {
		table: {"rows": rows, "bytes": size, "created_at": created and site_time.to_naive(float(created))}
		for table, rows, size, created in frappe.db.sql(OF_SEASON_SQL, values)
	}
	return {doctype: found.get(_table(doctype)) for doctype in INDEXES}


def partition_name(season: str) -> str:
	"""`p_`, what of the name an identifier may hold, and a hash that tells two such names apart."""
	readable = re.sub(r"[^a-z0-9]+", "_", season.lower()).strip("_")[:40]
	return f"p_{readable}_{blake2b(season.encode(), digest_size=4).hexdigest()}"


def ensure_layout() -> list[str]:
	"""Gives the three tables their primary key, partitions and indexes; does nothing where they have them.

	Returns the DocTypes of tables with rows but without partitions, which stay as they are: those rows may
	contradict the layout. patches/v1_0/setup_partitioning brings them over.
	"""
	unpartitioned = [doctype for doctype in INDEXES if is_unpartitioned(doctype)]
	for doctype in INDEXES:
		if doctype not in unpartitioned and (changes := _missing_layout(doctype)):
			_alter(doctype, ", ".join(changes))
	return unpartitioned


def is_unpartitioned(doctype: str) -> bool:
	"""Whether a table holds rows and has no partitions for them."""
	return not list_partitions(doctype) and bool(query(f"SELECT 1 FROM `{_table(doctype)}` LIMIT 1"))


def create_twin(doctype: str, twin: str, seasons: Iterable[str]) -> None:
	"""Makes an empty table with the columns of one of the three, in the design's layout, with partitions for
	these seasons. A table of that name goes."""
	execute_ddl(f"DROP TABLE IF EXISTS `{twin}`")
	execute_ddl(f"CREATE TABLE `{twin}` LIKE `{_table(doctype)}`")
	others = dict(query(INDEXES_SQL, (twin,))).keys() - {"PRIMARY"}
	changes = [
		*(f"DROP INDEX `{name}`" for name in others),
		*(f"ADD INDEX `{name}` ({', '.join(columns)})" for name, columns in INDEXES[doctype].items()),
		*NARROW_COLUMNS,
		f"DROP PRIMARY KEY, ADD PRIMARY KEY (name, season) {_partition_by(seasons)}",
	]
	execute_ddl(f"ALTER TABLE `{twin}` {', '.join(changes)}")


def lacks_layout() -> bool:
	"""Whether any of the three tables is not laid out as ensure_layout does."""
	return any(_missing_layout(doctype) for doctype in INDEXES)


def _missing_layout(doctype: str) -> list[str]:
	keys = dict(frappe.db.sql(INDEXES_SQL, (_table(doctype),)))
	changes = [f"DROP INDEX `{name}`" for name in keys.keys() & USELESS_INDEXES]
	for name, columns in INDEXES[doctype].items():
		if keys.get(name) != ",".join(columns):
			changes += [f"DROP INDEX `{name}`"] if name in keys else []
			changes.append(f"ADD INDEX `{name}` ({', '.join(columns)})")
	if keys["PRIMARY"] != "name,season":
		changes.append("DROP PRIMARY KEY, ADD PRIMARY KEY (name, season)")
	if not list_partitions(doctype):
		# the clause that partitions is not parted from the others by a comma
		changes = [f"{', '.join([*changes, *NARROW_COLUMNS])} {_partition_by([])}"]
	return changes


def _partition_by(seasons: Iterable[str]) -> str:
	partitions = ", ".join(f"PARTITION {_definition(season)}" for season in sorted({"", *seasons}))
	return f"PARTITION BY LIST COLUMNS(season) ({partitions})"


def _definition(season: str) -> str:
	return f"{partition_name(season)} VALUES IN ({frappe.db.escape(season, percent=False)})"


def _seasons(doctype: str) -> set[str]:
	return {partition["season"] for partition in list_partitions(doctype)}


def _unquote(literal: str) -> str:
	"""The value of the one SQL string that describes a partition; MariaDB shows what is not Latin in hex."""
	if literal.startswith("_utf8mb4 0x"):
		return bytes.fromhex(literal.removeprefix("_utf8mb4 0x")).decode()
	return re.sub(r"\\(.)|''", lambda m: m[1] or "'", literal[1:-1])


def _table(doctype: str) -> str:
	if doctype not in INDEXES:
		frappe.throw(_("{0} is not partitioned by season.").format(doctype), PartitionError)
	return f"tab{doctype}"


def _add(doctype: str, season: str) -> None:
	try:
		_alter(doctype, f"ADD PARTITION (PARTITION {_definition(season)})")
	except pymysql.err.MySQLError as error:
		if error.args[0] != SAME_VALUE_TWICE:
			raise
		frappe.throw(
			_(
				"MariaDB takes season {0} for another one that has a partition in {1}. "
				"Names must differ in more than letter case, accents or blanks at the end."
			).format(season, _(doctype)),
			PartitionError,
		)


def _alter(doctype: str, change: str) -> None:
	try:
		execute_ddl(f"ALTER TABLE `{_table(doctype)}` {change}")
	except pymysql.err.MySQLError as error:
		if error.args[0] == NOT_PARTITIONED:
			frappe.throw(
				_("{0} is not partitioned by season yet: {1}").format(_(doctype), how_to_partition()),
				PartitionError,
			)
		if error.args[0] not in DONE_MEANWHILE:
			raise


def how_to_partition() -> str:
	"""What an operator runs where the patch has failed or was skipped."""
	return f"bench --site {frappe.local.site} run-patch --force memora.patches.v1_0.setup_partitioning"


def execute_ddl(statement: str) -> None:
	"""Runs one statement, waiting for its lock as the module's docstring says.

	Raises PartitionError when it does not get the lock, and pymysql's error for anything else.
	"""
	deadline = time.monotonic() + DEADLINE_SECONDS
	with connection() as own, own.cursor() as cursor:
		while True:
			try:
				cursor.execute(statement)
				return
			except pymysql.err.OperationalError as error:
				if error.args[0] != LOCK_WAIT_TIMEOUT:
					raise
			if time.monotonic() > deadline:
				cursor.execute(OTHERS_SQL)
				frappe.throw(_still_locked(statement, cursor.fetchall()), PartitionError)
			time.sleep(PAUSE_SECONDS)


def query(sql: str, values: tuple | dict = ()) -> tuple[tuple, ...]:
	"""Reads a table without keeping it locked, as a read in frappe's transaction would."""
	with connection() as own, own.cursor() as cursor:
		cursor.execute(sql, values)
		return cursor.fetchall()


def _still_locked(statement: str, others: tuple[tuple, ...]) -> str:
	"""Names the connections that may hold the lock: those that have been at it for as long as this waited."""
	holders = "; ".join(
		_("connection {0}, {1} for {2} s: {3}").format(
			number, command, seconds, text or _("between statements")
		)
		for number, command, seconds, text in others
	)
	return _("Not done, because the table stayed locked for {0} seconds: {1}. Open the longest: {2}").format(
		DEADLINE_SECONDS, statement[:80], holders
	)


@contextmanager
def connection() -> Iterator[pymysql.Connection]:
	conf = frappe.conf
	own = pymysql.connect(
		host=conf.db_host or "127.0.0.1",
		port=int(conf.db_port or 3306),
		unix_socket=conf.get("db_socket"),
		user=conf.get("db_user") or conf.db_name,
		password=conf.db_password,
		database=conf.db_name,
		charset="utf8mb4",
		autocommit=True,
		init_command=f"SET lock_wait_timeout = {LOCK_WAIT_SECONDS}",
	)
	try:
		yield own
	finally:
		own.close()
